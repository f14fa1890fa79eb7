use std::sync::Arc;

use sightflow_images::{Area, Canvas, EncodeFormat, Image, ImageError, PixelFormat, Pixels, ResizeFilter, encode};
use sightflow_types::Rect;

use crate::{at, filled, gradient, open, some_digest};

const fn area(x: i32, y: i32, width: u32, height: u32) -> Area {
    Area { x, y, width, height }
}

#[test]
fn crops_nest_and_read_what_they_show() {
    let image = gradient(100, 80);
    let outer = image.crop(area(10, 20, 50, 40)).unwrap();
    let inner = outer.crop(area(5, 6, 10, 12)).unwrap();
    assert_eq!((outer.size(), inner.size()), ((50, 40), (10, 12)));
    assert_eq!(at(&inner, 3, 4), [18, 30, 48]);
    assert_eq!(inner.read(area(9, 11, 1, 1), PixelFormat::Rgb8).unwrap(), [24, 37, 61]);
    // The whole is shared, not copied.
    assert!(Arc::ptr_eq(&image.pixels().unwrap(), &image.crop(area(0, 0, 100, 80)).unwrap().pixels().unwrap()));
}

#[test]
fn areas_are_checked() {
    let image = gradient(100, 80);
    for (area, kind) in [
        (area(0, 0, 100, 80), None),
        (area(99, 79, 1, 1), None),
        (area(0, 0, 101, 80), Some("out_of_bounds")),
        (area(-1, 0, 10, 10), Some("out_of_bounds")),
        (area(i32::MAX, 0, u32::MAX, 1), Some("out_of_bounds")),
        (area(i32::MIN, i32::MIN, u32::MAX, u32::MAX), Some("out_of_bounds")),
        (area(50, 50, 0, 10), Some("invalid")),
    ] {
        assert_eq!(image.crop(area).err().map(|e| e.kind()), kind, "{area:?}");
        assert_eq!(image.read(area, PixelFormat::Gray8).err().map(|e| e.kind()), kind, "{area:?}");
    }
}

#[test]
fn a_crop_of_a_stored_image_is_a_reference_and_a_view() {
    let (image, _) = open(encode(&gradient(100, 80), EncodeFormat::Png).unwrap().to_vec());
    let whole = image.reference().unwrap();
    assert_eq!((whole.width, whole.height, whole.view, whole.format.as_deref()), (100, 80, None, Some("png")));
    let crop = image.crop(area(10, 20, 50, 40)).unwrap().crop(area(5, 6, 10, 12)).unwrap();
    let reference = crop.reference().unwrap();
    assert_eq!(reference.view, Some(Rect { x: 15, y: 26, width: 10, height: 12 }));
    assert_eq!((reference.digest, reference.width, reference.height), (whole.digest, 10, 12));
    assert!(crop.encoded().is_none() && image.encoded().is_some());
    let again = Image::from_reference(image.encoded().unwrap().clone(), &reference).unwrap();
    assert_eq!(*again.pixels().unwrap(), *crop.pixels().unwrap());
    assert_eq!(again.reference().unwrap(), reference);
    assert!(
        !again.is_same(&image)
            && crop.is_same(&crop.clone())
            && image.is_same(&again.crop(area(0, 0, 10, 12)).map(|_| image.clone()).unwrap())
    );
    let outside = sightflow_types::ImageRef { view: Some(Rect { x: 95, y: 0, width: 10, height: 1 }), ..reference };
    assert!(matches!(
        Image::from_reference(image.encoded().unwrap().clone(), &outside),
        Err(ImageError::OutOfBounds(_))
    ));
}

