//! Text.

use super::Canvas;
use super::layer::mix;
use crate::font::{advance, check_height, raster, text_size_in};
use crate::work::Work;
use crate::{ImageError, Text};

/// Most bytes of one text: a line that long is wider than any surface.
const MOST_BYTES: usize = 4 << 10;

/// A buffer for letters that is kept from text to text.
const KEPT_BYTES: usize = 1 << 20;

/// Part of the surface, half open, that some text can touch.
struct Window {
    left: i64,
    top: i64,
    right: i64,
    bottom: i64,
}

impl Window {
    fn columns(&self) -> usize {
        (self.right - self.left) as usize
    }
}

impl Canvas {
    pub(super) fn draw_text(&mut self, work: &Work, text: &Text) -> Result<(), ImageError> {
        check_height(text.height)?;
        if text.content.len() > MOST_BYTES {
            let length = text.content.len();
            return Err(ImageError::Invalid(format!("a text of {length} bytes; at most {MOST_BYTES} can be drawn")));
        }
        let (left, top, height) = (i64::from(text.at.x), i64::from(text.at.y), text.height.ceil() as i64);
        let (surface_width, surface_height) = (i64::from(self.size().0), i64::from(self.size().1));
        // Strokes of a letter may lean out of the box; a line's height beyond it is far enough.
        let lean = text.background.map_or(0, |background| i64::from(background.padding)).max(height);
        if left - lean >= surface_width || top - lean >= surface_height || top + height + lean < 0 {
            return Ok(());
        }
        let width = i64::from(text_size_in(work, &text.content, text.height)?.0);
        if let Some(background) = text.background {
            let padding = i64::from(background.padding);
            let (right, bottom) = (left + width + padding - 1, top + height + padding - 1);
            let bounds = (left - padding, top - padding, right, bottom);
            self.layer(work, background.ink, bounds, |layer| {
                for y in layer.rows(top - padding, bottom) {
                    layer.span_once(y, left - padding, right)?;
                }
                Ok(())
            })?;
        }
        let window = Window {
            left: (left - height).max(0),
            top: (top - height).max(0),
            right: (left + width + height).min(surface_width),
            bottom: (top + 2 * height).min(surface_height),
        };
        if window.left < window.right && window.top < window.bottom && text.ink.opacity > 0.0 {
            self.write_text(work, text, &window)?;
        }
        Ok(())
    }

    /// Gathers what all letters cover, then blends it once.
    fn write_text(&mut self, work: &Work, text: &Text, window: &Window) -> Result<(), ImageError> {
        let area = window.columns() * (window.bottom - window.top) as usize;
        let held = work.take(area as u64)?;
        work.spend(area as u64 / 16)?;
        let mut letters = std::mem::take(&mut self.letters);
        letters.clear();
        letters.resize(area, 0);
        gather(work, text, window, &mut letters)?;
        self.blend(work, text, window, &letters)?;
        if letters.capacity() <= KEPT_BYTES {
            self.letters = letters;
        }
        drop(held);
        Ok(())
    }

    fn blend(&mut self, work: &Work, text: &Text, window: &Window, letters: &[u8]) -> Result<(), ImageError> {
        let (ink, columns) = (text.ink, window.columns());
        let surface = self.surface(work)?;
        let (format, stride) = (surface.format(), surface.stride());
        let (color, channels) = (ink.color(format), format.channels());
        let opacity = ink.opacity.min(1.0);
        let mut painted = 0;
        for (cells, y) in letters.chunks_exact(columns).zip(window.top as usize..) {
            work.spend(8 + columns as u64)?;
            let row = &mut surface.data_mut()[y * stride + window.left as usize * channels..][..columns * channels];
            for (pixel, &amount) in row.chunks_exact_mut(channels).zip(cells) {
                match amount {
                    0 => continue,
                    255 if opacity >= 1.0 => pixel.copy_from_slice(&color[..channels]),
                    _ => {
                        let opacity = opacity * f32::from(amount) / 255.0;
                        pixel.iter_mut().zip(color).for_each(|(below, c)| *below = mix(opacity, c, *below));
                    }
                }
                painted += 1;
            }
        }
        self.painted += painted;
        Ok(())
    }
}

/// Coverage of all letters within the window: where two overlap, the larger one.
fn gather(work: &Work, text: &Text, window: &Window, letters: &mut [u8]) -> Result<(), ImageError> {
    let (columns, lean) = (window.columns(), i64::from(text.height.ceil() as u32));
    let top = i64::from(text.at.y);
    let mut pen = 0.0f32;
    for c in text.content.chars() {
        work.spend(8)?;
        let left = i64::from(text.at.x) + pen.round() as i64;
        if left - lean >= window.right {
            // Nothing that comes later can be seen.
            break;
        }
        let width = advance(c, text.height);
        pen += width;
        if left + width.ceil() as i64 + lean < window.left {
            continue;
        }
        raster(work, c, text.height, window.top - top..window.bottom - top, |glyph| {
            let left = left + i64::from(glyph.left);
            let (first, last) = (left.max(window.left), (left + glyph.width as i64).min(window.right));
            if first >= last {
                return Ok(());
            }
            work.spend(glyph.coverage.len() as u64 / 4)?;
            for (row, y) in glyph.coverage.chunks_exact(glyph.width).zip(top + i64::from(glyph.top)..) {
                if (window.top..window.bottom).contains(&y) {
                    let start = (y - window.top) as usize * columns + (first - window.left) as usize;
                    let cells = &mut letters[start..start + (last - first) as usize];
                    let row = &row[(first - left) as usize..(last - left) as usize];
                    cells.iter_mut().zip(row).for_each(|(cell, amount)| *cell = (*cell).max(*amount));
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}
