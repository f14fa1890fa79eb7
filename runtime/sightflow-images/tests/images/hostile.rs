//! Numbers that no friend would send. Each case must end, at once, without a panic.

use std::time::{Duration, Instant};

use sightflow_images::{
    Area, Border, ColorSpace, DrawOp, Ellipse, Image, ImageError, Ink, KernelShape, Margins, Morphology, Outside,
    Pasted, Path, PixelFormat, Pixels, Point, Rectangle, ResizeFilter, Retrieval, Stroke, Text, TextBackground,
    ThresholdMethod, Work,
};

use crate::filled;

const NUMBERS: [i32; 5] = [i32::MIN, -1, 30, i32::MAX - 1, i32::MAX];
const SIZES: [u32; 4] = [0, 1, 0x7fff_ffff, u32::MAX];

fn ops(a: Point, b: Point, size: u32, ink: Ink) -> Vec<DrawOp> {
    let (fill, stroke) = (Some(ink), Some(Stroke { ink, width: size }));
    let background = Some(TextBackground { ink, padding: size });
    vec![
        DrawOp::Rectangle(Rectangle { from: a, to: b, corner_radius: size, fill, stroke }),
        DrawOp::Path(Path { points: vec![a, b, Point { x: 5, y: 60 }], closed: true, fill, stroke }),
        DrawOp::Ellipse(Ellipse {
            center: a,
            radius_x: size,
            radius_y: b.x.unsigned_abs(),
            start_angle: -45.0,
            end_angle: 1e30,
            fill,
            stroke,
        }),
        DrawOp::Ellipse(Ellipse {
            center: a,
            radius_x: size,
            radius_y: size,
            start_angle: 1e30,
            end_angle: 235.0,
            fill,
            stroke,
        }),
        DrawOp::Text(Text { content: "far\u{0}away".into(), at: a, height: 4096.0, ink, background }),
        DrawOp::Image(Pasted { source: filled(3, 3, [1, 2, 3]), at: a, opacity: ink.opacity }),
        DrawOp::Outside(Outside { areas: vec![Area { x: a.x, y: b.y, width: size, height: size }], ink }),
    ]
}

#[test]
fn any_coordinate_is_safe_and_fast() {
    let mut slowest = (Duration::ZERO, String::new());
    for opacity in [1.0, 0.5] {
        let ink = Ink { opacity, ..Ink::opaque(1, 2, 3) };
        for (x, y) in NUMBERS.into_iter().flat_map(|x| NUMBERS.map(|y| (x, y))) {
            for size in SIZES {
                let mut canvas = crate::blank(64, 64);
                for op in ops(Point { x, y }, Point { x: y, y: x }, size, ink) {
                    let start = Instant::now();
                    canvas.draw(std::slice::from_ref(&op)).unwrap();
                    if start.elapsed() > slowest.0 {
                        slowest = (start.elapsed(), format!("{op:?}"));
                    }
                }
            }
        }
    }
    // Far above what a loaded machine needs, far below a loop over 2³¹ pixels.
    assert!(slowest.0 < Duration::from_secs(20), "{slowest:?}");
}

#[test]
fn what_is_out_of_proportion_is_refused() {
    let mut canvas = crate::blank(64, 16_000);
    let ink = Ink::opaque(1, 2, 3);
    let zigzag: Vec<Point> = (0..40_000).map(|i| Point { x: i % 64, y: if i % 2 == 0 { 0 } else { 15_999 } }).collect();
    for (fill, stroke) in [(Some(ink), None), (None, Some(Stroke { ink, width: 3 }))] {
        let op = DrawOp::Path(Path { points: zigzag.clone(), closed: true, fill, stroke });
        assert!(matches!(canvas.draw(&[op]), Err(ImageError::Invalid(reason)) if reason.contains("too complex")));
    }
    let areas = vec![Area { x: 1, y: 0, width: 2, height: 16_000 }; 20_000];
    let op = DrawOp::Outside(Outside { areas, ink });
    assert!(matches!(canvas.draw(&[op]), Err(ImageError::Invalid(reason)) if reason.contains("too complex")));
    assert_eq!(canvas.painted(), 0);
}