#[test]
fn what_changes_nothing_keeps_the_reference() {
    let (image, _) = open(encode(&gradient(40, 30), EncodeFormat::Png).unwrap().to_vec());
    let canvas = |draw: bool| {
        let mut canvas = Canvas::over(&image).unwrap();
        canvas.draw(&[]).unwrap();
        if draw {
            canvas.write(area(0, 0, 1, 1), PixelFormat::Rgb8, &[1, 2, 3]).unwrap();
        }
        canvas.finish()
    };
    for (name, same) in [
        ("resize", image.resize(40, 30, ResizeFilter::Lanczos3).unwrap()),
        ("rotate", image.rotate(4, false).unwrap()),
        ("convert", image.convert(PixelFormat::Rgb8).unwrap()),
        ("blur", image.blur(0.0).unwrap()),
        ("canvas", canvas(false)),
    ] {
        assert!(same.is_same(&image), "{name}");
        assert_eq!(same.reference(), image.reference(), "{name}");
    }
    for (name, new) in [
        ("canvas", canvas(true)),
        ("blur", image.blur(1.0).unwrap()),
        ("rotate", image.rotate(2, false).unwrap()),
        ("convert", image.convert(PixelFormat::Gray8).unwrap()),
    ] {
        assert!(!new.is_same(&image) && new.reference().is_none(), "{name}");
    }
}

#[test]
fn new_pixels_get_a_reference_once_they_are_stored() {
    let (stored, _) = open(encode(&filled(8, 6, [5; 3]), EncodeFormat::Png).unwrap().to_vec());
    let fresh = gradient(20, 10).crop(area(4, 2, 8, 6)).unwrap();
    assert!(fresh.reference().is_none());
    let reference = stored.reference().unwrap();
    let known = fresh.with_reference(reference.clone()).unwrap();
    assert_eq!(known.reference(), Some(reference.clone()));
    assert_eq!(*known.pixels().unwrap(), *fresh.pixels().unwrap());
    let part = known.crop(area(1, 2, 3, 4)).unwrap().reference().unwrap();
    assert_eq!(part.view, Some(Rect { x: 1, y: 2, width: 3, height: 4 }));
    assert!(matches!(gradient(9, 6).with_reference(reference.clone()), Err(ImageError::Invalid(_))));
    let other = sightflow_types::ImageRef { digest: some_digest(1), ..reference.clone() };
    assert_eq!(stored.with_reference(other).unwrap().reference(), Some(reference), "a stored image keeps its own");
}

#[test]
fn formats_convert() {
    let rgb = filled(1, 1, [200, 100, 50]);
    let rgba = |pixel: [u8; 4]| Image::from_pixels(Pixels::filled(1, 1, PixelFormat::Rgba8, &pixel).unwrap());
    for (image, to, expected) in [
        (rgb.clone(), PixelFormat::Gray8, vec![124]),
        (rgb.clone(), PixelFormat::Rgba8, vec![200, 100, 50, 255]),
        (rgba([0, 0, 0, 128]), PixelFormat::Rgb8, vec![127, 127, 127]),
        (rgba([200, 100, 50, 255]), PixelFormat::Gray8, vec![124]),
        (rgba([1, 2, 3, 0]), PixelFormat::Gray8, vec![255]),
        (rgb.convert(PixelFormat::Gray8).unwrap(), PixelFormat::Rgb8, vec![124; 3]),
        (rgb.convert(PixelFormat::Gray8).unwrap(), PixelFormat::Rgba8, vec![124, 124, 124, 255]),
    ] {
        assert_eq!(at(&image.convert(to).unwrap(), 0, 0), expected, "{:?} to {to:?}", image.format());
        assert_eq!(image.read(area(0, 0, 1, 1), to).unwrap(), expected);
    }
}

#[test]
fn pixels_have_the_length_that_their_size_asks_for() {
    for (size, length, ok) in
        [((2, 3), 18, true), ((2, 3), 17, false), ((0, 3), 0, false), ((20_000, 1), 60_000, false)]
    {
        assert_eq!(Pixels::new(size.0, size.1, PixelFormat::Rgb8, vec![0; length]).is_ok(), ok, "{size:?} {length}");
    }
}
