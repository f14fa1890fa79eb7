//! What operations cost, and how they end.

use std::time::{Duration, Instant};

use sightflow_images::{
    Allowance, Area, DrawOp, Ellipse, EncodeFormat, Image, ImageError, Ink, Mask, MaskOrder, Outside, Pasted, Path,
    PixelCache, Point, ReadOptions, Rectangle, ResizeFilter, Stroke, Text, TextBackground, Work, encode, probe,
    text_size_in,
};
use sightflow_types::Digest;

use crate::filled;

const INK: Ink = Ink::opaque(255, 0, 0);
const BLENDS: Ink = Ink { opacity: 0.5, ..INK };
const STROKE: Option<Stroke> = Some(Stroke { ink: INK, width: 1 });
const THICK: Option<Stroke> = Some(Stroke { ink: BLENDS, width: 9 });

fn rectangle(from: (i32, i32), to: (i32, i32), fill: Option<Ink>, stroke: Option<Stroke>) -> DrawOp {
    let point = |(x, y)| Point { x, y };
    DrawOp::Rectangle(Rectangle { from: point(from), to: point(to), corner_radius: 3, fill, stroke })
}

fn ellipse(center: (i32, i32), radius: u32, end_angle: f32, fill: Option<Ink>, stroke: Option<Stroke>) -> DrawOp {
    let center = Point { x: center.0, y: center.1 };
    DrawOp::Ellipse(Ellipse { center, radius_x: radius, radius_y: radius, start_angle: 0.0, end_angle, fill, stroke })
}

fn path(points: impl IntoIterator<Item = (i32, i32)>, fill: Option<Ink>, stroke: Option<Stroke>) -> DrawOp {
    let points = points.into_iter().map(|(x, y)| Point { x, y }).collect();
    DrawOp::Path(Path { points, closed: true, fill, stroke })
}

fn text(content: &str, at: (i32, i32), height: f32) -> DrawOp {
    let background = Some(TextBackground { ink: BLENDS, padding: 4 });
    DrawOp::Text(Text { content: content.to_owned(), at: Point { x: at.0, y: at.1 }, height, ink: INK, background })
}

/// Edges from top to bottom and back.
fn zigzag(edges: i32, left: i32, height: i32) -> impl Iterator<Item = (i32, i32)> {
    (0..edges).map(move |i| (left + i % 64, if i % 2 == 0 { 0 } else { height }))
}

/// Something that is done to an image.
type Operation<'a> = &'a dyn Fn(&Work) -> Result<(), ImageError>;

#[test]
fn what_cannot_be_seen_costs_next_to_nothing() {
    let far = i32::MIN / 2;
    let line = "a long line ".repeat(300);
    let cases = [
        ("rectangle", rectangle((-30, 0), (-10, 16_000), Some(BLENDS), THICK)),
        ("ellipse", ellipse((-9000, 9), 4096, 360.0, Some(BLENDS), STROKE)),
        ("ellipse of any size", ellipse((far, far), 500_000, 360.0, Some(INK), THICK)),
        ("arc", ellipse((-9000, 9), 4096, 90.0, Some(BLENDS), STROKE)),
        ("text to the right", text(&line, (9, 0), 30.0)),
        ("text above", text(&line, (0, -5000), 30.0)),
        ("image", DrawOp::Image(Pasted { source: filled(64, 64, [0; 3]), at: Point { x: -64, y: 0 }, opacity: 0.5 })),
        ("no ink", rectangle((0, 0), (9, 16_000), Some(Ink { opacity: f32::NAN, ..INK }), None)),
    ];
    for (name, op) in cases {
        let work = Work::default();
        let mut canvas = crate::blank(1, 16_000);
        if name == "text to the right" {
            canvas = crate::blank(1, 16);
        }
        canvas.draw_in(&work, std::slice::from_ref(&op)).unwrap();
        // A text that begins close to the edge is measured.
        let most = if name.starts_with("text to") { 200_000 } else { 200 };
        assert!(work.spent() <= most, "{name}: {} steps", work.spent());
        assert_eq!(canvas.painted(), 0, "{name}");
    }
    // Many segments of one path: a look at each.
    let op = path(zigzag(8000, -9000, 16_000), None, THICK);
    let work = Work::default();
    crate::blank(1, 16_000).draw_in(&work, &[op]).unwrap();
    assert!(work.spent() < 8000 * 64, "{} steps", work.spent());
}