#[test]
fn numbers_that_are_none_are_refused() {
    let ink = Ink::opaque(1, 2, 3);
    let ellipse = |start_angle, end_angle| {
        DrawOp::Ellipse(Ellipse {
            center: Point::default(),
            radius_x: 5,
            radius_y: 5,
            start_angle,
            end_angle,
            fill: Some(ink),
            stroke: None,
        })
    };
    let text = |height| DrawOp::Text(Text { content: "x".into(), at: Point::default(), height, ink, background: None });
    let mut canvas = crate::blank(64, 64);
    for op in [
        ellipse(f32::NAN, 0.0),
        ellipse(0.0, f32::INFINITY),
        text(f32::NAN),
        text(f32::INFINITY),
        text(0.0),
        text(-14.0),
        text(5000.0),
    ] {
        assert!(matches!(canvas.draw(&[op]), Err(ImageError::Invalid(_))));
    }
}

#[test]
fn any_operation_on_any_image_ends() {
    let work = Work::default();
    let sizes = [(1, 1), (1, 300), (300, 1), (2, 3)];
    for (format, (width, height)) in PixelFormat::ALL.into_iter().flat_map(|format| sizes.map(|size| (format, size))) {
        let eight_bits = !matches!(format, PixelFormat::Gray16 | PixelFormat::Float32);
        let pixel = [0xff, 0, 0x7f, 0x80];
        let image = Image::from_pixels(Pixels::filled(width, height, format, &pixel[..format.bytes()]).unwrap());
        let check = |what: &str, outcome: Result<(u32, u32), ImageError>, expected| {
            let expected = if eight_bits { Ok(expected) } else { Err("unsupported") };
            assert_eq!(outcome.map_err(|error| error.kind()), expected, "{what} {format:?} {width}×{height}");
        };
        let size = |image: Image| image.size();
        for &operation in Morphology::ALL {
            for (&shape, kernel) in
                KernelShape::ALL.iter().flat_map(|shape| [(255, 255), (1, 255), (254, 2)].map(|kernel| (shape, kernel)))
            {
                let outcome = image.morphology_in(&work, operation, shape, kernel, 2).map(size);
                check("morphology", outcome, (width, height));
            }
        }
        for border in [Border::Constant(Ink::opaque(1, 2, 3)), Border::Replicate, Border::Reflect101] {
            for scale in [1e-12, -1.0, 3.0, 1e12, 1e300] {
                for filter in [ResizeFilter::Nearest, ResizeFilter::Bilinear] {
                    let matrix = [scale, 0.0, -1e300, 0.0, 1.0 / scale, 1e9, 0.0, 1e-300, 1.0];
                    let outcome = image.warp_perspective_in(&work, matrix, (7, 5), filter, border).map(size);
                    // It may be too far from everything to be turned round.
                    assert!(
                        matches!(outcome, Ok((7, 5)) | Err(ImageError::Invalid(_) | ImageError::Unsupported(_))),
                        "{scale} {outcome:?}"
                    );
                    assert!(eight_bits || outcome.is_err(), "{format:?}");
                }
            }
            let margins = Margins { left: 700, bottom: 700, ..Margins::default() };
            check("pad", image.pad_in(&work, margins, border).map(size), (width + 700, height + 700));
        }
        if format == PixelFormat::Gray8 {
            for window in [3, 301, 1023] {
                for offset in [f32::MIN, -0.0, f32::MAX] {
                    let method = ThresholdMethod::BinaryInverted;
                    let outcome = image.adaptive_threshold_in(&work, window, offset, method).map(size);
                    check("adaptive", outcome, (width, height));
                }
            }
            let contours = image.contours_in(&work, Retrieval::All).unwrap().contours;
            assert_eq!(contours.len(), 1, "{width}×{height}");
        }
    }
}

#[test]
fn any_colour_has_another() {
    // 86 values a channel: every third, with both ends.
    let values = || (0..=85_u8).map(|value| 3 * value);
    let all = values().flat_map(|r| values().flat_map(move |g| values().flat_map(move |b| [r, g, b]))).collect();
    let image = Image::from_pixels(Pixels::new(86 * 86, 86, PixelFormat::Rgb8, all).unwrap());
    for (&current, &wanted) in ColorSpace::ALL.iter().flat_map(|from| ColorSpace::ALL.iter().map(move |to| (from, to)))
    {
        let other = image.convert_color_in(&Work::default(), current, wanted).unwrap();
        assert_eq!(other.size(), image.size(), "{current:?} {wanted:?}");
    }
}
