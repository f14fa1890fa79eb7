use sightflow_images::{DrawOp, Ink, Text, TextBackground, text_size};

use crate::draw::{draw, p};
use crate::filled;

const WHITE: Ink = Ink::opaque(255, 255, 255);

fn text(content: &str, x: i32, y: i32, height: f32) -> Text {
    Text { content: content.to_owned(), at: p(x, y), height, ink: WHITE, background: None }
}

/// Brightness of every pixel of a black surface that was written on.
fn written(width: u32, height: u32, text: Text) -> Vec<u8> {
    let image = draw(&filled(width, height, [0, 0, 0]), &[DrawOp::Text(text)]);
    image.pixels().unwrap().data().iter().step_by(3).copied().collect()
}

#[test]
fn text_stays_in_its_box() {
    for content in ["person 0.93", "Ägyq|", "ЖЩ Ωλ € ✓", "\u{1f600}?"] {
        for height in [8.0, 14.0, 33.5, 96.0] {
            let (width, rows) = text_size(content, height).unwrap();
            assert_eq!(rows, height.ceil() as u32);
            let (w, h) = (width + 40, rows + 40);
            let pixels = written(w, h, text(content, 20, 20, height));
            let lit = |x: u32, y: u32| pixels[(y * w + x) as usize] > 127;
            assert!((20..20 + width).any(|x| (20..20 + rows).any(|y| lit(x, y))), "{content} {height}: nothing");
            let outside = (0..h)
                .flat_map(|y| (0..w).map(move |x| (x, y)))
                .filter(|&(x, y)| (x + 1 < 20 || x > 20 + width || y + 1 < 20 || y > 20 + rows) && lit(x, y));
            assert_eq!(outside.count(), 0, "{content} {height}");
        }
    }
}

#[test]
fn sizes_add_up() {
    assert_eq!(text_size("", 20.0), Ok((0, 20)));
    let (one, two) = (text_size("m", 40.0).unwrap().0, text_size("mm", 40.0).unwrap().0);
    assert!(two.abs_diff(2 * one) <= 1 && one > 10);
    assert_eq!(text_size("a\nb", 20.0), text_size("a b", 20.0));
    for height in [f32::NAN, f32::INFINITY, -5.0, 0.0, 0.9, 4096.5] {
        let refused = text_size("x", height).unwrap_err();
        assert_eq!((refused.kind(), refused.to_string().contains("1..4096")), ("invalid", true), "{height}");
    }
    assert_eq!(text_size("x", 4096.0).map(|size| size.1), Ok(4096));
}

#[test]
fn unknown_characters_are_boxes() {
    let known = written(30, 30, text("□", 2, 2, 24.0));
    assert!(known.iter().any(|&v| v > 0));
    assert_eq!(written(30, 30, text("\u{4e2d}", 2, 2, 24.0)), known);
    assert_ne!(written(30, 30, text("A", 2, 2, 24.0)), known);
}

#[test]
fn edges_are_grey_and_opacity_counts() {
    let full = written(60, 40, text("Wo", 5, 5, 28.0));
    assert!(full.contains(&255) && full.iter().any(|&v| (1..255).contains(&v)));
    let ink = Ink { opacity: 0.5, ..WHITE };
    let half = written(60, 40, Text { ink, ..text("Wo", 5, 5, 28.0) });
    for (full, half) in full.iter().zip(&half) {
        assert!(half.abs_diff((f32::from(*full) / 2.0).round() as u8) <= 1, "{full} {half}");
    }
    assert_eq!(half.iter().max(), Some(&128));
}

#[test]
fn the_background_is_larger_by_its_padding() {
    let background = Some(TextBackground { ink: Ink::opaque(0, 0, 200), padding: 4 });
    let (width, height) = text_size("abc", 14.0).unwrap();
    let image = draw(&filled(100, 60, [0, 0, 0]), &[DrawOp::Text(Text { background, ..text("abc", 20, 20, 14.0) })]);
    let blue = |x: i64, y: i64| crate::at(&image, x as u32, y as u32)[2] == 200;
    let (right, bottom) = (i64::from(20 + width + 4), i64::from(20 + height + 4));
    assert!(blue(16, 16) && blue(right - 1, bottom - 1) && blue(16, bottom - 1));
    assert!(!blue(15, 16) && !blue(16, 15) && !blue(right, bottom - 1) && !blue(right - 1, bottom));
}

#[test]
fn clipping_does_not_move_text() {
    let whole = written(120, 60, text("Clipped", 30, 20, 20.0));
    let part = written(40, 30, text("Clipped", -10, 5, 20.0));
    for y in 0..30 {
        assert_eq!(part[y * 40..][..40], whole[(y + 15) * 120 + 40..][..40], "row {y}");
    }
}
