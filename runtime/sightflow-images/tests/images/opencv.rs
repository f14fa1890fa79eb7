//! Operations that OpenCV has, too, against what it makes of the same pixels (`tests/fixtures/generate.py`).

use serde_json::Value;
use sightflow_images::{Border, Flip, Image, Ink, Margins, PixelFormat, Pixels, ThresholdMethod, Work};

use crate::{gradient, gray};

pub(crate) fn fixtures() -> Value {
    serde_json::from_str(include_str!("../fixtures/opencv.json")).unwrap()
}

pub(crate) fn values(of: &Value) -> Vec<u8> {
    of.as_array().unwrap().iter().map(|value| u8::try_from(value.as_u64().unwrap()).unwrap()).collect()
}

pub(crate) fn data(image: &Image) -> Vec<u8> {
    image.pixels().unwrap().data().to_vec()
}

fn black(opacity: f32) -> Ink {
    Ink { opacity, ..Ink::opaque(0, 0, 0) }
}

#[test]
fn results_are_those_of_opencv() {
    let (all, work) = (fixtures(), Work::default());
    let image = |name: &str| gray(9, 7, &values(&all[name]));
    let (first, second, mask) = (image("gray"), image("other"), image("mask"));
    for (name, method) in [
        ("binary", ThresholdMethod::Binary),
        ("binary-inverted", ThresholdMethod::BinaryInverted),
        ("truncate", ThresholdMethod::Truncate),
        ("to-zero", ThresholdMethod::ToZero),
        ("to-zero-inverted", ThresholdMethod::ToZeroInverted),
    ] {
        let ours = first.threshold_in(&work, 100.7, 200.0, method).unwrap();
        assert_eq!(data(&ours), values(&all["threshold"][name]), "{name}");
    }
    let level = gray(25, 10, &values(&all["hills"])).otsu_level_in(&work).unwrap();
    assert_eq!(f64::from(level), all["otsu"].as_f64().unwrap());
    let blend = first.blend_in(&work, 0.75, &second, -0.5, 20.0).unwrap();
    assert_eq!(data(&blend), values(&all["blend"]));
    let difference = first.absolute_difference_in(&work, &second).unwrap();
    assert_eq!(data(&difference), values(&all["absolute_difference"]));
    let margins = Margins { left: 2, top: 3, right: 20, bottom: 11 };
    for (name, border) in [("replicate", Border::Replicate), ("reflect-101", Border::Reflect101)] {
        let padded = first.pad_in(&work, margins, border).unwrap();
        assert_eq!((padded.size(), data(&padded)), ((31, 21), values(&all["pad"][name])), "{name}");
    }
    let margins = Margins { top: 1, right: 2, ..Margins::default() };
    let padded = first.pad_in(&work, margins, Border::Constant(Ink::opaque(77, 77, 77))).unwrap();
    assert_eq!(data(&padded), values(&all["pad_constant"]));
    let mean = first.mean_in(&work, Some(&mask)).unwrap()[0];
    assert!((mean - all["mean"].as_f64().unwrap()).abs() < 1e-9, "{mean}");
    assert_eq!(first.sum_in(&work, None).unwrap(), [all["sum"].as_f64().unwrap()]);
}

#[test]
fn masks_choose_pixels() {
    let work = Work::default();
    let (image, over) = (gradient(2, 1), crate::filled(2, 1, [100, 100, 100]));
    let mask = gray(2, 1, &[0, 128]);
    let kept = image.apply_mask_in(&work, &mask, Ink::opaque(7, 8, 9)).unwrap();
    assert_eq!(data(&kept), [7, 8, 9, 1, 0, 1]);
    let laid = image.composite_in(&work, &over, &mask).unwrap();
    assert_eq!(data(&laid), [0, 0, 0, 51, 50, 51]);
    assert_eq!(image.mean_in(&work, Some(&gray(2, 1, &[0, 0]))).unwrap(), [0.0; 3]);
}

