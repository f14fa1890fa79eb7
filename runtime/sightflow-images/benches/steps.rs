//! What a step of `Work` takes, over a table of operations, and how long an operation that is repeated goes on after its
//! deadline. A bound in steps is a bound in time only while no operation takes much longer a step than the others, and a
//! deadline holds only while each looks at the clock. Fails where one does not.

use std::time::{Duration, Instant};

use sightflow_images::{
    Area, Border, Canvas, DrawOp, Ellipse, EncodeFormat, Flip, Image, ImageError, Ink, Margins, Mask, MaskOrder,
    Outside, Pasted, Path, PixelCache, PixelFormat, Pixels, Point, ReadOptions, Rectangle, ResizeFilter, Stroke, Text,
    ThresholdMethod, Work, encode, probe, text_size_in,
};
use sightflow_types::Digest;

/// Nanoseconds a step in a release build; beyond it, a bound of 10 billion steps is no bound of half a minute.
const MOST: f64 = 6.0;

/// How long an operation may go on, and when it must have ended.
const WALL: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_millis(200);

type Operation = Box<dyn Fn(&Work) -> Result<(), ImageError>>;

fn image(width: u32, height: u32, format: PixelFormat) -> Image {
    let length = width as usize * height as usize * format.channels();
    Image::from_pixels(Pixels::new(width, height, format, (0..length).map(|i| i as u8).collect()).expect("fits"))
}

fn draws(width: u32, height: u32, op: DrawOp) -> Operation {
    Box::new(move |work| {
        let mut canvas = Canvas::blank_in(work, width, height, PixelFormat::Rgb8, Ink::opaque(0, 0, 0))?;
        canvas.draw_in(work, std::slice::from_ref(&op))
    })
}

/// A file of this picture, unpacked each time.
fn unpacks(format: EncodeFormat, picture: &Image) -> Operation {
    let file = encode(picture, format).expect("written");
    let found = probe(&file).expect("just written");
    Box::new(move |work| {
        let options = ReadOptions { cache: Some(PixelCache::new(0)), ..ReadOptions::default() };
        let image = Image::from_encoded_with(file.clone(), Digest::from_bytes([1; 32]), found, options);
        image.resize_in(work, 8, 8, ResizeFilter::Nearest).map(drop)
    })
}

