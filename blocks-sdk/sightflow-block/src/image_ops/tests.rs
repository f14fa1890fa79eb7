use super::{
    Border, ColorSpace, Contour, FileFormat, Flip, KernelShape, Margins, Morphology, Retrieval, ThresholdMethod,
};
use crate::draw::{Ink, Point};
use crate::{Color, Image, ImageError, PixelFormat, Rect, ResizeFilter};

fn gray(size: (u32, u32), values: &[u8]) -> Image {
    Image::from_pixels(size, PixelFormat::Gray8, values).unwrap()
}

fn pixels(image: Result<Image, ImageError>) -> Vec<u8> {
    let image = image.unwrap();
    let (width, height) = image.size();
    image.read(Rect { x: 0, y: 0, width, height }, image.format()).unwrap()
}

/// The values that the host gives to a component as well (`sightflow-sandbox`, `tests/it/values.rs`).
#[test]
fn each_operation_is_the_hosts() {
    let (three, mask) = (gray((3, 1), &[10, 100, 200]), gray((3, 1), &[0, 255, 0]));
    let flipped = three.flip(Flip::Horizontal).unwrap();
    let black = Ink::opaque(Color::default());
    let right = [1.0, 0.0, 1.0, 0.0, 1.0, 0.0];
    let left = [1.0, 0.0, -0.5, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    let red = Image::from_pixels((1, 1), PixelFormat::Rgb8, &[255, 0, 0]).unwrap();
    let margins = Margins { left: 1, right: 2, ..Margins::default() };
    let outcomes = [
        (three.threshold(99.5, 255.0, ThresholdMethod::Binary), &[0, 255, 255][..]),
        (three.adaptive_threshold(3, 30.0, ThresholdMethod::BinaryInverted), &[255, 0, 0]),
        (red.convert_color(ColorSpace::Rgb, ColorSpace::Hsv), &[0, 255, 255]),
        (red.convert_color(ColorSpace::Rgb, ColorSpace::Lab), &[136, 208, 195]),
        (three.warp_affine(right, (3, 1), ResizeFilter::Nearest, Border::Constant(black)), &[0, 10, 100]),
        (three.warp_perspective(left, (3, 1), ResizeFilter::Bilinear, Border::Replicate), &[55, 150, 200]),
        (three.pad(margins, Border::Reflect101), &[100, 10, 100, 200, 100, 10]),
        (three.flip(Flip::Both), &[200, 100, 10]),
        (three.morphology(Morphology::Gradient, KernelShape::Rectangle, (3, 1), 1), &[90, 190, 100]),
        (three.blend(0.5, &flipped, 0.5, 10.0), &[115, 110, 115]),
        (three.absolute_difference(&flipped), &[190, 0, 190]),
        (three.apply_mask(&mask, black), &[0, 100, 0]),
        (flipped.composite(&three, &mask), &[200, 100, 10]),
    ];
    for (at, (outcome, expected)) in outcomes.into_iter().enumerate() {
        assert_eq!(pixels(outcome), expected, "{at}");
    }
    assert_eq!(three.otsu_level(), Ok(100.0));
    assert_eq!((three.mean(Some(&mask)), three.sum(None)), (Ok(vec![100.0]), Ok(vec![310.0])));
    let corner = Contour { points: vec![Point { x: 1, y: 0 }], hole: false };
    assert_eq!(mask.contours(Retrieval::External), Ok(vec![corner]));
    let magic = |format| three.encode(format).unwrap()[..3].to_vec();
    assert_eq!(magic(FileFormat::Png), b"\x89PN");
    assert_eq!(magic(FileFormat::Jpeg { quality: 90 }), b"\xff\xd8\xff");
    assert_eq!(magic(FileFormat::Webp), b"RIF");
}

#[test]
fn what_an_operation_has_not_is_unsupported() {
    let three = gray((3, 1), &[10, 100, 200]);
    let same = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0];
    for outcome in [
        three.adaptive_threshold(3, 0.0, ThresholdMethod::Truncate),
        three.warp_affine(same, (3, 1), ResizeFilter::Lanczos3, Border::Replicate),
    ] {
        assert!(matches!(outcome, Err(ImageError::Unsupported(_))), "{outcome:?}");
    }
    let outcome = three.warp_affine([0.0; 6], (3, 1), ResizeFilter::Nearest, Border::Replicate);
    assert!(matches!(outcome, Err(ImageError::Invalid(_))), "{outcome:?}");
}
