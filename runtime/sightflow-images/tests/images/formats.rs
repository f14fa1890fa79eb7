use sightflow_images::{
    Area, Canvas, DrawOp, EncodeFormat, Image, Ink, Mask, MaskOrder, PixelFormat, Pixels, ResizeFilter, encode,
};

use crate::{at, blank, gradient};

fn shorts(width: u32, height: u32, values: &[u16]) -> Image {
    let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Image::from_pixels(Pixels::new(width, height, PixelFormat::Gray16, data).unwrap())
}

fn numbers(width: u32, height: u32, values: &[f32]) -> Image {
    let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Image::from_pixels(Pixels::new(width, height, PixelFormat::Float32, data).unwrap())
}

fn bytes(image: &Image) -> Vec<u8> {
    image.pixels().unwrap().data().to_vec()
}

#[test]
fn names_lead_back() {
    for format in PixelFormat::ALL {
        assert_eq!(format.name().parse(), Ok(format));
    }
    for filter in ResizeFilter::ALL {
        assert_eq!(filter.name().parse(), Ok(filter));
    }
    assert_eq!("gray32".parse::<PixelFormat>().unwrap_err().kind(), "invalid");
    assert_eq!("cubic".parse::<ResizeFilter>().unwrap_err().kind(), "invalid");
}

#[test]
fn grey_converts_by_its_range() {
    let gray = |image: &Image| bytes(&image.convert(PixelFormat::Gray8).unwrap());
    assert_eq!(gray(&shorts(5, 1, &[0, 128, 129, 257, 65_535])), [0, 0, 1, 1, 255]);
    let floats = [-1.0, 0.0, 0.5, 1.0, 7.0, f32::NAN, f32::INFINITY];
    assert_eq!(gray(&numbers(7, 1, &floats)), [0, 0, 128, 255, 255, 0, 255]);
    let all = crate::gray(256, 1, &(0..=255).collect::<Vec<u8>>());
    for format in [PixelFormat::Gray16, PixelFormat::Float32] {
        assert_eq!(
            bytes(&all.convert(format).unwrap().convert(PixelFormat::Gray8).unwrap()),
            bytes(&all),
            "{format:?}"
        );
    }
    let wide = crate::gray(1, 1, &[2]);
    assert_eq!(bytes(&wide.convert(PixelFormat::Gray16).unwrap()), 514u16.to_le_bytes());
    assert_eq!(bytes(&wide.convert(PixelFormat::Float32).unwrap()), (2.0f32 / 255.0).to_le_bytes());
    assert_eq!(at(&shorts(1, 1, &[65_535]).convert(PixelFormat::Rgba8).unwrap(), 0, 0), [255; 4]);
}

#[test]
fn wide_pixels_are_moved_whole() {
    let image = shorts(3, 2, &[1, 300, 3, 4, 5, 600]);
    assert_eq!(bytes(&image.rotate(1, false).unwrap()), bytes(&shorts(2, 3, &[4, 1, 5, 300, 600, 3])));
    let area = Area { x: 1, y: 0, width: 2, height: 2 };
    assert_eq!(bytes(&image.crop(area).unwrap()), bytes(&shorts(2, 2, &[300, 3, 5, 600])));
    assert_eq!(image.read(area, PixelFormat::Gray16).unwrap(), bytes(&shorts(2, 2, &[300, 3, 5, 600])));
    assert_eq!(bytes(&image.resize(6, 2, ResizeFilter::Nearest).unwrap())[..6], [1, 0, 1, 0, 44, 1]);
    let mean = numbers(2, 2, &[-2.0, 0.25, 0.25, 3.5]).resize(1, 1, ResizeFilter::Area).unwrap();
    assert_eq!(bytes(&mean), 0.5f32.to_le_bytes());
    let mean = shorts(2, 1, &[1000, 3000]).resize(1, 1, ResizeFilter::Bilinear).unwrap();
    assert_eq!(bytes(&mean), 2000u16.to_le_bytes());
}