fn operations() -> Vec<(&'static str, Operation)> {
    let ink = Ink::opaque(255, 0, 0);
    let half = Ink { opacity: 0.5, ..ink };
    let thin = Some(Stroke { ink, width: 1 });
    let thick = Some(Stroke { ink: half, width: 9 });
    let at = |x, y| Point { x, y };
    let rectangle =
        |to: Point, fill, stroke| DrawOp::Rectangle(Rectangle { from: at(0, 0), to, corner_radius: 9, fill, stroke });
    let ellipse = |radius: u32, end_angle: f32, fill, stroke| {
        let (radius_x, radius_y) = (radius, radius);
        DrawOp::Ellipse(Ellipse { center: at(0, 0), radius_x, radius_y, start_angle: 0.0, end_angle, fill, stroke })
    };
    let zigzag = |edges: i32, left: i32, fill, stroke| {
        let points = (0..edges).map(|i| at(left + i % 64, if i % 2 == 0 { 0 } else { 16_000 })).collect();
        DrawOp::Path(Path { points, closed: true, fill, stroke })
    };
    let text =
        |content: String, height| DrawOp::Text(Text { content, at: at(0, 0), height, ink: half, background: None });
    let areas = vec![Area { x: 3, y: 0, width: 9, height: 16_000 }; 500];
    let rgb = image(3000, 2000, PixelFormat::Rgb8);
    let rgba = image(2000, 2000, PixelFormat::Rgba8);
    let wide = image(3000, 2000, PixelFormat::Gray8);
    let on = |image: &Image, operation: fn(&Image, &Work) -> Result<(), ImageError>| -> Operation {
        let image = image.clone();
        Box::new(move |work| operation(&image, work))
    };
    vec![
        ("rectangle, filled", draws(4000, 4000, rectangle(at(3999, 3999), Some(ink), None))),
        ("rectangle, blended", draws(4000, 4000, rectangle(at(3999, 3999), Some(half), None))),
        ("rectangle, rows only", draws(1, 16_000, rectangle(at(0, 16_000), None, thick))),
        ("ellipse", draws(4000, 4000, ellipse(3999, 360.0, Some(half), None))),
        ("curve", draws(8, 8, ellipse(4000, 360.0, None, thin))),
        ("curve, thick", draws(4000, 4000, ellipse(3999, 200.0, None, thick))),
        ("sector", draws(4000, 4000, ellipse(3999, 80.0, Some(half), None))),
        ("polygon, 2000 edges", draws(64, 16_000, zigzag(2000, 0, Some(half), None))),
        ("polyline", draws(64, 16_000, zigzag(2000, 0, None, thin))),
        ("polyline, thick", draws(64, 16_000, zigzag(2000, 0, None, thick))),
        ("polyline, thick, beside", draws(64, 16_000, zigzag(60_000, -100, None, thick))),
        ("text", draws(4000, 200, text("Sphinx of black quartz ".repeat(100), 30.0))),
        ("text, large", draws(4000, 4000, text("Ag".repeat(4), 3000.0))),
        ("text, beside", draws(8, 8, text("m".repeat(4000), 30.0))),
        ("text, measured", Box::new(|work| text_size_in(work, &"m".repeat(200_000), 30.0).map(drop))),
        (
            "mask",
            draws(
                4000,
                4000,
                DrawOp::Mask(Mask {
                    counts: vec![1; 16_000_000],
                    area: Area { x: 0, y: 0, width: 4000, height: 4000 },
                    order: MaskOrder::RowMajor,
                    ink: half,
                }),
            ),
        ),
        ("areas", draws(64, 16_000, DrawOp::Outside(Outside { areas, ink: half }))),
        ("image", draws(3000, 2000, DrawOp::Image(Pasted { source: rgb.clone(), at: at(0, 0), opacity: 1.0 }))),
        (
            "image, blended",
            draws(3000, 2000, DrawOp::Image(Pasted { source: rgb.clone(), at: at(0, 0), opacity: 0.5 })),
        ),
        ("image, alpha", draws(2000, 2000, DrawOp::Image(Pasted { source: rgba.clone(), at: at(0, 0), opacity: 0.5 }))),
        ("resize, nearest", on(&rgb, |image, work| image.resize_in(work, 5000, 3000, ResizeFilter::Nearest).map(drop))),
        ("resize, area", on(&rgb, |image, work| image.resize_in(work, 700, 500, ResizeFilter::Area).map(drop))),
        ("resize, bilinear", on(&rgb, |image, work| image.resize_in(work, 640, 640, ResizeFilter::Bilinear).map(drop))),
        (
            "resize, lanczos",
            on(&rgba, |image, work| image.resize_in(work, 5000, 500, ResizeFilter::Lanczos3).map(drop)),
        ),
        ("resize, one pixel", on(&rgb, |image, work| image.resize_in(work, 1, 1, ResizeFilter::Lanczos3).map(drop))),
        ("jpeg", unpacks(EncodeFormat::Jpeg { quality: 90 }, &rgb)),
        ("png", unpacks(EncodeFormat::Png, &rgb)),
        ("webp", unpacks(EncodeFormat::Webp, &rgb)),
        ("rotate", on(&rgb, |image, work| image.rotate_in(work, 1, true).map(drop))),
        ("convert", on(&rgba, |image, work| image.convert_in(work, PixelFormat::Gray8).map(drop))),
        ("threshold", on(&rgb, |image, work| image.threshold_in(work, 99.5, 255.0, ThresholdMethod::Binary).map(drop))),
        ("Otsu's level", on(&wide, |image, work| image.otsu_level_in(work).map(drop))),
        ("blend", on(&rgb, |image, work| image.blend_in(work, 0.7, image, 0.3, 1.0).map(drop))),
        ("difference", on(&rgb, |image, work| image.absolute_difference_in(work, image).map(drop))),
        ("flip", on(&rgb, |image, work| image.flip_in(work, Flip::Vertical).map(drop))),
        (
            "pad",
            on(&rgb, |image, work| {
                image.pad_in(work, Margins { left: 999, ..Margins::default() }, Border::Reflect101).map(drop)
            }),
        ),
        ("keep by mask", on(&wide, |image, work| image.apply_mask_in(work, image, Ink::opaque(9, 9, 9)).map(drop))),
        ("composite", on(&wide, |image, work| image.composite_in(work, image, image).map(drop))),
        ("mean", on(&rgb, |image, work| image.mean_in(work, None).map(drop))),
        ("histogram", on(&rgb, |image, work| image.histogram_in(work).map(drop))),
        ("blur, σ 1", on(&rgb, |image, work| image.blur_in(work, 1.0).map(drop))),
        ("blur, σ 20", on(&rgb, |image, work| image.blur_in(work, 20.0).map(drop))),
        ("blur, σ 1000", on(&rgb, |image, work| image.blur_in(work, 1000.0).map(drop))),
        ("blur, thin", on(&image(1, 16_000, PixelFormat::Gray8), |image, work| image.blur_in(work, 1000.0).map(drop))),
        (
            "canvas",
            on(&rgb, |image, work| {
                let dot = Rectangle {
                    from: Point::default(),
                    to: Point::default(),
                    corner_radius: 0,
                    fill: Some(Ink::opaque(0, 0, 0)),
                    stroke: None,
                };
                Canvas::over_in(work, image)?.draw_in(work, &[DrawOp::Rectangle(dot)])
            }),
        ),
    ]
}

/// How long it takes until an operation that would go on for ever meets its deadline.
fn stopped(operation: &Operation) -> Duration {
    let start = Instant::now();
    let work = Work::default().until(start + WALL);
    while operation(&work).is_ok() {}
    start.elapsed()
}

fn main() {
    println!("{:<26} {:>12} {:>10} {:>8} {:>12}", "operation", "steps", "ms", "ns/step", "stopped, ms");
    let (mut slow, mut late) = (Vec::new(), Vec::new());
    for (name, operation) in operations() {
        let mut best = Duration::MAX;
        let mut steps = 0;
        for _ in 0..3 {
            let work = Work::default();
            let start = Instant::now();
            operation(&work).expect("no bound");
            best = best.min(start.elapsed());
            steps = work.spent();
        }
        let each = best.as_nanos() as f64 / steps as f64;
        let ended = stopped(&operation);
        println!(
            "{name:<26} {steps:>12} {:>10.2} {each:>8.2} {:>12.1}",
            best.as_secs_f64() * 1e3,
            ended.as_secs_f64() * 1e3
        );
        if each > MOST {
            slow.push(name);
        }
        if ended > LAST {
            late.push(name);
        }
    }
    if cfg!(not(debug_assertions)) {
        assert!(slow.is_empty(), "more than {MOST} ns a step: {slow:?}");
        assert!(late.is_empty(), "more than {LAST:?} with a deadline of {WALL:?}: {late:?}");
    }
}
