//! `image-ops`, natively.

use sightflow_images::{self as host, Image, Work};

use super::{Result, to_filter, to_ink};
use crate::draw::{Ink, Point};
use crate::image::ResizeFilter;
use crate::image_ops::{
    Border, ColorSpace, Contour, FileFormat, Flip, KernelShape, Margins, Morphology, Retrieval, ThresholdMethod,
};

fn to_border(border: Border) -> host::Border {
    match border {
        Border::Constant(ink) => host::Border::Constant(to_ink(ink)),
        Border::Replicate => host::Border::Replicate,
        Border::Reflect101 => host::Border::Reflect101,
    }
}

pub(crate) fn threshold(image: &Image, level: f32, high: f32, method: ThresholdMethod) -> Result<Image> {
    Ok(image.threshold_in(&Work::default(), level, high, method)?)
}

pub(crate) fn otsu_level(image: &Image) -> Result<f32> {
    Ok(image.otsu_level_in(&Work::default())?)
}

pub(crate) fn adaptive_threshold(image: &Image, window: u32, offset: f32, method: ThresholdMethod) -> Result<Image> {
    Ok(image.adaptive_threshold_in(&Work::default(), window, offset, method)?)
}

pub(crate) fn convert_color(image: &Image, current: ColorSpace, wanted: ColorSpace) -> Result<Image> {
    Ok(image.convert_color_in(&Work::default(), current, wanted)?)
}

pub(crate) fn warp_affine(
    image: &Image,
    matrix: [f64; 6],
    size: (u32, u32),
    filter: ResizeFilter,
    border: Border,
) -> Result<Image> {
    Ok(image.warp_affine_in(&Work::default(), matrix, size, to_filter(filter), to_border(border))?)
}

pub(crate) fn warp_perspective(
    image: &Image,
    matrix: [f64; 9],
    size: (u32, u32),
    filter: ResizeFilter,
    border: Border,
) -> Result<Image> {
    Ok(image.warp_perspective_in(&Work::default(), matrix, size, to_filter(filter), to_border(border))?)
}

pub(crate) fn pad(image: &Image, margins: Margins, border: Border) -> Result<Image> {
    Ok(image.pad_in(&Work::default(), margins, to_border(border))?)
}

pub(crate) fn flip(image: &Image, flip: Flip) -> Result<Image> {
    Ok(image.flip_in(&Work::default(), flip)?)
}

pub(crate) fn morphology(
    image: &Image,
    operation: Morphology,
    shape: KernelShape,
    kernel: (u32, u32),
    iterations: u32,
) -> Result<Image> {
    Ok(image.morphology_in(&Work::default(), operation, shape, kernel, iterations)?)
}

pub(crate) fn blend(first: &Image, weight: f32, second: &Image, second_weight: f32, offset: f32) -> Result<Image> {
    Ok(first.blend_in(&Work::default(), weight, second, second_weight, offset)?)
}

pub(crate) fn absolute_difference(first: &Image, second: &Image) -> Result<Image> {
    Ok(first.absolute_difference_in(&Work::default(), second)?)
}

pub(crate) fn apply_mask(image: &Image, mask: &Image, fill: Ink) -> Result<Image> {
    Ok(image.apply_mask_in(&Work::default(), mask, to_ink(fill))?)
}

pub(crate) fn composite(image: &Image, over: &Image, mask: &Image) -> Result<Image> {
    Ok(image.composite_in(&Work::default(), over, mask)?)
}

pub(crate) fn mean(image: &Image, mask: Option<&Image>) -> Result<Vec<f64>> {
    Ok(image.mean_in(&Work::default(), mask)?)
}

pub(crate) fn sum(image: &Image, mask: Option<&Image>) -> Result<Vec<f64>> {
    Ok(image.sum_in(&Work::default(), mask)?)
}

pub(crate) fn contours(image: &Image, retrieval: Retrieval) -> Result<Vec<Contour>> {
    let (contours, _held) = image.contours_in(&Work::default(), retrieval)?.into_parts();
    let point = |point: host::Point| Point { x: point.x, y: point.y };
    let contour = |contour: host::Contour| Contour {
        points: contour.points.into_iter().map(point).collect(),
        hole: contour.hole,
    };
    Ok(contours.into_iter().map(contour).collect())
}

pub(crate) fn encode(image: &Image, format: FileFormat) -> Result<Vec<u8>> {
    let format = match format {
        FileFormat::Png => host::EncodeFormat::Png,
        FileFormat::Jpeg { quality } => host::EncodeFormat::Jpeg { quality },
        FileFormat::Webp => host::EncodeFormat::Webp,
    };
    let (file, _held) = host::encode_file_in(&Work::default(), image, format)?.into_parts();
    Ok(file)
}
