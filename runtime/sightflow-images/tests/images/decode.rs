use std::io::Cursor;

use bytes::Bytes;
use image::{DynamicImage, ImageBuffer, ImageFormat, Rgb, Rgba};
use sightflow_images::{
    EncodeFormat, Image, ImageError, PixelCache, PixelFormat, Pixels, ReadOptions, SourceFormat, encode, probe,
};

use crate::{at, gradient, open, some_digest};

fn file(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    image.write_to(&mut out, format).unwrap();
    out.into_inner()
}

/// Smooth, so that lossy formats stay near it.
fn picture() -> DynamicImage {
    ImageBuffer::from_fn(48, 32, |x, y| Rgb([(x * 4) as u8, (y * 6) as u8, 100u8])).into()
}

fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    bytes.extend(width.to_be_bytes());
    bytes.extend(height.to_be_bytes());
    // 8 bits, RGB; the checksum is wrong, and nobody gets to it.
    bytes.extend([8, 2, 0, 0, 0, 0, 0, 0, 0]);
    bytes
}

#[test]
fn every_format_is_probed_and_decoded() {
    for (codec, format, media_type, off_by) in [
        (ImageFormat::Png, SourceFormat::Png, "image/png", 0),
        (ImageFormat::Jpeg, SourceFormat::Jpeg, "image/jpeg", 8),
        (ImageFormat::WebP, SourceFormat::Webp, "image/webp", 0),
        (ImageFormat::Gif, SourceFormat::Gif, "image/gif", 48),
        (ImageFormat::Bmp, SourceFormat::Bmp, "image/bmp", 0),
        (ImageFormat::Tiff, SourceFormat::Tiff, "image/tiff", 0),
    ] {
        let original = if codec == ImageFormat::Gif { picture().to_rgba8().into() } else { picture() };
        let (image, found) = open(file(&original, codec));
        assert_eq!((found.format, found.media_type()), (format, media_type));
        assert_eq!((found.width, found.height, found.orientation, found.animated), (48, 32, 1, false), "{format}");
        assert_eq!(image.format(), PixelFormat::Rgb8, "{format}");
        let pixels = image.pixels().unwrap();
        let expected = picture().into_rgb8();
        let worst = pixels.data().iter().zip(expected.as_raw()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= off_by, "{format}: off by {worst}");
    }
}

#[test]
fn other_colour_types_become_8_bit_rgb() {
    let cases: [(&str, DynamicImage, [u8; 3]); 6] = [
        ("16-bit RGB", ImageBuffer::from_pixel(2, 2, Rgb([65535u16, 32896, 0])).into(), [255, 128, 0]),
        ("grey", DynamicImage::ImageLuma8(ImageBuffer::from_pixel(2, 2, image::Luma([77]))), [77, 77, 77]),
        ("16-bit grey", DynamicImage::ImageLuma16(ImageBuffer::from_pixel(2, 2, image::Luma([25700]))), [100; 3]),
        ("transparent", ImageBuffer::from_pixel(2, 2, Rgba([9u8, 9, 9, 0])).into(), [255; 3]),
        ("half red", ImageBuffer::from_pixel(2, 2, Rgba([255u8, 0, 0, 128])).into(), [255, 127, 127]),
        ("grey with alpha", DynamicImage::ImageLumaA8(ImageBuffer::from_pixel(2, 2, image::LumaA([0, 51]))), [204; 3]),
    ];
    for (name, original, expected) in cases {
        let (image, _) = open(file(&original, ImageFormat::Png));
        assert_eq!(at(&image, 1, 1), expected, "{name}");
    }
}

#[test]
fn alpha_is_kept_when_asked_for() {
    let original: DynamicImage = ImageBuffer::from_pixel(3, 2, Rgba([10u8, 20, 30, 40])).into();
    for (bytes, expected) in [
        (file(&original, ImageFormat::Png), vec![10, 20, 30, 40]),
        (file(&picture(), ImageFormat::Png), vec![0, 0, 100]),
    ] {
        let found = probe(&bytes).unwrap();
        let options = ReadOptions { keep_alpha: true, cache: Some(PixelCache::new(1 << 20)), ..Default::default() };
        let image = Image::from_encoded_with(Bytes::from(bytes), some_digest(1), found, options);
        assert_eq!(at(&image, 0, 0), expected);
        assert_eq!(image.format().channels(), expected.len());
    }
}

/// A JPEG of 48×32 with an EXIF orientation.
fn oriented(orientation: u8) -> Vec<u8> {
    let bytes = file(&picture(), ImageFormat::Jpeg);
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    let mut out = bytes[..2].to_vec();
    out.extend([0xff, 0xe1]);
    out.extend((exif.len() as u16 + 2).to_be_bytes());
    out.extend(exif);
    out.extend(&bytes[2..]);
    out
}

