//! Values, images and errors across the boundary.

use sightflow_images::PixelFormat;
use sightflow_sandbox::{CallConditions, CallLimits, GuestError, GuestPayload, ManyOutcomes, Report};
use sightflow_types::error::code;

use crate::guests::{Bench, picture};

#[test]
fn an_image_comes_back_as_the_same_image() {
    let outcome = Bench::new().ok("echo", "");
    assert_eq!(outcome.document.text(), r#"{"image":{"$image":0}}"#);
    assert_eq!(outcome.images[0].pixels().expect("pixels").data(), picture().pixels().expect("pixels").data());
    assert_eq!(outcome.profile.bytes_copied, 0, "handles copy no pixels");
}

#[test]
fn regions_are_read_and_written() {
    let outcome = Bench::new().ok("pixels", "");
    // Pixels 5 and 6 of the picture, inverted.
    let inverted = [255 - 15, 255 - 25, 255 - 35, 255 - 16, 255 - 26, 255 - 36];
    let mut expected = picture().pixels().expect("pixels").data().to_vec();
    expected[15..21].copy_from_slice(&inverted);
    let images = &outcome.images;
    assert_eq!(images[0].pixels().expect("pixels").data(), expected);
    assert_eq!((images[1].size(), images[1].format()), ((2, 1), PixelFormat::Rgb8));
    assert_eq!(images[1].pixels().expect("pixels").data(), inverted);
    assert_eq!(outcome.profile.bytes_copied, 18, "read, written and made: six bytes each");
}

#[test]
fn a_block_s_own_errors_keep_their_kind_and_their_place() {
    let bench = Bench::new();
    let plain = |message: &str| Report { message: message.to_owned(), ..Report::default() };
    let placed = r#"{"code":"not_comparable","message":"cannot compare","port":"value","index":3}"#;
    let report = Report {
        code: Some("not_comparable".to_owned()),
        port: Some("value".to_owned()),
        index: Some(3),
        ..plain("cannot compare")
    };
    let cases = [
        ("fail", "no", GuestError::Failed(plain("no")), code::BLOCK_FAILED),
        ("retry", "later", GuestError::Retry(plain("later")), code::BLOCK_FAILED),
        ("other", "a later reason", GuestError::Failed(plain("a later reason")), code::BLOCK_FAILED),
        ("bad_config", "no", GuestError::BadConfig(plain("no")), code::BAD_CONFIG),
        ("bad_input", placed, GuestError::BadInput(report), code::BAD_INPUT),
    ];
    for (block, argument, expected, code) in cases {
        let error = bench.error(block, argument, CallLimits::default());
        assert_eq!((&error, error.code()), (&expected, code), "{block}");
    }
}

#[test]
fn an_answer_that_breaks_the_interface_is_refused() {
    let bench = Bench::new();
    let cases = [
        ("not_json", "no JSON", "expected"),
        ("not_json", "[1]", "a JSON object"),
        ("foreign_image", "", "image 1 does not exist"),
        ("not_json", r#"{"image":{"$image":{"digest":"sha256:00"}}}"#, "must be an index"),
        ("not_json", r#"{"data":{"$bytes":0}}"#, "buffer 0 does not exist"),
        ("not_json", r#"{"data":{"$bytes":"AAAA"}}"#, "a buffer index"),
    ];
    for (block, argument, expected) in cases {
        match bench.error(block, argument, CallLimits::default()) {
            GuestError::InvalidOutput(reason) => assert!(reason.contains(expected), "{reason}"),
            error => panic!("{block} {argument}: {error:?}"),
        }
    }
    assert_eq!(bench.error("nonsense", "", CallLimits::default()), GuestError::UnknownBlock("nonsense".to_owned()));
}

#[tokio::test]
async fn checks_are_read() {
    let bench = Bench::new();
    let check = |block| bench.sandbox.check(&bench.package, block, "{}", r#"{"wired":[]}"#, &CHECK);
    static CHECK: std::sync::LazyLock<CallConditions> = std::sync::LazyLock::new(CallConditions::default);
    let problems = check("echo").await.expect("problems");
    assert_eq!((problems[0].code.as_str(), problems[0].message.as_str()), ("E-TEST", r#"{} {"wired":[]}"#));
    assert_eq!(check("spin").await.expect("no problems"), []);
    let failure = check("not_json").await.expect_err("refused");
    assert!(
        matches!(&failure.error, GuestError::InvalidOutput(reason) if reason.contains("array of problems")),
        "{failure}"
    );
}

#[test]
fn bytes_travel_beside_the_document() {
    let bench = Bench::new();
    let call = |document: &str| {
        let payload = GuestPayload { document: document.to_owned(), images: Vec::new() };
        bench.sandbox.call_blocking(&bench.package, "buffers", "{}", payload, &CallConditions::default())
    };
    // 0 1 2, nothing, 255.
    let outcome = call(r#"{"a":{"$bytes":"AAEC"},"b":[{"$bytes":""},{"$bytes":"/w=="}]}"#).expect("an answer");
    assert_eq!(outcome.document.text(), r#"{"buffers":[{"$bytes":"/w=="},{"$bytes":""},{"$bytes":"AgEA"}]}"#);
    let failure = call(r#"{"a":{"$bytes":"?"}}"#).expect_err("no base64");
    assert_eq!(failure.error.code(), code::BAD_INPUT);
}

#[test]
fn a_name_that_the_host_does_not_know_is_told_so() {
    let outcome = Bench::new().ok("unknown_names", "");
    assert_eq!(outcome.document.text(), r#"{"unsupported":5,"format":"rgb8"}"#);
}

#[test]
fn many_calls_in_one_instance() {
    let bench = Bench::new();
    assert!(bench.package.batches() && bench.package.checks());
    let item = |text: &str| GuestPayload { document: text.to_owned(), images: vec![picture()] };
    let many = |block: &str, config: &str| {
        let items = vec![item(r#"{"n":1,"image":{"$image":0}}"#), item("{}"), item(r#"{"n":3}"#)];
        bench.sandbox.call_many_blocking(&bench.package, block, config, items, &CallConditions::default())
    };
    let Ok(ManyOutcomes::Together { answers, profile, .. }) = many("echo", "{}") else { panic!("one instance") };
    let texts: Vec<_> = answers.iter().map(|answer| answer.as_ref().map(|(document, _)| document.text())).collect();
    assert_eq!(texts, [Ok(r#"{"n":1,"image":{"$image":0}}"#), Ok("{}"), Ok(r#"{"n":3}"#)]);
    assert_eq!(profile.handles, 3, "one image each");
    // Each item has an answer of its own.
    let Ok(ManyOutcomes::Together { answers, .. }) = many("not_json", "nothing") else { panic!("one instance") };
    assert!(answers.iter().all(|answer| matches!(answer, Err(GuestError::InvalidOutput(_)))), "{answers:?}");
    for (block, config, expected) in [("echo", "one less", code::BLOCK_FAILED), ("unreachable", "", code::BLOCK_TRAP)] {
        assert_eq!(many(block, config).expect_err(block).error.code(), expected, "{block}");
    }
}

#[test]
fn operations_on_images_are_those_of_the_host() {
    let outcome = Bench::new().ok("image_ops", "");
    let answers: serde_json::Value = serde_json::from_str(outcome.document.text()).expect("JSON");
    let expected = serde_json::json!({
        "threshold": 14.0 * 255.0,
        "otsu_level": 110.0,
        "adaptive_threshold": 2040.0,
        // Grey has no hue.
        "convert_color": 0.0,
        "warp_affine": 2760.0,
        "warp_perspective": 2760.0,
        // The first column again.
        "pad": 2760.0 + 360.0,
        "flip": 230.0,
        "morphology": 1480.0,
        "blend": 2760.0 + 24.0,
        "absolute_difference": 0.0,
        "apply_mask": 2310.0,
        "composite": 450.0 + 14.0 * 255.0,
        "mean": 165.0,
        "contours": 6.0,
        "encode": 1.0,
        "unknown": 1.0,
    });
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(answers[name].as_f64(), value.as_f64(), "{name}: {answers}");
    }
}
