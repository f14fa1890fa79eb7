//! Operations with tables of cases, against what OpenCV makes of the same pixels (`tests/fixtures/generate.py`).

use serde_json::Value;
use sightflow_images::{
    Border, ColorSpace, Image, ImageError, Ink, KernelShape, Morphology, PixelFormat, Pixels, ResizeFilter, Retrieval,
    ThresholdMethod, Work,
};

use crate::gray;
use crate::opencv::{data, fixtures, values};

fn rgb(width: u32, height: u32, data: Vec<u8>) -> Image {
    Image::from_pixels(Pixels::new(width, height, PixelFormat::Rgb8, data).unwrap())
}

/// The largest difference of two values, and the mean one.
fn apart(ours: &Image, theirs: &Value) -> (u8, f64) {
    let (ours, theirs) = (data(ours), values(theirs));
    assert_eq!(ours.len(), theirs.len());
    let differences: Vec<_> = ours.iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b)).collect();
    let sum: u64 = differences.iter().map(|&difference| u64::from(difference)).sum();
    (differences.iter().copied().max().unwrap(), sum as f64 / differences.len() as f64)
}

#[test]
fn morphology_is_opencvs() {
    let (all, work) = (fixtures(), Work::default());
    let photo = rgb(13, 11, values(&all["photo"]));
    let cases = all["morphology"].as_array().unwrap();
    assert_eq!(cases.len(), 84);
    for case in cases {
        let operation: Morphology = case["operation"].as_str().unwrap().parse().unwrap();
        let shape: KernelShape = case["shape"].as_str().unwrap().parse().unwrap();
        let number = |value: &Value| value.as_u64().unwrap() as u32;
        let kernel = (number(&case["kernel"][0]), number(&case["kernel"][1]));
        let ours = photo.morphology_in(&work, operation, shape, kernel, number(&case["iterations"])).unwrap();
        assert_eq!(data(&ours), values(&case["result"]), "{operation:?} {shape:?} {kernel:?}");
    }
}

#[test]
fn colours_are_opencvs() {
    let (all, work) = (fixtures(), Work::default());
    let colors = rgb(256, 16, values(&all["colors"]));
    let hues = rgb(256, 16, data(&colors).chunks(3).flat_map(|pixel| [pixel[0] % 180, pixel[1], pixel[2]]).collect());
    let lab = rgb(256, 16, values(&all["lab"]));
    use ColorSpace::{Hsv, Lab, Rgb};
    for (image, current, wanted, name, most, share) in [
        (&colors, Rgb, Hsv, "hsv", 0, 0.0),
        (&colors, Rgb, Lab, "lab", 1, 0.001),
        (&hues, Hsv, Rgb, "from_hsv", 1, 0.4),
        (&lab, Lab, Rgb, "from_lab", 1, 0.02),
    ] {
        let (largest, mean) = apart(&image.convert_color_in(&work, current, wanted).unwrap(), &all[name]);
        assert!(largest <= most && mean <= share, "{name}: {largest} {mean}");
    }
}

#[test]
fn adaptive_thresholds_are_opencvs() {
    let (all, work) = (fixtures(), Work::default());
    let smooth = gray(50, 40, &values(&all["smooth"]));
    for case in all["adaptive"].as_array().unwrap() {
        let (window, offset) = (case["window"].as_u64().unwrap() as u32, case["offset"].as_f64().unwrap() as f32);
        let inverted = case["inverted"] == true;
        let method = if inverted { ThresholdMethod::BinaryInverted } else { ThresholdMethod::Binary };
        let ours = smooth.adaptive_threshold_in(&work, window, offset, method).unwrap();
        assert_eq!(data(&ours), values(&case["result"]), "{window} {offset} {inverted}");
    }
}

#[test]
fn warps_are_opencvs() {
    let (all, work) = (fixtures(), Work::default());
    let smooth = gray(50, 40, &values(&all["smooth"]));
    let numbers = |name: &str| -> Vec<f64> {
        all[name].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
    };
    let affine: [f64; 6] = numbers("affine").try_into().unwrap();
    let perspective: [f64; 9] = numbers("perspective").try_into().unwrap();
    for case in all["warp"].as_array().unwrap() {
        // A place just between two pixels may go either way; OpenCV rounds places to 1/32 where it mixes.
        let (filter, share) =
            if case["filter"] == "nearest" { (ResizeFilter::Nearest, 0.01) } else { (ResizeFilter::Bilinear, 0.5) };
        let border = match case["border"].as_str().unwrap() {
            "constant" => Border::Constant(Ink::opaque(9, 9, 9)),
            "replicate" => Border::Replicate,
            _ => Border::Reflect101,
        };
        let ours = smooth.warp_affine_in(&work, affine, (44, 37), filter, border).unwrap();
        let (largest, mean) = apart(&ours, &case["affine"]);
        assert!(mean < share, "{filter:?} {border:?}: {largest} {mean}");
        let ours = smooth.warp_perspective_in(&work, perspective, (44, 37), filter, border).unwrap();
        let (largest, mean) = apart(&ours, &case["perspective"]);
        assert!(mean < share, "{filter:?} {border:?}: {largest} {mean}");
    }
}

