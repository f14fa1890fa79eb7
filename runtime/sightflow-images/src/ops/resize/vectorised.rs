//! The convolution of `fast_image_resize`: rows first, then columns, a few rows at a time so that it can be stopped.

use fast_image_resize as fir;
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{InnerPixel, U8, U8x3, U8x4};

use super::ResizeFilter;
use crate::work::Work;
use crate::{ImageError, PixelFormat, Pixels, View};

/// Pixels of the source, and multiplications, between two looks at the bounds.
const BAND: u64 = 1_000_000;

/// Largest product of a row and the rows that it is made of: what cannot be divided.
const MOST_AT_ONCE: u64 = 32_000_000;

/// Whether this form costs less than the plain one.
///
/// It forgets what lies beyond an edge instead of clamping it, so the edges are repeated first; and it keeps the result
/// of the first pass. Where that would cost more than the image itself (tiny targets), the plain form is cheaper.
pub(super) fn pays(view: &View, (width, height): (u32, u32), filter: ResizeFilter) -> bool {
    let (across, down) = (Axis::new(view.width(), width, filter), Axis::new(view.height(), height, filter));
    let padded = across.padded() * down.padded();
    let own = u64::from(view.width()) * u64::from(view.height());
    let between = u64::from(width) * down.padded();
    padded <= 2 * own + 65_536
        && between <= 2 * own.max(u64::from(width) * u64::from(height)) + 65_536
        && u64::from(width) * down.taps() <= MOST_AT_ONCE
}

/// One direction.
struct Axis {
    from: u32,
    to: u32,
    scale: f64,
    support: f64,
    /// Pixels beyond an edge that a kernel can reach.
    margin: u32,
}

impl Axis {
    fn new(from: u32, to: u32, filter: ResizeFilter) -> Self {
        let scale = f64::from(from) / f64::from(to);
        let support = filter.support() * scale.max(1.0);
        Self { from, to, scale, support, margin: if from == to { 0 } else { support.ceil() as u32 + 1 } }
    }

    fn padded(&self) -> u64 {
        u64::from(self.from) + 2 * u64::from(self.margin)
    }

    /// Pixels that one target pixel is made of.
    fn taps(&self) -> u64 {
        if self.from == self.to { 1 } else { 2 * self.support.ceil() as u64 + 1 }
    }
}

pub(super) fn resize(
    work: &Work,
    view: &View,
    size: (u32, u32),
    filter: ResizeFilter,
    kernel: fir::FilterType,
) -> Result<Pixels, ImageError> {
    // By name: asked by a value, the crate brings its code for every kind of pixel there is.
    match view.format() {
        PixelFormat::Gray8 => resize_as::<U8>(work, view, size, filter, kernel),
        PixelFormat::Rgb8 => resize_as::<U8x3>(work, view, size, filter, kernel),
        PixelFormat::Rgba8 => resize_as::<U8x4>(work, view, size, filter, kernel),
        PixelFormat::Gray16 | PixelFormat::Float32 => super::plain::resize(work, view, size, filter),
    }
}

fn resize_as<P: InnerPixel + fir::PixelTrait>(
    work: &Work,
    view: &View,
    (width, height): (u32, u32),
    filter: ResizeFilter,
    kernel: fir::FilterType,
) -> Result<Pixels, ImageError> {
    let (across, down) = (Axis::new(view.width(), width, filter), Axis::new(view.height(), height, filter));
    let channels = view.format().channels();
    let stride = width as usize * channels;
    let (length, between) = (stride * height as usize, stride * down.padded() as usize);
    let band = (BAND / across.padded()).clamp(1, u64::from(down.from)) as u32;
    let held = work.take((length + between + across.padded() as usize * band as usize * channels) as u64)?;
    let rows = narrow::<P>(work, view, &across, &down, band, kernel)?;

    let mut data = vec![0; length];
    let source = TypedImageRef::<P>::from_buffer(width, down.padded() as u32, &rows).map_err(failed)?;
    let per_row = u64::from(width) * (down.taps() / 2 + 2);
    let step = (BAND / per_row).clamp(1, u64::from(height)) as u32;
    for (target, first) in data.chunks_mut(step as usize * stride).zip((0u32..).step_by(step as usize)) {
        let count = (target.len() / stride) as u32;
        work.spend(u64::from(count) * (per_row + 16 * down.taps()))?;
        let mut target = TypedImage::<P>::from_buffer(width, count, target).map_err(failed)?;
        let top = f64::from(down.margin) + f64::from(first) * down.scale;
        let options = options(kernel).crop(0.0, top, f64::from(width), f64::from(count) * down.scale);
        fir::Resizer::new().resize_typed(&source, &mut target, &options).map_err(failed)?;
        if view.format() == PixelFormat::Rgba8 {
            fir::MulDiv::new().divide_alpha_inplace_typed(&mut target).map_err(failed)?;
        }
    }
    drop(rows);
    Ok(Pixels::from_held(width, height, view.format(), data, held))
}

/// Rows at their new width, alpha premultiplied, the first and the last one repeated as `down` needs it.
fn narrow<P: InnerPixel + fir::PixelTrait>(
    work: &Work,
    view: &View,
    across: &Axis,
    down: &Axis,
    band: u32,
    kernel: fir::FilterType,
) -> Result<Vec<u8>, ImageError> {
    let channels = view.format().channels();
    let stride = across.to as usize * channels;
    let margin = down.margin as usize * stride;
    let mut rows = vec![0; margin + stride * down.from as usize + margin];
    let mut padded = Vec::with_capacity(across.padded() as usize * band as usize * channels);
    let targets = rows[margin..margin + stride * down.from as usize].chunks_mut(band as usize * stride);
    for (target, first) in targets.zip((0u32..).step_by(band as usize)) {
        let count = (target.len() / stride) as u32;
        let per_row = across.padded() + u64::from(across.to) * (across.taps() / 2 + 1);
        work.spend(u64::from(count) * per_row + 16 * u64::from(across.to) * across.taps())?;
        padded.clear();
        for y in first..first + count {
            let row = view.row(y);
            (0..across.margin).for_each(|_| padded.extend_from_slice(&row[..channels]));
            padded.extend_from_slice(row);
            (0..across.margin).for_each(|_| padded.extend_from_slice(&row[row.len() - channels..]));
        }
        let width = across.padded() as u32;
        let mut source = TypedImage::<P>::from_buffer(width, count, &mut padded).map_err(failed)?;
        if view.format() == PixelFormat::Rgba8 {
            fir::MulDiv::new().multiply_alpha_inplace_typed(&mut source).map_err(failed)?;
        }
        let mut target = TypedImage::<P>::from_buffer(across.to, count, target).map_err(failed)?;
        let left = f64::from(across.margin);
        let options = options(kernel).crop(left, 0.0, f64::from(across.from), f64::from(count));
        fir::Resizer::new().resize_typed(&source, &mut target, &options).map_err(failed)?;
    }
    work.spend(2 * margin as u64 / 16)?;
    let end = rows.len() - margin;
    for at in (0..margin).step_by(stride) {
        rows.copy_within(margin..margin + stride, at);
        rows.copy_within(end - stride..end, end + at);
    }
    Ok(rows)
}

fn options(kernel: fir::FilterType) -> fir::ResizeOptions {
    fir::ResizeOptions::new().resize_alg(fir::ResizeAlg::Convolution(kernel)).use_alpha(false)
}

fn failed(error: impl std::fmt::Display) -> ImageError {
    ImageError::Invalid(format!("resize: {error}"))
}
