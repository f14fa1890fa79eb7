use sightflow_images::{
    Area, Canvas, DrawOp, Image, ImageError, Ink, Mask, MaskOrder, Outside, Pasted, PixelFormat, Pixels, Rectangle,
    Stroke,
};

use crate::draw::{RED, draw, p, path, rectangle};
use crate::{at, filled, gradient};

const HALF_RED: Ink = Ink { r: 255, g: 0, b: 0, opacity: 0.5 };

fn mask(counts: &[u32], (width, height): (u32, u32), ink: Ink) -> DrawOp {
    DrawOp::Mask(Mask {
        counts: counts.to_vec(),
        area: Area { x: 0, y: 0, width, height },
        order: MaskOrder::RowMajor,
        ink,
    })
}

#[test]
fn the_mask_of_the_specification() {
    let image = draw(&filled(4, 4, [0, 0, 0]), &[mask(&[5, 2, 2, 2, 5], (4, 4), HALF_RED)]);
    for (x, y) in (0..4).flat_map(|y| (0..4).map(move |x| (x, y))) {
        let inside = (1..3).contains(&x) && (1..3).contains(&y);
        assert_eq!(at(&image, x, y), if inside { [128, 0, 0] } else { [0, 0, 0] }, "({x}, {y})");
    }
}

#[test]
fn runs_go_on_over_rows() {
    let image = draw(&filled(3, 3, [0, 0, 0]), &[mask(&[0, 1, 1, 5, 0, 1, 1], (3, 3), RED)]);
    let red: Vec<bool> = image.pixels().unwrap().data().as_chunks::<3>().0.iter().map(|p| p[0] == 255).collect();
    assert_eq!(red, [true, false, true, true, true, true, true, true, false]);
}

#[test]
fn masks_that_do_not_fit_are_refused() {
    let mut canvas = Canvas::over(&filled(3, 3, [0, 0, 0])).unwrap();
    for op in [
        mask(&[4, 4], (3, 3), RED),
        mask(&[0, 10], (3, 3), RED),
        mask(&[u32::MAX, u32::MAX], (3, 3), RED),
        mask(&[], (3, 3), RED),
    ] {
        assert!(matches!(canvas.draw(&[op]), Err(ImageError::Invalid(_))));
    }
}

#[test]
fn blending_is_rounded_exactly() {
    for opacity in [0.01f32, 0.1, 0.25, 0.3, 0.5, 0.75, 0.9, 0.99] {
        let ink = Ink { r: 255, g: 90, b: 0, opacity };
        let base = Image::from_pixels(
            Pixels::new(256, 1, PixelFormat::Rgb8, (0..=255).flat_map(|v| [v, v, v]).collect()).unwrap(),
        );
        let image = draw(&base, &[DrawOp::Rectangle(rectangle((0, 0), (255, 0), Some(ink), None))]);
        for v in 0..256u32 {
            let expected = [255.0, 90.0, 0.0]
                .map(|c| (f64::from(opacity) * c + (1.0 - f64::from(opacity)) * f64::from(v)).round() as u8);
            assert_eq!(at(&image, v, 0), expected, "{opacity} over {v}");
        }
    }
}

#[test]
fn a_layer_blends_every_pixel_once() {
    let stroke = Some(Stroke { ink: HALF_RED, width: 5 });
    // Crosses itself, turns back on itself, and has joints.
    let crossing = sightflow_images::Path {
        stroke,
        ..path(&[(5, 5), (40, 40), (40, 5), (5, 40), (40, 40), (5, 5)], true, None, None)
    };
    let filled_path = path(&[(5, 5), (40, 8), (30, 40)], true, Some(HALF_RED), None);
    let frame = Rectangle { stroke, corner_radius: 6, ..rectangle((3, 3), (44, 44), None, None) };
    for op in [DrawOp::Path(crossing), DrawOp::Path(filled_path), DrawOp::Rectangle(frame)] {
        let image = draw(&filled(48, 48, [0, 0, 0]), std::slice::from_ref(&op));
        let pixels = image.pixels().unwrap();
        assert!(pixels.data().as_chunks::<3>().0.iter().all(|p| p[0] == 0 || p[0] == 128), "{op:?}");
        assert!(pixels.data().as_chunks::<3>().0.iter().any(|p| p[0] == 128), "{op:?}");
    }
    // Two layers blend twice.
    let both = rectangle((2, 2), (10, 10), Some(HALF_RED), None);
    let image = draw(&filled(20, 20, [0, 0, 0]), &[DrawOp::Rectangle(both.clone()), DrawOp::Rectangle(both)]);
    assert_eq!(at(&image, 5, 5), [192, 0, 0]);
}

