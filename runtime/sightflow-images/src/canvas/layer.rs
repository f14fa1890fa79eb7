//! Spans of pixels, and one pass of a colour over them.

use crate::{Ink, PixelFormat, Pixels};

/// Columns `start..end` of a row, within the surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) y: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// Spans collected before they are joined once.
const COLLECTED: usize = 1 << 16;

/// One pass of one ink over one shape. A pixel that the shape covers twice is painted once.
pub(crate) struct Layer<'a> {
    surface: &'a mut Pixels,
    paint: Paint,
    /// What is covered, unless it may be painted at once.
    spans: &'a mut Vec<Span>,
    join_at: usize,
    painted: u64,
}

impl<'a> Layer<'a> {
    /// Starts a pass; `spans` is scratch space.
    pub(crate) fn new(surface: &'a mut Pixels, ink: Ink, spans: &'a mut Vec<Span>) -> Self {
        spans.clear();
        let paint = Paint::new(ink, surface.format());
        Self { surface, paint, spans, join_at: COLLECTED, painted: 0 }
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

    /// Covers columns `first..=last` of row `y`; whatever lies outside of the surface is clipped.
    #[inline]
    pub(crate) fn span(&mut self, y: i64, first: i64, last: i64) {
        let (first, last) = (first.max(0), last.min(self.width() - 1));
        if y < 0 || y >= self.height() || first > last {
            return;
        }
        let span = Span { y: y as u32, start: first as u32, end: last as u32 + 1 };
        if let Paint::Cover { .. } = self.paint {
            self.painted += u64::from(span.end - span.start);
            self.paint.apply(self.surface, span);
            return;
        }
        self.spans.push(span);
        if self.spans.len() >= self.join_at {
            join(self.spans);
            self.join_at = COLLECTED.max(2 * self.spans.len());
        }
    }

    /// Ends the pass; returns how many pixels it painted.
    pub(crate) fn finish(self) -> u64 {
        join(self.spans);
        let mut painted = self.painted;
        for span in &*self.spans {
            painted += u64::from(span.end - span.start);
            self.paint.apply(self.surface, *span);
        }
        painted
    }
}

/// Sorts spans and joins those that touch, so that no pixel is in two.
fn join(spans: &mut Vec<Span>) {
    if !spans.is_sorted() {
        spans.sort_unstable();
    }
    spans.dedup_by(|next, kept| {
        let joins = next.y == kept.y && next.start <= kept.end;
        if joins {
            kept.end = kept.end.max(next.end);
        }
        joins
    });
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
        let color = color(ink, format);
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

/// The bytes of a colour in a pixel format; alpha is 255. Channels that the format lacks are 0.
pub(crate) fn color(ink: Ink, format: PixelFormat) -> [u8; 4] {
    match format {
        PixelFormat::Gray8 => [crate::convert::luma(ink.r, ink.g, ink.b), 0, 0, 0],
        PixelFormat::Rgb8 | PixelFormat::Rgba8 => [ink.r, ink.g, ink.b, 255],
    }
}

/// `round(α·c + (1 − α)·p)`, half up, with α in 0..=1.
#[inline]
pub(crate) fn mix(opacity: f32, color: u8, below: u8) -> u8 {
    let opacity = f64::from(opacity);
    (opacity * f64::from(color) + (1.0 - opacity) * f64::from(below) + 0.5) as u8
}