#[test]
fn exif_orientation_is_applied_unless_ignored() {
    let stored = open(oriented(1)).0.pixels().unwrap();
    for orientation in 1..=8u8 {
        let (image, found) = open(oriented(orientation));
        let size = if orientation >= 5 { (32, 48) } else { (48, 32) };
        assert_eq!((found.width, found.height), size, "{orientation}");
        assert_eq!((found.orientation, found.stored_size()), (orientation, (48, 32)));
        assert_eq!(image.size(), size);
        let upright = image.pixels().unwrap();
        assert_eq!((upright.width(), upright.height()), size, "{orientation}");
        for (x, y) in [(0, 0), (47, 0), (0, 31), (13, 7)] {
            // Where the EXIF standard puts the stored pixel (x, y).
            let (to_x, to_y) = match orientation {
                1 => (x, y),
                2 => (47 - x, y),
                3 => (47 - x, 31 - y),
                4 => (x, 31 - y),
                5 => (y, x),
                6 => (31 - y, x),
                7 => (31 - y, 47 - x),
                _ => (y, 47 - x),
            };
            assert_eq!(upright.get(to_x, to_y), stored.get(x, y), "{orientation}: ({x}, {y})");
        }
        let options = ReadOptions { ignore_orientation: true, ..Default::default() };
        let image = Image::from_encoded_with(oriented(orientation).into(), some_digest(orientation), found, options);
        assert_eq!(image.size(), (48, 32));
        assert_eq!(*image.pixels().unwrap(), *stored, "{orientation} ignored");
        assert!(image.reference().unwrap().ignore_orientation);
    }
}

#[test]
fn refusals_say_why() {
    let png = file(&picture(), ImageFormat::Png);
    let mut bmp = file(&picture(), ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&50_000i32.to_le_bytes());
    let mut gif = file(&picture(), ImageFormat::Gif);
    gif[6..10].copy_from_slice(&[0; 4]);
    let marked = |bytes: &[u8]| [b"\xef\xbb\xbf", bytes].concat();
    let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    let cases: [(&str, Vec<u8>, &str, &str); 24] = [
        ("nothing", vec![], "undecodable", "0 bytes"),
        ("noise", vec![7, 0, 200, 1, 255], "undecodable", "unknown format"),
        ("text", b"hello world, this is no image".to_vec(), "undecodable", "a text is no image"),
        ("text with a mark", marked(b"hello"), "undecodable", "a text is no image"),
        ("page with a mark", marked(b"\n<!doctype html>"), "undecodable", "HTML page"),
        ("image with a mark", marked(&png), "undecodable", "byte-order mark"),
        ("git-lfs", lfs.to_vec(), "undecodable", "git lfs pull"),
        ("data uri", b"data:image/png;base64,iVBORw0KGgo=".to_vec(), "undecodable", "data URI"),
        ("json", b"{\"error\": \"not found\"}".to_vec(), "undecodable", "JSON"),
        ("palette tiff", include_bytes!("samples/tiff-palette.tiff").to_vec(), "undecodable", "palette colours"),
        (
            "jpeg in tiff",
            include_bytes!("samples/tiff-jpeg.tiff").to_vec(),
            "undecodable",
            "JPEG compression inside TIFF",
        ),
        ("page", b"<!DOCTYPE html><html>".to_vec(), "undecodable", "HTML page"),
        ("svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), "undecodable", "SVG"),
        ("pdf", b"%PDF-1.7 ...".to_vec(), "undecodable", "PDF"),
        ("heic", b"\0\0\0\x18ftypheic\0\0\0\0".to_vec(), "undecodable", "HEIC"),
        ("header of 200 MP", png_header(20_000, 10_000), "too_large", "200.0 megapixels"),
        ("one side", png_header(16_385, 10), "too_large", "16384"),
        ("huge sides", png_header(u32::MAX, u32::MAX), "too_large", "megapixels"),
        ("no width", png_header(0, 10), "invalid", "empty"),
        ("bmp", bmp, "too_large", "16384"),
        ("gif without size", gif, "invalid", "empty"),
        ("header cut", png[..20].to_vec(), "undecodable", "png"),
        ("jpeg header cut", file(&picture(), ImageFormat::Jpeg)[..60].to_vec(), "undecodable", "jpeg"),
        ("webp header cut", file(&picture(), ImageFormat::WebP)[..14].to_vec(), "undecodable", "webp"),
    ];
    for (name, bytes, kind, reason) in cases {
        let error = probe(&bytes).expect_err(name);
        assert_eq!(error.kind(), kind, "{name}: {error}");
        assert!(error.to_string().contains(reason), "{name}: {error}");
    }
}

#[test]
fn a_file_that_ends_early_is_an_error() {
    for codec in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Tiff] {
        let bytes = file(&picture(), codec);
        // TIFF keeps its directory at the end: there, probing fails already.
        match probe(&bytes[..bytes.len() - bytes.len() / 3]) {
            Ok(found) => {
                let cut = Bytes::from(bytes[..bytes.len() - bytes.len() / 3].to_vec());
                let error = Image::from_encoded(cut, some_digest(bytes.len() as u8), found).pixels().unwrap_err();
                assert_eq!(error.kind(), "undecodable", "{codec:?}: {error}");
            }
            Err(error) => assert_eq!(error.kind(), "undecodable", "{codec:?}: {error}"),
        }
    }
}