#[test]
fn no_opacity_changes_nothing() {
    for opacity in [0.0, -1.0, f32::NAN] {
        let op = DrawOp::Rectangle(rectangle((0, 0), (9, 9), Some(Ink { opacity, ..RED }), None));
        let base = gradient(10, 10);
        assert_eq!(*draw(&base, &[op]).pixels().unwrap(), *base.pixels().unwrap(), "{opacity}");
    }
    let op = DrawOp::Rectangle(rectangle((0, 0), (9, 9), Some(Ink { opacity: 7.0, ..RED }), None));
    assert_eq!(at(&draw(&gradient(10, 10), &[op]), 3, 3), [255, 0, 0]);
}

#[test]
fn outside_is_what_no_area_covers() {
    let area = |x, y, width, height| Area { x, y, width, height };
    let cases: [(&[Area], &[&str]); 5] = [
        (&[], &["#####", "#####", "#####"]),
        (&[area(1, 1, 2, 1)], &["#####", "#..##", "#####"]),
        (&[area(-3, -3, 5, 5), area(1, 1, 3, 9)], &["..###", "....#", "#...#"]),
        (&[area(0, 0, 5, 3), area(2, 2, 1, 1)], &[".....", ".....", "....."]),
        (
            &[area(9, 0, 1, 1), area(3, 0, u32::MAX, 1), area(0, 0, 1, 3), area(0, 2, 2, 1)],
            &[".##..", ".####", "..###"],
        ),
    ];
    for (areas, expected) in cases {
        let op = DrawOp::Outside(Outside { areas: areas.to_vec(), ink: RED });
        assert_eq!(crate::draw::sketch(5, 3, op), expected, "{areas:?}");
    }
}

#[test]
fn images_are_pasted_with_opacity_and_alpha() {
    let paste = |source: Image, x, y, opacity| DrawOp::Image(Pasted { source, at: p(x, y), opacity });
    let base = filled(10, 10, [0, 0, 0]);
    let clear = Image::from_pixels(Pixels::filled(4, 4, PixelFormat::Rgba8, &[200, 100, 0, 51]).unwrap());
    for (source, opacity, expected) in [
        (filled(4, 4, [200, 100, 50]), 1.0, [200, 100, 50]),
        (filled(4, 4, [200, 100, 51]), 0.5, [100, 50, 26]),
        (filled(4, 4, [200, 100, 50]).convert(PixelFormat::Gray8).unwrap(), 1.0, [124, 124, 124]),
        (clear.clone(), 1.0, [40, 20, 0]),
        (clear, 0.5, [20, 10, 0]),
        (filled(4, 4, [200, 100, 50]), 0.0, [0, 0, 0]),
    ] {
        let image = draw(&base, &[paste(source, 8, 8, opacity)]);
        assert_eq!((at(&image, 9, 9), at(&image, 7, 9)), (expected.to_vec(), vec![0, 0, 0]));
    }
    // Clipped at the top left: the part that shows is the lower right one.
    let image = draw(&base, &[paste(gradient(30, 30), -20, -25, 1.0)]);
    assert_eq!(
        (at(&image, 0, 0), at(&image, 9, 4), at(&image, 9, 5)),
        (vec![20, 25, 45], vec![29, 29, 58], vec![0, 0, 0])
    );
}

#[test]
fn writing_replaces_an_area() {
    let mut canvas = Canvas::blank(4, 3, PixelFormat::Rgb8, Ink::opaque(9, 9, 9)).unwrap();
    let area = Area { x: 1, y: 1, width: 2, height: 2 };
    canvas.write(area, PixelFormat::Gray8, &[1, 2, 3, 4]).unwrap();
    assert_eq!(canvas.write(area, PixelFormat::Rgb8, &[0; 11]).unwrap_err().kind(), "invalid");
    assert_eq!(canvas.write(Area { x: 3, ..area }, PixelFormat::Gray8, &[0; 4]).unwrap_err().kind(), "out_of_bounds");
    assert_eq!(canvas.painted(), 4);
    let image = canvas.finish();
    assert_eq!((at(&image, 2, 2), at(&image, 1, 1), at(&image, 0, 0)), (vec![4; 3], vec![1; 3], vec![9; 3]));
}

#[test]
fn the_base_is_never_changed() {
    let base = gradient(30, 30);
    let before = base.pixels().unwrap().data().to_vec();
    let crop = base.crop(Area { x: 5, y: 5, width: 10, height: 10 }).unwrap();
    for target in [&base, &crop] {
        let image = draw(target, &[DrawOp::Rectangle(rectangle((0, 0), (4, 4), Some(RED), None))]);
        assert_eq!((at(&image, 0, 0), image.size()), (vec![255, 0, 0], target.size()));
    }
    assert_eq!(base.pixels().unwrap().data(), before);
}