#[test]
fn what_needs_eight_bits_says_so() {
    for image in [shorts(2, 2, &[0; 4]), numbers(2, 2, &[0.0; 4])] {
        let name = image.format().name();
        let dot = DrawOp::Rectangle(crate::draw::rectangle((0, 0), (1, 1), Some(Ink::opaque(1, 2, 3)), None));
        let refused = [
            Canvas::over(&image).unwrap().draw(&[dot]).unwrap_err(),
            Canvas::blank(1, 1, image.format(), Ink::opaque(0, 0, 0)).unwrap_err(),
            image.histogram().unwrap_err(),
            image.blur(1.0).unwrap_err(),
            encode(&image, EncodeFormat::Jpeg { quality: 90 }).unwrap_err(),
        ];
        for error in refused {
            assert!(error.kind() == "unsupported" && error.to_string().contains(name), "{error}");
        }
    }
    assert_eq!(encode(&numbers(1, 1, &[0.0]), EncodeFormat::Png).unwrap_err().kind(), "unsupported");
    assert!(encode(&shorts(1, 1, &[7]), EncodeFormat::Png).is_ok());
}

#[test]
fn a_blank_surface_has_its_ink() {
    let blank = |format, opacity| Canvas::blank(2, 1, format, Ink { r: 10, g: 20, b: 30, opacity });
    let pixel = |format, opacity| at(&blank(format, opacity).unwrap().finish(), 1, 0);
    assert_eq!(pixel(PixelFormat::Gray8, 1.0), [18]);
    assert_eq!(pixel(PixelFormat::Rgb8, 1.0), [10, 20, 30]);
    assert_eq!(pixel(PixelFormat::Rgba8, 0.5), [10, 20, 30, 128]);
    assert_eq!(pixel(PixelFormat::Rgba8, 0.0), [10, 20, 30, 0]);
    for (format, opacity) in [
        (PixelFormat::Rgb8, 0.5),
        (PixelFormat::Gray8, 0.0),
        (PixelFormat::Rgba8, 1.5),
        (PixelFormat::Rgba8, -0.1),
        (PixelFormat::Rgba8, f32::NAN),
    ] {
        assert_eq!(blank(format, opacity).unwrap_err().kind(), "invalid", "{format:?} {opacity}");
    }
}

/// The pixels that a mask paints on a surface of 4×3.
fn painted(area: Area, order: MaskOrder, counts: &[u32]) -> Vec<(u32, u32)> {
    let mut canvas = blank(4, 3);
    let ink = Ink::opaque(255, 255, 255);
    canvas.draw(&[DrawOp::Mask(Mask { counts: counts.to_vec(), area, order, ink })]).unwrap();
    let image = canvas.finish();
    (0..3).flat_map(|y| (0..4).map(move |x| (x, y))).filter(|&(x, y)| at(&image, x, y)[0] == 255).collect()
}

#[test]
fn masks_lie_where_they_are_put() {
    let area = |x, y, width, height| Area { x, y, width, height };
    use MaskOrder::{ColumnMajor, RowMajor};
    for (area, order, counts, expected) in [
        (area(1, 1, 2, 2), RowMajor, &[1, 2, 1][..], &[(2, 1), (1, 2)][..]),
        (area(1, 0, 2, 3), ColumnMajor, &[2, 2, 2], &[(2, 0), (1, 2)]),
        (area(-1, -1, 3, 2), RowMajor, &[0, 6], &[(0, 0), (1, 0)]),
        (area(3, 2, 9, 9), ColumnMajor, &[0, 81], &[(3, 2)]),
        (area(9, 9, 2, 2), RowMajor, &[0, 4], &[]),
        (area(i32::MIN, 0, 2, 2), ColumnMajor, &[0, 4], &[]),
        (area(0, i32::MIN, 1, u32::MAX), RowMajor, &[0, u32::MAX], &[(0, 0), (0, 1), (0, 2)]),
    ] {
        assert_eq!(painted(area, order, counts), expected, "{area:?} {order:?}");
    }
    for (area, counts) in [(area(0, 0, 2, 2), &[0, 3][..]), (area(0, 0, 2, 2), &[5]), (area(0, 0, 0, 4), &[])] {
        let mask = Mask { counts: counts.to_vec(), area, order: RowMajor, ink: Ink::opaque(1, 1, 1) };
        assert_eq!(blank(4, 3).draw(&[DrawOp::Mask(mask)]).unwrap_err().kind(), "invalid");
    }
}

#[test]
fn a_gradient_is_not_touched_by_reading_it_wide() {
    let image = gradient(3, 3);
    let wide = image.read(Area { x: 0, y: 0, width: 3, height: 3 }, PixelFormat::Gray16).unwrap();
    let gray = bytes(&image.convert(PixelFormat::Gray8).unwrap());
    assert_eq!(wide, gray.iter().flat_map(|&v| [v, v]).collect::<Vec<u8>>());
}