/// Draw lists that would take minutes or hours, and single operations that take long.
fn endless() -> Vec<(&'static str, (u32, u32), Vec<DrawOp>)> {
    let many = |op: DrawOp, count: usize| vec![op; count];
    let letter = "\u{416}";
    vec![
        ("rectangles to the left", (1, 16_384), many(rectangle((-9, 0), (-1, 16_383), Some(INK), STROKE), 2_000_000)),
        ("rectangles", (1, 16_384), many(rectangle((0, 0), (0, 16_383), Some(INK), STROKE), 100_000)),
        ("ellipses beside it", (8, 8), many(ellipse((-5000, 0), 4096, 360.0, None, STROKE), 1_000_000)),
        ("ellipses around it", (8, 8), many(ellipse((4, 4), 4096, 360.0, Some(INK), STROKE), 100_000)),
        ("arcs", (8, 8), many(ellipse((4, 4), 4096, 359.0, Some(BLENDS), STROKE), 100_000)),
        ("a polygon", (64, 16_384), many(path(zigzag(16_384, 0, 16_384), Some(BLENDS), None), 100)),
        ("a thick polyline", (64, 16_384), many(path(zigzag(16_000, -60, 16_384), None, THICK), 100)),
        ("long texts", (64, 64), many(text(&letter.repeat(2000), (-20_000, 0), 30.0), 1_000_000)),
        ("large texts", (16_384, 4096), many(text(&letter.repeat(2000), (0, 0), 4096.0), 1000)),
        ("heights", (64, 64), (0..1_000_000).map(|i| text("Xy", (0, 0), 10.0 + i as f32 / 1e4)).collect()),
        (
            "masks",
            (4096, 4096),
            many(
                DrawOp::Mask(Mask {
                    counts: vec![1; 4096 * 4096],
                    area: Area { x: 0, y: 0, width: 4096, height: 4096 },
                    order: MaskOrder::RowMajor,
                    ink: BLENDS,
                }),
                8,
            ),
        ),
        (
            "areas",
            (64, 16_384),
            many(
                DrawOp::Outside(Outside {
                    areas: vec![Area { x: 1, y: 0, width: 9, height: 16_384 }; 10_000],
                    ink: BLENDS,
                }),
                100,
            ),
        ),
        (
            "images",
            (4096, 4096),
            many(
                DrawOp::Image(Pasted { source: filled(4096, 4096, [9; 3]), at: Point::default(), opacity: 0.5 }),
                10_000,
            ),
        ),
    ]
}

#[test]
fn any_draw_list_ends_in_time() {
    for (name, (width, height), ops) in endless() {
        let mut canvas = crate::blank(width, height);
        // The surface is the canvas's own already.
        canvas.draw(&[rectangle((0, 0), (0, 0), Some(INK), None)]).unwrap();
        let work = Work::default().until(Instant::now() + Duration::from_millis(100));
        let start = Instant::now();
        let drawn = canvas.draw_in(&work, &ops);
        let took = start.elapsed();
        // In a release build 200 ms; a debug build on a busy machine is no place to measure.
        assert!(took < Duration::from_secs(10), "{name}: {took:?}, {} steps", work.spent());
        if let Err(error) = drawn {
            assert_eq!(error, ImageError::Stopped, "{name}");
        }
    }
}

#[test]
fn steps_are_bounded_inside_of_an_operation() {
    const MOST: u64 = 3_000_000;
    for (name, (width, height), ops) in endless() {
        let mut canvas = crate::blank(width, height);
        let work = Work::default().most_steps(MOST);
        let drawn = canvas.draw_in(&work, &ops);
        assert_eq!(drawn, Err(ImageError::Allowance(Allowance::Steps)), "{name}");
        // What could not be paid for was not done: nothing was painted beyond the allowance.
        assert!(canvas.painted() <= MOST, "{name}: {} pixels", canvas.painted());
    }
    let wide = filled(2000, 2000, [1, 2, 3]);
    let spent = |operation: &dyn Fn(&Work) -> Result<(), ImageError>| {
        let work = Work::default().most_steps(MOST);
        assert_eq!(operation(&work), Err(ImageError::Allowance(Allowance::Steps)));
        work.spent()
    };
    let operations: [Operation<'_>; 8] = [
        &|work| wide.resize_in(work, 4000, 4000, ResizeFilter::Nearest).map(drop),
        &|work| wide.resize_in(work, 1000, 1000, ResizeFilter::Area).map(drop),
        &|work| wide.resize_in(work, 1000, 1000, ResizeFilter::Lanczos3).map(drop),
        &|work| wide.rotate_in(work, 1, false).map(drop),
        &|work| wide.blur_in(work, 20.0).map(drop),
        &|work| wide.convert_in(work, sightflow_images::PixelFormat::Gray8).map(drop),
        &|work| wide.histogram_in(work).map(drop),
        &|work| text_size_in(work, &"m".repeat(1 << 20), 20.0).map(drop),
    ];
    for (index, operation) in operations.iter().enumerate() {
        let spent = spent(*operation);
        // It ended where the bound is, not after the whole.
        assert!(spent < MOST + 20_000_000, "operation {index}: {spent}");
    }
}

