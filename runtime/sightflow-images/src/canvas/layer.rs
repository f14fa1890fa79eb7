//! One pass of a colour over a shape.

use super::coverage::{Coverage, Span};
use crate::work::Work;
use crate::{ImageError, Ink, PixelFormat, Pixels};

/// One pass of one ink over one shape. A pixel that the shape covers twice is painted once.
pub(crate) struct Layer<'a> {
    pub(crate) work: &'a Work,
    surface: &'a mut Pixels,
    paint: Paint,
    /// What is covered, unless it may be painted at once.
    coverage: &'a mut Coverage,
    painted: u64,
}

impl<'a> Layer<'a> {
    /// Starts a pass; `coverage` is scratch space.
    pub(crate) fn new(work: &'a Work, surface: &'a mut Pixels, ink: Ink, coverage: &'a mut Coverage) -> Self {
        coverage.clear();
        let paint = Paint::new(ink, surface.format());
        Self { work, surface, paint, coverage, painted: 0 }
    }

    /// Rows that exist, as the bounds of loops.
    pub(crate) fn height(&self) -> i64 {
        i64::from(self.surface.height())
    }

    /// Columns that exist.
    pub(crate) fn width(&self) -> i64 {
        i64::from(self.surface.width())
    }

    /// Rows of `top..=bottom` that exist.
    pub(crate) fn rows(&self, top: i64, bottom: i64) -> std::ops::Range<i64> {
        top.max(0)..bottom.saturating_add(1).min(self.height())
    }

    /// Whether a box of these inclusive bounds touches the surface.
    pub(crate) fn shows(&self, (left, top, right, bottom): (i64, i64, i64, i64)) -> bool {
        left < self.width() && top < self.height() && right >= 0 && bottom >= 0
    }

    /// Covers columns `first..=last` of row `y`; whatever lies outside of the surface is clipped.
    ///
    /// # Errors
    /// Those of [`Work`], which pays for the look and for what it covers.
    #[inline]
    pub(crate) fn span(&mut self, y: i64, first: i64, last: i64) -> Result<(), ImageError> {
        match (self.clip(y, first, last)?, &self.paint) {
            (None, _) | (_, Paint::Nothing) => Ok(()),
            (Some(span), Paint::Cover { .. }) => self.paint(span),
            (Some(span), Paint::Blend { .. }) => self.coverage.add(self.work, self.surface, span),
        }
    }

    /// As [`Layer::span`], for a shape that covers no pixel twice: paints at once.
    ///
    /// # Errors
    /// As [`Layer::span`].
    #[inline]
    pub(crate) fn span_once(&mut self, y: i64, first: i64, last: i64) -> Result<(), ImageError> {
        match self.clip(y, first, last)? {
            Some(span) => self.paint(span),
            None => Ok(()),
        }
    }

    #[inline]
    fn clip(&self, y: i64, first: i64, last: i64) -> Result<Option<Span>, ImageError> {
        self.work.spend(8)?;
        let (first, last) = (first.max(0), last.min(self.width() - 1));
        if y < 0 || y >= self.height() || first > last {
            return Ok(None);
        }
        Ok(Some(Span { y: y as u32, start: first as u32, end: last as u32 + 1 }))
    }

    #[inline]
    fn paint(&mut self, span: Span) -> Result<(), ImageError> {
        let pixels = u64::from(span.end - span.start);
        self.work.spend(pixels)?;
        self.painted += pixels;
        self.paint.apply(self.surface, span);
        Ok(())
    }

    /// Ends the pass; returns how many pixels it painted.
    ///
    /// # Errors
    /// Those of [`Work`].
    pub(crate) fn finish(self) -> Result<u64, ImageError> {
        let Self { work, surface, paint, coverage, mut painted } = self;
        coverage.drain(work, |span| {
            let pixels = u64::from(span.end - span.start);
            work.spend(pixels)?;
            painted += pixels;
            paint.apply(surface, span);
            Ok(())
        })?;
        Ok(painted)
    }
}

/// A colour, prepared for a surface.
enum Paint {
    /// Covers: the colour, repeated to a pattern that is whole for every pixel size.
    Cover { pattern: [u8; Paint::PATTERN] },
    /// Blends: for each channel the result by the value below.
    Blend { tables: Box<[[u8; 256]; 4]> },
    /// Changes nothing.
    Nothing,
}

impl Paint {
    /// A multiple of 1, 3 and 4 bytes.
    const PATTERN: usize = 48;

    fn new(ink: Ink, format: PixelFormat) -> Self {
        let color = ink.color(format);
        // A NaN is no opacity.
        if ink.opacity.is_nan() || ink.opacity <= 0.0 {
            return Self::Nothing;
        }
        if ink.opacity >= 1.0 {
            let mut pattern = [0; Self::PATTERN];
            let channels = format.channels();
            pattern.iter_mut().enumerate().for_each(|(i, byte)| *byte = color[i % channels]);
            return Self::Cover { pattern };
        }
        let mut tables = Box::new([[0; 256]; 4]);
        for (table, value) in tables.iter_mut().zip(color) {
            table.iter_mut().enumerate().for_each(|(below, out)| *out = mix(ink.opacity, value, below as u8));
        }
        Self::Blend { tables }
    }

    #[inline]
    fn apply(&self, surface: &mut Pixels, span: Span) {
        let (channels, stride) = (surface.format().channels(), surface.stride());
        let row = span.y as usize * stride;
        let part = &mut surface.data_mut()[row + span.start as usize * channels..row + span.end as usize * channels];
        match self {
            Self::Cover { pattern } => {
                let (whole, rest) = part.as_chunks_mut::<{ Self::PATTERN }>();
                whole.iter_mut().for_each(|chunk| *chunk = *pattern);
                rest.copy_from_slice(&pattern[..rest.len()]);
            }
            Self::Blend { tables } => {
                let look_up = |byte: &mut u8, channel: usize| *byte = tables[channel][usize::from(*byte)];
                match channels {
                    1 => part.iter_mut().for_each(|byte| look_up(byte, 0)),
                    3 => part.as_chunks_mut::<3>().0.iter_mut().for_each(|[r, g, b]| {
                        look_up(r, 0);
                        look_up(g, 1);
                        look_up(b, 2);
                    }),
                    _ => part.as_chunks_mut::<4>().0.iter_mut().for_each(|pixel| {
                        (0..4).for_each(|channel| look_up(&mut pixel[channel], channel));
                    }),
                }
            }
            Self::Nothing => {}
        }
    }
}

/// `round(α·c + (1 − α)·p)`, half up, with α in 0..=1.
#[inline]
pub(crate) fn mix(opacity: f32, color: u8, below: u8) -> u8 {
    let opacity = f64::from(opacity);
    (opacity * f64::from(color) + (1.0 - opacity) * f64::from(below) + 0.5) as u8
}
