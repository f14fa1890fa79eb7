//! Resampling at pixel centres.

use fast_image_resize as fir;

use crate::{ImageError, PixelFormat, Pixels, View};

/// How pixels between pixels are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResizeFilter {
    /// The pixel whose area covers the point.
    Nearest,
    /// Linear in both directions.
    Bilinear,
    /// Catmull-Rom (a = −½). Overshoot beyond 0..255 is cut off, also between rows and columns.
    Bicubic,
    /// Windowed sinc of three lobes; overshoot as with `Bicubic`.
    Lanczos3,
    /// Mean of what is covered, pixels in part by that part; the nearest pixel when growing.
    Area,
}

impl ResizeFilter {
    /// Half the width of the kernel, in pixels of the larger grid.
    const fn support(self) -> f64 {
        match self {
            Self::Nearest | Self::Area => 0.5,
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos3 => 3.0,
        }
    }

    /// Weight of a pixel centre at this distance, 1 being a pixel of the larger grid.
    fn weight(self, x: f64) -> f64 {
        let x = x.abs();
        let sinc = |x: f64| if x == 0.0 { 1.0 } else { (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) };
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            Self::Lanczos3 if x < 3.0 => sinc(x) * sinc(x / 3.0),
            Self::Nearest | Self::Area | Self::Bicubic | Self::Lanczos3 => 0.0,
        }
    }

    /// The kernel of the vectorised convolution; none where pixels are not weighed by their centres.
    const fn kernel(self) -> Option<fir::FilterType> {
        match self {
            Self::Nearest | Self::Area => None,
            Self::Bilinear => Some(fir::FilterType::Bilinear),
            Self::Bicubic => Some(fir::FilterType::CatmullRom),
            Self::Lanczos3 => Some(fir::FilterType::Lanczos3),
        }
    }
}

/// The view at another size, both within the limits of an image.
pub(crate) fn resize(view: &View, width: u32, height: u32, filter: ResizeFilter) -> Result<Pixels, ImageError> {
    if filter == ResizeFilter::Nearest {
        return Ok(nearest(view, width, height));
    }
    let Some(kernel) = filter.kernel() else { return Ok(plain(view, width, height, filter)) };
    let (left, top) = (margin(view.width(), width, filter), margin(view.height(), height, filter));
    let padded = (u64::from(view.width()) + 2 * left) * (u64::from(view.height()) + 2 * top);
    let own = u64::from(view.width()) * u64::from(view.height());
    // The vectorised convolution forgets what lies beyond an edge instead of clamping it, so the edges are repeated
    // first. Where that would cost more than the image itself (tiny targets), the plain convolution is cheaper.
    if padded <= 2 * own + 65_536 {
        vectorised(view, (left as u32, top as u32), (width, height), kernel)
    } else {
        Ok(plain(view, width, height, filter))
    }
}

/// Pixels beyond an edge that a kernel can reach.
fn margin(from: u32, to: u32, filter: ResizeFilter) -> u64 {
    if from == to {
        return 0;
    }
    let widened = (f64::from(from) / f64::from(to)).max(1.0);
    (filter.support() * widened).ceil() as u64 + 1
}

fn nearest(view: &View, width: u32, height: u32) -> Pixels {
    let channels = view.format().channels();
    // (dst + ½)·from/to, rounded down, in whole numbers.
    let source =
        |to: u32, from: u32, size: u32| ((2 * u64::from(to) + 1) * u64::from(from) / (2 * u64::from(size))) as usize;
    let columns: Vec<usize> = (0..width).map(|x| source(x, view.width(), width) * channels).collect();
    let mut data = Vec::with_capacity(width as usize * height as usize * channels);
    for y in 0..height {
        let row = view.row(source(y, view.height(), height) as u32);
        match channels {
            1 => data.extend(columns.iter().map(|&at| row[at])),
            _ => columns.iter().for_each(|&at| data.extend_from_slice(&row[at..at + channels])),
        }
    }
    Pixels::from_parts(width, height, view.format(), data)
}