#[test]
fn contours_are_opencvs() {
    let (all, work) = (fixtures(), Work::default());
    for (name, size) in [("spots", (50, 40)), ("rings", (60, 60))] {
        let image = gray(size.0, size.1, &values(&all[name]));
        for &retrieval in Retrieval::ALL {
            let found = image.contours_in(&work, retrieval).unwrap();
            let point = |value: &Value| (value[0].as_i64().unwrap(), value[1].as_i64().unwrap());
            let mut theirs: Vec<(Vec<(i64, i64)>, bool)> = all["contours"][name][retrieval.as_str()]
                .as_array()
                .unwrap()
                .iter()
                .map(|c| (c["points"].as_array().unwrap().iter().map(point).collect(), c["hole"] == true))
                .collect();
            let mut ours: Vec<(Vec<(i64, i64)>, bool)> = found
                .contours
                .iter()
                .map(|c| (c.points.iter().map(|p| (i64::from(p.x), i64::from(p.y))).collect(), c.hole))
                .collect();
            // A ring of points begins anywhere.
            for (points, _) in theirs.iter_mut().chain(&mut ours) {
                let least = (0..points.len()).min_by_key(|&at| {
                    let mut turned = points.clone();
                    turned.rotate_left(at);
                    turned
                });
                points.rotate_left(least.unwrap());
            }
            theirs.sort();
            ours.sort();
            assert!(!ours.is_empty());
            assert_eq!(ours, theirs, "{name} {retrieval:?}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let work = Work::default();
    let (one, color) = (gray(3, 2, &[1; 6]), crate::gradient(3, 2));
    let wide = Image::from_pixels(Pixels::filled(3, 2, PixelFormat::Gray16, &[0, 0]).unwrap());
    let morphology = |image: &Image, kernel, iterations| {
        image.morphology_in(&work, Morphology::Open, KernelShape::Ellipse, kernel, iterations).map(drop)
    };
    let affine = |matrix, size, filter| one.warp_affine_in(&work, matrix, size, filter, Border::Replicate).map(drop);
    let (same, flat) = ([1.0, 0.0, 0.0, 0.0, 1.0, 0.0], [1.0, 1.0, 0.0, 1.0, 1.0, 0.0]);
    let nearest = ResizeFilter::Nearest;
    let adaptive =
        |image: &Image, window, offset, method| image.adaptive_threshold_in(&work, window, offset, method).map(drop);
    let binary = ThresholdMethod::Binary;
    let invalid: [(&str, Result<(), ImageError>); 10] = [
        ("no kernel", morphology(&one, (0, 3), 1)),
        ("a large kernel", morphology(&one, (3, 256), 1)),
        ("many iterations", morphology(&one, (3, 3), u32::MAX)),
        ("flat", affine(flat, (4, 4), nearest)),
        ("no number", affine([f64::NAN; 6], (4, 4), nearest)),
        ("endless", affine([f64::INFINITY, 0.0, 0.0, 0.0, 1.0, 0.0], (4, 4), nearest)),
        ("tiny", affine([1e-200, 0.0, 0.0, 0.0, 1e-200, 0.0], (4, 4), nearest)),
        ("window", adaptive(&one, 4, 0.0, binary)),
        ("large window", adaptive(&one, 1025, 0.0, binary)),
        ("offset", adaptive(&one, 3, f32::NAN, binary)),
    ];
    let unsupported: [(&str, Result<(), ImageError>); 5] = [
        ("morphology, wide", morphology(&wide, (3, 3), 1)),
        ("filter", affine(same, (4, 4), ResizeFilter::Lanczos3)),
        ("colours", wide.convert_color_in(&work, ColorSpace::Rgb, ColorSpace::Lab).map(drop)),
        ("method", adaptive(&one, 3, 0.0, ThresholdMethod::ToZero)),
        ("contours", color.contours_in(&work, Retrieval::All).map(drop)),
    ];
    let cases = invalid.into_iter().map(|case| ("invalid", case));
    for (kind, (what, outcome)) in cases.chain(unsupported.into_iter().map(|case| ("unsupported", case))) {
        assert_eq!(outcome.map_err(|error| error.kind()), Err(kind), "{what}");
    }
    assert_eq!(affine(same, (u32::MAX, 4), nearest).map_err(|error| error.kind()), Err("too_large"));
    // Strange, but not senseless.
    affine([1e100, 0.0, 1e200, 0.0, 1e-100, -1e200], (4, 4), ResizeFilter::Bilinear).unwrap();
    morphology(&one, (255, 255), 3).unwrap();
    adaptive(&one, 1023, 1e30, binary).unwrap();
    assert_eq!(gray(1, 1, &[7]).contours_in(&work, Retrieval::External).unwrap().contours.len(), 1);
    assert_eq!(gray(1, 1, &[0]).contours_in(&work, Retrieval::All).unwrap().contours.len(), 0);
}

#[test]
fn steps_and_bytes_are_paid_for() {
    let dots: Vec<u8> = (0..360_000).map(|at| u8::from(at % 2 == 0 && (at / 600) % 2 == 0)).collect();
    let (image, color) = (gray(600, 600, &dots), crate::gradient(600, 600));
    let turned = [0.0, 1.0, 0.0, 1.0, 0.0, 0.0];
    type Operation<'a> = &'a dyn Fn(&Work) -> Result<(), ImageError>;
    let operations: [(&str, Operation<'_>); 5] = [
        ("morphology", &|work| image.morphology_in(work, Morphology::Erode, KernelShape::Ellipse, (9, 9), 1).map(drop)),
        ("colours", &|work| color.convert_color_in(work, ColorSpace::Rgb, ColorSpace::Lab).map(drop)),
        ("adaptive", &|work| image.adaptive_threshold_in(work, 9, 0.0, ThresholdMethod::Binary).map(drop)),
        ("warp", &|work| {
            image.warp_affine_in(work, turned, (600, 600), ResizeFilter::Bilinear, Border::Replicate).map(drop)
        }),
        ("contours", &|work| image.contours_in(work, Retrieval::All).map(drop)),
    ];
    for (what, operation) in operations {
        for work in [Work::default().most_steps(100_000), Work::default().most_bytes(300_000)] {
            assert_eq!(operation(&work).unwrap_err().kind(), "allowance", "{what}");
        }
        operation(&Work::default()).unwrap();
    }
}