#[test]
fn animations_are_noticed_and_show_their_first_frame() {
    let mut gif = Vec::new();
    let frames = [[200u8, 0, 0, 255], [0, 200, 0, 255]]
        .map(|color| image::Frame::new(ImageBuffer::from_pixel(4, 4, Rgba(color))));
    image::codecs::gif::GifEncoder::new(&mut gif).encode_frames(frames).unwrap();
    let (image, found) = open(gif);
    assert!(found.animated);
    assert_eq!(at(&image, 2, 2), [200, 0, 0]);
}

#[test]
fn lossless_formats_lose_nothing() {
    let rgb = gradient(61, 37);
    let rgba = rgb.convert(PixelFormat::Rgba8).unwrap();
    let gray = rgb.convert(PixelFormat::Gray8).unwrap();
    for format in [EncodeFormat::Png, EncodeFormat::Webp] {
        for image in
            [&rgb, &rgba, &gray, &rgb.crop(sightflow_images::Area { x: 3, y: 4, width: 9, height: 8 }).unwrap()]
        {
            let bytes = encode(image, format).unwrap();
            let (again, found) = open(bytes.to_vec());
            assert_eq!(found.format, format.source_format());
            let expected = image.convert(PixelFormat::Rgb8).unwrap();
            assert_eq!(*again.pixels().unwrap(), *expected.pixels().unwrap(), "{format:?} {:?}", image.format());
        }
    }
}

#[test]
fn jpeg_has_a_quality() {
    let image = gradient(64, 64);
    let sizes = [5, 50, 95].map(|quality| encode(&image, EncodeFormat::Jpeg { quality }).unwrap().len());
    assert!(sizes.is_sorted(), "{sizes:?}");
    for quality in [0, 101] {
        assert!(matches!(encode(&image, EncodeFormat::Jpeg { quality }), Err(ImageError::Invalid(_))));
    }
    let clear = Image::from_pixels(Pixels::filled(8, 8, PixelFormat::Rgba8, &[0, 0, 0, 0]).unwrap());
    let (again, _) = open(encode(&clear, EncodeFormat::Jpeg { quality: 90 }).unwrap().to_vec());
    assert_eq!(at(&again, 4, 4), [255, 255, 255]);
}

#[test]
fn what_follows_the_end_of_a_jpeg_is_left_alone() {
    let sample = include_bytes!("samples/trailer-ffda.jpg");
    let (picture, trailer) = sample.split_at(sample.len() - 20);
    assert!(picture.ends_with(&[0xff, 0xd9]) && trailer.windows(2).any(|pair| pair == [0xff, 0xda]));
    assert_eq!(*open(sample.to_vec()).0.pixels().unwrap(), *open(picture.to_vec()).0.pixels().unwrap());
}

#[test]
fn an_orientation_is_a_number_of_any_width() {
    let (image, found) = open(include_bytes!("samples/exif-6-long.jpg").to_vec());
    assert_eq!((found.orientation, found.stored_size()), (6, (found.height, found.width)));
    assert_eq!(image.pixels().unwrap().width(), found.width);
}

#[test]
fn premultiplied_colours_meet_white_once() {
    let sample = include_bytes!("samples/tiff-premultiplied.tiff");
    // Not compressed: the last row is the end of the file.
    let stored = sample[sample.len() - 4 * 64..].as_chunks::<4>().0;
    let found = probe(sample).unwrap();
    let read = |keep_alpha| {
        let options = ReadOptions { keep_alpha, cache: Some(PixelCache::new(1 << 20)), ..Default::default() };
        Image::from_encoded_with(Bytes::from_static(sample), some_digest(1), found, options).pixels().unwrap()
    };
    let (flat, kept) = (read(false), read(true));
    assert_eq!(flat.format().channels(), 3);
    for (x, [r, g, b, a]) in (0u32..).zip(stored) {
        assert_eq!(flat.get(x, 47), [r, g, b].map(|c| c + (255 - a)), "column {x}");
        // Multiplied again it is what was stored.
        let [straight @ .., alpha] = <[u8; 4]>::try_from(kept.get(x, 47)).unwrap();
        assert_eq!(alpha, *a);
        let again = straight.map(|c| ((u32::from(c) * u32::from(alpha) + 127) / 255) as u8);
        assert!(
            again.iter().zip([r, g, b]).all(|(found, right)| found.abs_diff(*right) <= 1),
            "column {x}: {straight:?}"
        );
    }
}

#[test]
fn a_tiff_with_wide_offsets_is_a_tiff() {
    let (image, found) = open(include_bytes!("samples/tiff-bigtiff.tiff").to_vec());
    assert_eq!((found.format.as_str(), image.size()), ("tiff", (found.width, found.height)));
    assert_eq!(image.pixels().unwrap().width(), found.width);
}
