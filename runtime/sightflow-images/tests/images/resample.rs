use sightflow_images::{Area, Fit, Image, PixelFormat, Pixels, ResizeFilter, thumbnail};

use crate::{at, filled, gradient, gray};

const FILTERS: [ResizeFilter; 5] =
    [ResizeFilter::Nearest, ResizeFilter::Bilinear, ResizeFilter::Bicubic, ResizeFilter::Lanczos3, ResizeFilter::Area];

#[test]
fn sampling_is_at_pixel_centres() {
    use ResizeFilter::{Area, Bicubic, Bilinear, Nearest};
    let cases: [(&[u8], u32, ResizeFilter, &[u8]); 11] = [
        // src = (dst + ½)/2 − ½ = −.25, .25, .75, 1.25; edges clamped.
        (&[0, 100], 4, Bilinear, &[0, 25, 75, 100]),
        (&[0, 100], 4, Nearest, &[0, 0, 100, 100]),
        (&[0, 100], 4, Area, &[0, 0, 100, 100]),
        (&[0, 100, 200], 1, Nearest, &[100]),
        (&[10, 20, 30, 40], 2, Area, &[15, 35]),
        // One pixel and a half each.
        (&[0, 90, 180], 2, Area, &[30, 150]),
        (&[10, 20, 90], 4, Area, &[10, 20, 20, 90]),
        // The widened triangle at centre 0.5 weighs −1..2 with 1/8 3/8 3/8 1/8; pixel −1 is clamped to pixel 0.
        (&[0, 80, 160, 240], 2, Bilinear, &[50, 190]),
        (&[0, 0, 0, 240], 2, Bilinear, &[0, 120]),
        // Catmull-Rom at ±¼: −.0703 .8672 .2266 −.0234 of 0 0 200 200.
        (&[0, 0, 200, 200], 8, Bicubic, &[0, 0, 0, 41, 159, 214, 205, 200]),
        (&[7], 5, Bilinear, &[7; 5]),
    ];
    for (row, width, filter, expected) in cases {
        let image = gray(row.len() as u32, 1, row).resize(width, 1, filter).unwrap();
        let found = image.pixels().unwrap().data().to_vec();
        let near = found.iter().zip(expected).all(|(a, b)| a.abs_diff(*b) <= 1);
        assert!(near && found.len() == expected.len(), "{row:?} {filter:?}: {found:?}, not {expected:?}");
        // The same down a column.
        let column = gray(1, row.len() as u32, row).resize(1, width, filter).unwrap();
        assert_eq!(column.pixels().unwrap().data(), found, "{row:?} {filter:?}");
    }
}

#[test]
fn one_colour_stays_that_colour() {
    for filter in FILTERS {
        for (width, height) in [(1, 1), (7, 3), (50, 40), (333, 9), (16, 200)] {
            let image = filled(50, 30, [255, 131, 1]).resize(width, height, filter).unwrap();
            assert_eq!(image.size(), (width, height));
            assert!(
                image.pixels().unwrap().data().as_chunks::<3>().0.iter().all(|p| *p == [255, 131, 1]),
                "{filter:?}"
            );
        }
    }
    for sigma in [0.3, 1.1, 5.0, 20.0, 20.5, 100.0, 1000.0] {
        let image = filled(37, 23, [255, 131, 1]).blur(sigma).unwrap();
        assert!(image.pixels().unwrap().data().as_chunks::<3>().0.iter().all(|p| *p == [255, 131, 1]), "{sigma}");
    }
}

#[test]
fn sizes_are_limited() {
    for (width, height, kind) in [(0, 5, "invalid"), (16_385, 1, "too_large"), (16_384, 16_384, "too_large")] {
        assert_eq!(gradient(4, 4).resize(width, height, ResizeFilter::Bilinear).unwrap_err().kind(), kind);
    }
}

#[test]
fn transparent_pixels_lend_no_colour() {
    let pixels = Pixels::new(2, 1, PixelFormat::Rgba8, vec![200, 0, 0, 255, 0, 200, 0, 0]).unwrap();
    let image = Image::from_pixels(pixels).resize(1, 1, ResizeFilter::Area).unwrap();
    let found = at(&image, 0, 0);
    assert!(found[0].abs_diff(200) <= 2 && found[1] == 0 && found[3].abs_diff(128) <= 1, "{found:?}");
}

