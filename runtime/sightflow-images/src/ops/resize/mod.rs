//! Resampling at pixel centres.

mod plain;
mod vectorised;

use fast_image_resize as fir;

use crate::work::Work;
use crate::{ImageError, Pixels, View};

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
    /// Every filter.
    pub const ALL: [Self; 5] = [Self::Nearest, Self::Bilinear, Self::Bicubic, Self::Lanczos3, Self::Area];

    /// What users call it: `nearest`, `bilinear`, `bicubic`, `lanczos3` or `area`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nearest => "nearest",
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
            Self::Lanczos3 => "lanczos3",
            Self::Area => "area",
        }
    }

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

impl std::str::FromStr for ResizeFilter {
    type Err = ImageError;

    fn from_str(name: &str) -> Result<Self, ImageError> {
        Self::ALL.into_iter().find(|filter| filter.name() == name).ok_or_else(|| {
            let known = "nearest, bilinear, bicubic, lanczos3 and area";
            ImageError::Invalid(format!("no filter is called {name:?}; there are {known}"))
        })
    }
}

/// The view at another size, both within the limits of an image.
pub(crate) fn resize(
    work: &Work,
    view: &View,
    width: u32,
    height: u32,
    filter: ResizeFilter,
) -> Result<Pixels, ImageError> {
    if filter == ResizeFilter::Nearest {
        return nearest(work, view, width, height);
    }
    match filter.kernel() {
        Some(kernel) if vectorised::pays(view, (width, height), filter) => {
            vectorised::resize(work, view, (width, height), filter, kernel)
        }
        _ => plain::resize(work, view, (width, height), filter),
    }
}

fn nearest(work: &Work, view: &View, width: u32, height: u32) -> Result<Pixels, ImageError> {
    let channels = view.format().bytes();
    let length = width as usize * height as usize * channels;
    let held = work.take(length as u64)?;
    // (dst + ½)·from/to, rounded down, in whole numbers.
    let source =
        |to: u32, from: u32, size: u32| ((2 * u64::from(to) + 1) * u64::from(from) / (2 * u64::from(size))) as usize;
    work.spend(8 * u64::from(width))?;
    let columns: Vec<usize> = (0..width).map(|x| source(x, view.width(), width) * channels).collect();
    let mut data = Vec::with_capacity(length);
    for y in 0..height {
        work.spend(8 + 2 * u64::from(width))?;
        let row = view.row(source(y, view.height(), height) as u32);
        match channels {
            1 => data.extend(columns.iter().map(|&at| row[at])),
            _ => columns.iter().for_each(|&at| data.extend_from_slice(&row[at..at + channels])),
        }
    }
    Ok(Pixels::from_held(width, height, view.format(), data, held))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sightflow_types::Rect;

    use super::*;
    use crate::PixelFormat;

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
        View::new(Arc::new(Pixels::new(width, height, format, data).unwrap()), Rect { x: 0, y: 0, width, height })
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
                    let work = Work::default();
                    let fast = vectorised::resize(&work, &view, to, filter, filter.kernel().unwrap()).unwrap();
                    let slow = plain::resize(&work, &view, to, filter).unwrap();
                    let worst = fast.data().iter().zip(slow.data()).map(|(a, b)| a.abs_diff(*b)).max();
                    // It rounds between them, too.
                    assert!(worst <= Some(3), "{filter:?} {format:?} {from:?} to {to:?}: off by {worst:?}");
                }
            }
        }
    }
}