#[test]
fn what_is_walked_is_paid_for() {
    // (operation, the least that it walks: pixels painted, rows looked at, edges crossed, elements of a kernel's line)
    let mut canvas = crate::blank(256, 2048);
    let cases = [
        ("fill", rectangle((0, 0), (255, 2047), Some(INK), None), 256 * 2048),
        ("rows", rectangle((0, 0), (0, 2047), None, STROKE), 2048),
        ("ellipse", ellipse((0, 0), 2000, 360.0, Some(BLENDS), None), 2000),
        ("curve", ellipse((0, 0), 4000, 360.0, None, STROKE), 30_000),
        ("edges", path(zigzag(300, 0, 2048), Some(BLENDS), None), 300 * 2048),
        ("thick", path(zigzag(300, 0, 2048), None, THICK), 300 * 2048),
        ("text", text(&"W".repeat(4000), (0, 0), 20.0), 4000),
        (
            "outside",
            DrawOp::Outside(Outside { areas: vec![Area { x: 0, y: 0, width: 9, height: 2048 }; 99], ink: INK }),
            99 * 2048,
        ),
    ];
    for (name, op, least) in cases {
        let work = Work::default();
        let before = canvas.painted();
        canvas.draw_in(&work, &[op]).unwrap();
        let least = least.max(canvas.painted() - before);
        assert!(work.spent() >= least, "{name}: {} of {least}", work.spent());
    }
    let line = |sigma: f32| {
        let work = Work::default();
        filled(1, 16_384, [0; 3]).blur_in(&work, sigma).unwrap();
        work.spent()
    };
    // A line of one pixel has the margins of a whole kernel.
    assert!(line(1000.0) > 16_384 * 3000, "{}", line(1000.0));
    let decoded = Work::default();
    crate::open(crate::encoded(300, 200)).0.view_in(&decoded).unwrap();
    assert!(decoded.spent() >= 300 * 200);
}

#[test]
fn a_text_has_a_length() {
    let mut canvas = crate::blank(8, 8);
    let refused = canvas.draw(&[text(&"x".repeat(4097), (0, 0), 8.0)]).unwrap_err();
    assert!(refused.to_string().contains("at most 4096"), "{refused}");
    canvas.draw(&[text(&"x".repeat(4096), (0, 0), 8.0)]).unwrap();
    let refused = canvas.draw(&[path((0..65_537).map(|i| (i, i)), None, STROKE)]).unwrap_err();
    assert!(refused.to_string().contains("at most 65536"), "{refused}");
}

#[test]
fn large_letters_are_drawn_like_small_ones() {
    // 255 pixels wide is kept whole, more comes in bands: both show the same letter.
    let letter = |height: f32, scale: u32| -> Vec<bool> {
        let mut canvas = crate::blank(40 * scale, 50 * scale);
        let op = Text { content: "R".into(), at: Point::default(), height, ink: INK, background: None };
        canvas.draw(&[DrawOp::Text(op)]).unwrap();
        let small = canvas.finish().resize(40, 50, ResizeFilter::Area).unwrap();
        (0..2000).map(|i| crate::at(&small, i % 40, i / 40)[0] > 127).collect()
    };
    let (small, large) = (letter(160.0, 4), letter(640.0, 16));
    let differ = small.iter().zip(&large).filter(|(a, b)| a != b).count();
    assert!(small.iter().filter(|ink| **ink).count() > 200 && differ < 20, "{differ} pixels differ");
}

#[test]
fn a_watcher_stops_what_runs() {
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let seen = std::sync::Arc::clone(&asked);
    let work = Work::default().watched(move || seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 3);
    let image: Image = filled(4000, 4000, [0; 3]);
    assert_eq!(image.blur_in(&work, 20.0).map(drop), Err(ImageError::Stopped));
    assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 4);
}

#[test]
fn a_jpeg_that_would_take_too_long_is_not_begun() {
    let image = filled(4000, 4000, [90, 120, 30]);
    let jpeg = encode(&image, EncodeFormat::Jpeg { quality: 50 }).unwrap();
    let decoded = |work: Work| {
        let found = probe(&jpeg).unwrap();
        let options = ReadOptions { cache: Some(PixelCache::new(0)), ..ReadOptions::default() };
        let stored = Image::from_encoded_with(jpeg.clone(), Digest::from_bytes([3; 32]), found, options);
        stored.resize_in(&work, 8, 8, ResizeFilter::Nearest)
    };
    // 16 million pixels are said to take 192 ms.
    let refused = decoded(Work::default().until(Instant::now() + Duration::from_millis(150)));
    assert!(matches!(refused, Err(ImageError::Stopped)), "{refused:?}");
    assert!(decoded(Work::default()).is_ok());
}