fn vectorised(
    view: &View,
    (left, top): (u32, u32),
    (width, height): (u32, u32),
    kernel: fir::FilterType,
) -> Result<Pixels, ImageError> {
    let failed = |error: &dyn std::fmt::Display| ImageError::Invalid(format!("resize: {error}"));
    let channels = view.format().channels();
    let (w, h) = (view.width(), view.height());
    let mut source = Vec::with_capacity((w + 2 * left) as usize * (h + 2 * top) as usize * channels);
    for y in 0..h + 2 * top {
        let row = view.row(y.saturating_sub(top).min(h - 1));
        for _ in 0..left {
            source.extend_from_slice(&row[..channels]);
        }
        source.extend_from_slice(row);
        for _ in 0..left {
            source.extend_from_slice(&row[row.len() - channels..]);
        }
    }
    let kind = match view.format() {
        PixelFormat::Gray8 => fir::PixelType::U8,
        PixelFormat::Rgb8 => fir::PixelType::U8x3,
        PixelFormat::Rgba8 => fir::PixelType::U8x4,
    };
    let source = fir::images::Image::from_vec_u8(w + 2 * left, h + 2 * top, source, kind).map_err(|e| failed(&e))?;
    let mut target = fir::images::Image::new(width, height, kind);
    let options = fir::ResizeOptions::new().resize_alg(fir::ResizeAlg::Convolution(kernel)).crop(
        f64::from(left),
        f64::from(top),
        f64::from(w),
        f64::from(h),
    );
    fir::Resizer::new().resize(&source, &mut target, &options).map_err(|e| failed(&e))?;
    Ok(Pixels::from_parts(width, height, view.format(), target.into_vec()))
}

/// Weights of the source pixels of one target column or row; taps beyond an edge count for the edge.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

fn taps(from: u32, to: u32, filter: ResizeFilter) -> Vec<Taps> {
    if from == to {
        return (0..from as usize).map(|first| Taps { first, weights: vec![1.0] }).collect();
    }
    if filter == ResizeFilter::Area {
        return (0..to).map(|target| covered(from, to, target)).collect();
    }
    let scale = f64::from(from) / f64::from(to);
    let widened = scale.max(1.0);
    let reach = filter.support() * widened;
    let last = i64::from(from) - 1;
    (0..to)
        .map(|target| {
            let centre = (f64::from(target) + 0.5) * scale - 0.5;
            let (start, end) = ((centre - reach).ceil() as i64, (centre + reach).floor() as i64);
            let (first, final_tap) = (start.clamp(0, last), end.clamp(0, last));
            let mut weights = vec![0.0; (final_tap - first + 1) as usize];
            for tap in start..=end {
                weights[(tap.clamp(0, last) - first) as usize] += filter.weight((tap as f64 - centre) / widened);
            }
            let total: f64 = weights.iter().sum();
            Taps { first: first as usize, weights: weights.iter().map(|weight| (weight / total) as f32).collect() }
        })
        .collect()
}

/// The pixels that one of `to` equal parts of a line of `from` pixels covers, each by how much of it is covered.
fn covered(from: u32, to: u32, target: u32) -> Taps {
    let (from, to, target) = (u64::from(from), u64::from(to), u64::from(target));
    if to >= from {
        return Taps { first: ((2 * target + 1) * from / (2 * to)) as usize, weights: vec![1.0] };
    }
    // In whole `to`-ths of a pixel, so that nothing is rounded.
    let (start, end) = (target * from, (target + 1) * from);
    let (first, past) = (start / to, end.div_ceil(to));
    let overlap = |pixel: u64| end.min((pixel + 1) * to) - start.max(pixel * to);
    Taps { first: first as usize, weights: (first..past).map(|pixel| overlap(pixel) as f32 / from as f32).collect() }
}

