//! `image-ops`, imported.

use super::{Result, to_ink, to_size, wit::Image};
use crate::Color;
use crate::draw::{Ink, Point};
use crate::guest::bindings::sightflow::block::image_ops as wit;
use crate::image::ResizeFilter;
use crate::image_ops::{
    Border, ColorSpace, Contour, FileFormat, Flip, KernelShape, Margins, Morphology, Retrieval, ThresholdMethod,
};

fn to_border(border: Border) -> wit::Border {
    let (mode, fill) = match border {
        Border::Constant(fill) => ("constant", fill),
        Border::Replicate => ("replicate", Ink::opaque(Color::default())),
        Border::Reflect101 => ("reflect-101", Ink::opaque(Color::default())),
    };
    wit::Border { mode: mode.to_owned(), fill: to_ink(fill) }
}

pub(crate) fn threshold(image: &Image, level: f32, high: f32, method: ThresholdMethod) -> Result<Image> {
    Ok(wit::threshold(image, level, high, method.as_str())?)
}

pub(crate) fn otsu_level(image: &Image) -> Result<f32> {
    Ok(wit::otsu_level(image)?)
}

pub(crate) fn adaptive_threshold(image: &Image, window: u32, offset: f32, method: ThresholdMethod) -> Result<Image> {
    Ok(wit::adaptive_threshold(image, window, offset, method.as_str())?)
}

pub(crate) fn convert_color(image: &Image, current: ColorSpace, wanted: ColorSpace) -> Result<Image> {
    Ok(wit::convert_color(image, current.as_str(), wanted.as_str())?)
}

pub(crate) fn warp_affine(
    image: &Image,
    matrix: [f64; 6],
    size: (u32, u32),
    filter: ResizeFilter,
    border: Border,
) -> Result<Image> {
    Ok(wit::warp_affine(image, &matrix, to_size(size), filter.as_str(), &to_border(border))?)
}

pub(crate) fn warp_perspective(
    image: &Image,
    matrix: [f64; 9],
    size: (u32, u32),
    filter: ResizeFilter,
    border: Border,
) -> Result<Image> {
    Ok(wit::warp_perspective(image, &matrix, to_size(size), filter.as_str(), &to_border(border))?)
}

pub(crate) fn pad(image: &Image, margins: Margins, border: Border) -> Result<Image> {
    let Margins { left, top, right, bottom } = margins;
    Ok(wit::pad(image, left, top, right, bottom, &to_border(border))?)
}

pub(crate) fn flip(image: &Image, flip: Flip) -> Result<Image> {
    let axis = match flip {
        Flip::Horizontal => wit::Axis::Horizontal,
        Flip::Vertical => wit::Axis::Vertical,
        Flip::Both => wit::Axis::Both,
    };
    Ok(wit::flip(image, axis)?)
}

pub(crate) fn morphology(
    image: &Image,
    operation: Morphology,
    shape: KernelShape,
    kernel: (u32, u32),
    iterations: u32,
) -> Result<Image> {
    Ok(wit::morphology(image, operation.as_str(), shape.as_str(), to_size(kernel), iterations)?)
}

pub(crate) fn blend(first: &Image, weight: f32, second: &Image, second_weight: f32, offset: f32) -> Result<Image> {
    Ok(wit::blend(first, weight, second, second_weight, offset)?)
}

pub(crate) fn absolute_difference(first: &Image, second: &Image) -> Result<Image> {
    Ok(wit::absolute_difference(first, second)?)
}

pub(crate) fn apply_mask(image: &Image, mask: &Image, fill: Ink) -> Result<Image> {
    Ok(wit::apply_mask(image, mask, to_ink(fill))?)
}

pub(crate) fn composite(image: &Image, over: &Image, mask: &Image) -> Result<Image> {
    Ok(wit::composite(image, over, mask)?)
}

pub(crate) fn mean(image: &Image, mask: Option<&Image>) -> Result<Vec<f64>> {
    Ok(wit::mean(image, mask)?)
}

pub(crate) fn sum(image: &Image, mask: Option<&Image>) -> Result<Vec<f64>> {
    Ok(wit::sum(image, mask)?)
}

pub(crate) fn contours(image: &Image, retrieval: Retrieval) -> Result<Vec<Contour>> {
    let contour = |contour: wit::Contour| Contour {
        points: contour.points.into_iter().map(|point| Point { x: point.x, y: point.y }).collect(),
        hole: contour.hole,
    };
    Ok(wit::contours(image, retrieval.as_str())?.into_iter().map(contour).collect())
}

pub(crate) fn encode(image: &Image, format: FileFormat) -> Result<Vec<u8>> {
    // Only a JPEG has a quality.
    let (format, quality) = match format {
        FileFormat::Png => ("png", 100),
        FileFormat::Jpeg { quality } => ("jpeg", quality),
        FileFormat::Webp => ("webp", 100),
    };
    Ok(wit::encode(image, format, quality)?)
}