#[test]
fn flips_move_every_pixel() {
    let (image, work) = (gray(2, 2, &[1, 2, 3, 4]), Work::default());
    for (flip, expected) in
        [(Flip::Horizontal, [2, 1, 4, 3]), (Flip::Vertical, [3, 4, 1, 2]), (Flip::Both, [4, 3, 2, 1])]
    {
        assert_eq!(data(&image.flip_in(&work, flip).unwrap()), expected, "{flip:?}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let work = Work::default();
    let (rgb, small, one) = (gradient(3, 2), gray(2, 2, &[0; 4]), gray(3, 2, &[0; 6]));
    let wide = Image::from_pixels(Pixels::filled(3, 2, PixelFormat::Gray16, &[0, 0]).unwrap());
    let huge = Margins { left: u32::MAX, right: u32::MAX, ..Margins::default() };
    let margin = Margins { left: 1, ..Margins::default() };
    for (what, kind, outcome) in [
        ("level", "invalid", one.threshold_in(&work, f32::NAN, 1.0, ThresholdMethod::Binary).map(drop)),
        ("high", "invalid", one.threshold_in(&work, 1.0, f32::INFINITY, ThresholdMethod::Binary).map(drop)),
        ("threshold, wide", "unsupported", wide.threshold_in(&work, 1.0, 1.0, ThresholdMethod::Binary).map(drop)),
        ("otsu, colours", "unsupported", rgb.otsu_level_in(&work).map(drop)),
        ("weight", "invalid", one.blend_in(&work, f32::NAN, &one, 1.0, 0.0).map(drop)),
        ("offset", "invalid", one.blend_in(&work, 1.0, &one, 1.0, f32::INFINITY).map(drop)),
        ("formats", "invalid", one.blend_in(&work, 1.0, &rgb, 1.0, 0.0).map(drop)),
        ("sizes", "invalid", one.absolute_difference_in(&work, &small).map(drop)),
        ("wide", "unsupported", wide.absolute_difference_in(&work, &wide).map(drop)),
        ("mask, size", "invalid", rgb.apply_mask_in(&work, &small, black(1.0)).map(drop)),
        ("mask, format", "unsupported", rgb.apply_mask_in(&work, &rgb, black(1.0)).map(drop)),
        ("fill", "invalid", rgb.apply_mask_in(&work, &one, black(0.5)).map(drop)),
        ("composite", "invalid", rgb.composite_in(&work, &rgb, &small).map(drop)),
        ("padding", "too_large", one.pad_in(&work, huge, Border::Replicate).map(drop)),
        ("border", "invalid", one.pad_in(&work, margin, Border::Constant(black(f32::NAN))).map(drop)),
        ("mean", "unsupported", wide.mean_in(&work, None).map(drop)),
        ("sum", "invalid", rgb.sum_in(&work, Some(&small)).map(drop)),
    ] {
        assert_eq!(outcome.map_err(|error| error.kind()), Err(kind), "{what}");
    }
}

#[test]
fn steps_and_bytes_are_paid_for() {
    let image = gray(600, 600, &[9; 360_000]);
    type Operation = fn(&Image, &Work) -> Result<Image, sightflow_images::ImageError>;
    let operations: [(&str, Operation); 7] = [
        ("threshold", |image, work| image.threshold_in(work, 5.0, 9.0, ThresholdMethod::Binary)),
        ("blend", |image, work| image.blend_in(work, 0.5, image, 0.5, 0.0)),
        ("difference", |image, work| image.absolute_difference_in(work, image)),
        ("mask", |image, work| image.apply_mask_in(work, image, black(1.0))),
        ("composite", |image, work| image.composite_in(work, image, image)),
        ("flip", |image, work| image.flip_in(work, Flip::Both)),
        ("pad", |image, work| image.pad_in(work, Margins { top: 1, ..Margins::default() }, Border::Replicate)),
    ];
    for (what, operation) in operations {
        for work in [Work::default().most_steps(100_000), Work::default().most_bytes(300_000)] {
            assert_eq!(operation(&image, &work).unwrap_err().kind(), "allowance", "{what}");
        }
    }
    let few = || Work::default().most_steps(100_000);
    assert_eq!(image.sum_in(&few(), None).unwrap_err().kind(), "allowance");
    assert_eq!(image.otsu_level_in(&few()).unwrap_err().kind(), "allowance");
}
