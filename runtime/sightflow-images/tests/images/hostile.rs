//! Numbers that no friend would send. Each case must end, at once, without a panic.

use std::time::{Duration, Instant};

use sightflow_images::{
    Area, DrawOp, Ellipse, ImageError, Ink, Outside, Pasted, Path, Point, Rectangle, Stroke, Text, TextBackground,
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