/// Rows first, then columns, in f32; alpha is premultiplied, as in the vectorised form.
fn plain(view: &View, width: u32, height: u32, filter: ResizeFilter) -> Pixels {
    let channels = view.format().channels();
    let (columns, lines) = (taps(view.width(), width, filter), taps(view.height(), height, filter));
    let stride = width as usize * channels;
    let mut sums = vec![0.0f32; stride * height as usize];
    let mut source = Vec::new();
    let mut narrow = vec![0.0f32; stride];
    for (y, row) in view.rows().enumerate() {
        source.clear();
        source.extend(row.iter().map(|&v| f32::from(v)));
        if view.format() == PixelFormat::Rgba8 {
            source.as_chunks_mut::<4>().0.iter_mut().for_each(|[r, g, b, a]| {
                [r, g, b].into_iter().for_each(|c| *c *= *a / 255.0);
            });
        }
        for (out, taps) in narrow.chunks_exact_mut(channels).zip(&columns) {
            out.fill(0.0);
            let pixels = source[taps.first * channels..].chunks_exact(channels);
            for (pixel, weight) in pixels.zip(&taps.weights) {
                out.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += weight * value);
            }
        }
        for (out, taps) in sums.chunks_exact_mut(stride).zip(&lines) {
            let Some(weight) = y.checked_sub(taps.first).and_then(|at| taps.weights.get(at)) else {
                continue;
            };
            out.iter_mut().zip(&narrow).for_each(|(sum, value)| *sum += weight * value);
        }
    }
    if view.format() == PixelFormat::Rgba8 {
        sums.as_chunks_mut::<4>().0.iter_mut().for_each(|[r, g, b, a]| {
            let scale = if *a > 0.5 { 255.0 / *a } else { 0.0 };
            [r, g, b].into_iter().for_each(|c| *c *= scale);
        });
    }
    let data = sums.iter().map(|sum| (sum + 0.5) as u8).collect();
    Pixels::from_parts(width, height, view.format(), data)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sightflow_types::Rect;

    use super::*;

    /// Noise, so that a shift by a fraction of a pixel shows.
    fn noise(width: u32, height: u32, format: PixelFormat) -> View {
        let mut state = 7u32;
        let mut data: Vec<u8> = Vec::new();
        data.resize_with(width as usize * height as usize * format.channels(), || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Away from 0 and 255: the vectorised form cuts overshoot off after each of its two passes.
            64 + (state >> 25) as u8
        });
        if format == PixelFormat::Rgba8 {
            data.iter_mut().skip(3).step_by(4).for_each(|alpha| *alpha = 255);
        }
        View::new(Arc::new(Pixels::from_parts(width, height, format, data)), Rect { x: 0, y: 0, width, height })
    }

    #[test]
    fn both_forms_agree() {
        use ResizeFilter::{Bicubic, Bilinear, Lanczos3};
        for filter in [Bilinear, Bicubic, Lanczos3] {
            for format in [PixelFormat::Gray8, PixelFormat::Rgb8, PixelFormat::Rgba8] {
                for (from, to) in
                    [((97, 61), (50, 40)), ((97, 61), (200, 130)), ((40, 30), (9, 90)), ((64, 48), (64, 20))]
                {
                    let view = noise(from.0, from.1, format);
                    let margins = (margin(from.0, to.0, filter) as u32, margin(from.1, to.1, filter) as u32);
                    let fast = vectorised(&view, margins, to, filter.kernel().unwrap()).unwrap();
                    let slow = plain(&view, to.0, to.1, filter);
                    let worst = fast.data().iter().zip(slow.data()).map(|(a, b)| a.abs_diff(*b)).max();
                    // It rounds between them, too.
                    assert!(worst <= Some(3), "{filter:?} {format:?} {from:?} to {to:?}: off by {worst:?}");
                }
            }
        }
    }
}