#[test]
fn quarter_turns_and_mirrors() {
    let image = gradient(640 / 4, 480 / 4);
    let (w, h) = image.size();
    let (x, y) = (25, 12);
    let pixel = at(&image, x, y);
    for (turns, mirror, size, to) in [
        (0, true, (w, h), (w - 1 - x, y)),
        (1, false, (h, w), (h - 1 - y, x)),
        (2, false, (w, h), (w - 1 - x, h - 1 - y)),
        (3, false, (h, w), (y, w - 1 - x)),
        (5, false, (h, w), (h - 1 - y, x)),
        // Mirrored after the turn: top to bottom.
        (2, true, (w, h), (x, h - 1 - y)),
        (1, true, (h, w), (y, x)),
    ] {
        let turned = image.rotate(turns, mirror).unwrap();
        assert_eq!(turned.size(), size, "{turns} {mirror}");
        assert_eq!(at(&turned, to.0, to.1), pixel, "{turns} {mirror}");
    }
    let back = image.rotate(1, false).unwrap().rotate(3, false).unwrap();
    assert_eq!(*back.pixels().unwrap(), *image.pixels().unwrap());
}

#[test]
fn blur_is_gaussian_and_reflects_at_the_border() {
    // An impulse of 255 in the middle: the kernel itself.
    let mut data = vec![0; 41 * 41];
    data[20 * 41 + 20] = 255;
    let blurred = gray(41, 41, &data).blur(1.0).unwrap().pixels().unwrap();
    for (dx, dy) in [(0, 0), (1, 0), (1, 1), (2, 0), (0, 3), (20, 20)] {
        let expected = 255.0 * (-0.5 * f64::from(dx * dx + dy * dy)).exp() / (2.0 * std::f64::consts::PI);
        let found = f64::from(blurred.get(20 + dx as u32, 20 + dy as u32)[0]);
        assert!((found - expected).abs() <= 1.0, "({dx}, {dy}): {found}, not {expected}");
    }
    // Reflect-101: the border pixel is not repeated. Of 90 0 0 … the border keeps w0, the next gets w1.
    let row = gray(9, 1, &[90, 0, 0, 0, 0, 0, 0, 0, 0]).blur(1.0).unwrap().pixels().unwrap();
    assert_eq!(row.data()[..3], [36, 22, 5]);
    for sigma in [-1.0, f32::NAN, f32::INFINITY, 1001.0] {
        assert_eq!(gradient(4, 4).blur(sigma).unwrap_err().kind(), "invalid", "{sigma}");
    }
}

#[test]
fn a_wide_blur_spreads_as_far_as_a_gaussian() {
    for sigma in [19.9f32, 20.1, 25.0, 40.0] {
        let mut data = vec![0; 601];
        data[290..311].fill(255);
        let line = gray(601, 1, &data).blur(sigma).unwrap().pixels().unwrap();
        let total: f64 = line.data().iter().map(|&v| f64::from(v)).sum();
        let spread: f64 = line.data().iter().zip(-300i32..).map(|(&v, x)| f64::from(v) * f64::from(x * x)).sum();
        // The variance of 21 pixels is (21² − 1)/12.
        let found = (spread / total - 440.0 / 12.0).sqrt();
        assert!((found / f64::from(sigma) - 1.0).abs() < 0.03, "{sigma}: {found}");
    }
}

#[test]
fn histograms_count_every_channel() {
    let image = gradient(16, 4).crop(Area { x: 2, y: 1, width: 3, height: 2 }).unwrap();
    let tables = image.histogram().unwrap();
    assert_eq!(tables.len(), 3);
    let counts = |channel: usize| {
        (0..20).filter(|&v| tables[channel][v] > 0).map(|v| (v, tables[channel][v])).collect::<Vec<_>>()
    };
    assert_eq!(counts(0), [(2, 2), (3, 2), (4, 2)]);
    assert_eq!(counts(1), [(1, 3), (2, 3)]);
    assert_eq!(counts(2), [(3, 1), (4, 2), (5, 2), (6, 1)]);
}

#[test]
fn thumbnails_fit() {
    for ((w, h), frame, fit, expected) in [
        ((640, 480), (256, 256), Fit::Contain, (256, 192)),
        ((480, 640), (256, 256), Fit::Contain, (192, 256)),
        ((100, 50), (256, 256), Fit::Contain, (100, 50)),
        ((1000, 2), (100, 100), Fit::Contain, (100, 1)),
        ((640, 480), (128, 128), Fit::Cover, (128, 128)),
        ((3, 2), (50, 100), Fit::Cover, (50, 100)),
    ] {
        let small = thumbnail(&filled(w, h, [9, 8, 7]), frame.0, frame.1, fit).unwrap();
        assert_eq!(small.size(), expected, "{w}×{h} in {frame:?} {fit:?}");
        assert_eq!(at(&small, 0, 0), [9, 8, 7]);
    }
    // Cover keeps the middle.
    let mut data = vec![0; 30];
    data[10..20].fill(200);
    let middle = thumbnail(&gray(30, 1, &data), 10, 1, Fit::Cover).unwrap();
    assert!(middle.pixels().unwrap().data()[2..8].contains(&200));
}
