use super::*;
use crate::samples::Sample;

fn small() -> Sample {
    Sample::new().conv("x", [3, 10], "features", &[("pads", &[1, 1, 1, 1])])
}

fn refusal(sample: &Sample) -> ModelError {
    let error = check(&sample.bytes(), &Hints::default(), Device::Cpu).expect_err("refused");
    assert!(error.permanent(), "{error}");
    error
}

#[test]
fn what_passes_runs() {
    let bytes = small().classes("features").bytes();
    let info = check(&bytes, &Hints::default(), Device::Cpu).expect("runs");
    assert_eq!(info.spec.labels.len(), 10);
}

/// Joins a value with itself forty times.
fn doubled(mut sample: Sample, first: &str, axis: i64) -> Sample {
    let mut from = first.to_owned();
    for index in 0..40 {
        let to = format!("{first}{index}");
        sample = sample.node("Concat", &[&from, &from], &to, &[("axis", &[axis])]);
        from = to;
    }
    sample
}

/// Files of a kilobyte that would take terabytes, or for ever.
#[test]
fn a_graph_cannot_ask_for_more_than_there_is() {
    let resize = |sample: Sample, inputs: &[&str]| {
        let resized = sample.node("Resize", inputs, "large", &[]).text("mode", "linear");
        resized.text("coordinate_transformation_mode", "half_pixel").classes("large")
    };
    let around = |pads: i64| [0, 0, pads, pads, 0, 0, pads, pads];
    for (sample, node) in [
        (Sample::new().conv("x", [3, 10], "large", &[("pads", &[200_000; 4])]).classes("large"), "Conv `make large`"),
        (
            small().ints("p", &around(100_000)).node("Pad", &["features", "p"], "large", &[]).classes("large"),
            "Pad `make large`",
        ),
        (
            resize(small().ints("sizes", &[1, 10, 1_000_000, 1_000_000]), &["features", "", "", "sizes"]),
            "Resize `make large`",
        ),
        (
            resize(small().floats("by", &[4], vec![1.0, 1.0, 65_536.0, 65_536.0]), &["features", "", "by"]),
            "Resize `make large`",
        ),
        // A column and a row that are as large as the file says, and their sum that is not.
        (
            small()
                .floats("column", &[1, 1, 30_000, 1], vec![1.0; 30_000])
                .floats("row", &[1, 1, 1, 30_000], vec![1.0; 30_000])
                .node("Add", &["column", "row"], "large", &[])
                .node("Mul", &["features", "large"], "z", &[])
                .classes("z"),
            "Add `make large`",
        ),
        (doubled(small(), "features", 2).classes("features39"), "Concat `make features"),
        (doubled(small().ints("c", &[0; 4]), "c", 0).node("Reshape", &["x", "c39"], "y", &[]), "Concat `make c"),
        (
            doubled(small().floats("c", &[4], vec![0.0; 4]), "c", 0).node("Add", &["x", "c39"], "y", &[]),
            "Concat `make c",
        ),
    ] {
        let error = refusal(&sample);
        let ModelError::TooLarge { node: found, needed, most, unit } = &error else { panic!("{node}: {error}") };
        assert!(found.starts_with(node) && needed > most && *unit == "bytes", "{node}: {error}");
        assert!(error.to_string().contains(&format!("needs {needed} bytes, at most {most} ")), "{error}");
    }
}

/// Large windows at every place of a large border: not much memory, but days.
#[test]
fn a_graph_cannot_compute_for_ever() {
    let window = [("kernel_shape", &[4_000, 4_000][..]), ("pads", &[4_000; 4])];
    let error = refusal(&small().node("AveragePool", &["features"], "large", &window).classes("large"));
    let ModelError::TooLarge { node, unit, .. } = &error else { panic!("{error}") };
    assert_eq!((node.as_str(), *unit), ("AveragePool `make large`", "multiply-adds"));
}

#[test]
fn numbers_that_no_image_has_are_refused_before_they_are_multiplied() {
    for number in [i64::MAX, 1 << 40] {
        let error = refusal(&Sample::new().conv("x", [3, 10], "a", &[("pads", &[number; 4])]).classes("a"));
        assert!(matches!(&error, ModelError::Unsupported(_)), "{error}");
        let pads = [0, 0, number, number, 0, 0, number, number];
        let error = refusal(&small().ints("p", &pads).node("Pad", &["features", "p"], "a", &[]).classes("a"));
        assert!(matches!(&error, ModelError::Unrunnable(_)), "{error}");
        let shape = [number, number, number];
        let error = refusal(&small().ints("s", &shape).node("Reshape", &["features", "s"], "a", &[]).classes("a"));
        assert!(matches!(&error, ModelError::Unrunnable(_)), "{error}");
    }
}

#[test]
fn every_reason_is_given_at_once() {
    let sample = Sample::new().without("preprocess").without("labels").node("Fancy", &["x"], "a", &[]).node(
        "Fancier",
        &["a"],
        "y",
        &[],
    );
    let error = refusal(&sample).to_string();
    for reason in ["how images are prepared", "class names", "operator Fancier", "operator Fancy"] {
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

#[test]
fn a_step_that_cannot_take_its_inputs_is_named() {
    for (sample, reason) in [
        (small().conv("features", [4, 10], "a", &[]).classes("a"), "Conv `make a`: 10 channels where 4 are needed"),
        (
            small().ints("s", &[7, -1]).node("Reshape", &["features", "s"], "a", &[]).classes("a"),
            "Reshape `make a`: Reshape from [1, 10, 8, 8] to [7, -1]",
        ),
        (small().conv("features", [10, 10], "a", &[("dilations", &[5, 5])]).classes("a"), "larger than the image"),
        (
            small().floats("w", &[10, 10], vec![0.0; 100]).node("MatMul", &["features", "w"], "a", &[]).classes("a"),
            "MatMul `make a`: a product of",
        ),
    ] {
        let error = refusal(&sample);
        let ModelError::Unrunnable(found) = &error else { panic!("{reason}: {error}") };
        assert!(found.contains(reason), "{found}");
    }
    // What nobody makes is a broken file.
    let error = refusal(&Sample::new().node("Add", &["x", "nothing"], "y", &[]));
    assert!(matches!(&error, ModelError::Malformed(reason) if reason.contains("`nothing`")), "{error}");
}

#[test]
fn weights_in_another_file_are_named_once() {
    let sample = small().kept_elsewhere("a", "m.onnx.data").kept_elsewhere("b", "m.onnx.data").classes("features");
    let error = refusal(&sample).to_string();
    assert_eq!(error.matches("`m.onnx.data`").count(), 1, "{error}");
    assert!(error.contains("onnx.save_model"), "{error}");
}
