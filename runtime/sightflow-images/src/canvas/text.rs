//! Text.

use super::Canvas;
use super::layer::{color, mix};
use crate::font::{HEIGHTS, glyphs, text_size};
use crate::{ImageError, Text};

/// Part of the surface, half open, that some text can touch.
struct Window {
    left: i64,
    top: i64,
    right: i64,
    bottom: i64,
}

impl Canvas {
    pub(super) fn draw_text(&mut self, text: &Text) -> Result<(), ImageError> {
        if !HEIGHTS.contains(&text.height) {
            return Err(ImageError::Invalid(format!("text is {} pixels high; it must be 1..4096", text.height)));
        }
        let (width, height) = text_size(&text.content, text.height);
        let (left, top) = (i64::from(text.at.x), i64::from(text.at.y));
        if let Some(background) = text.background {
            let padding = i64::from(background.padding);
            let (right, bottom) = (left + i64::from(width) + padding - 1, top + i64::from(height) + padding - 1);
            self.layer(background.ink, |layer| {
                for y in layer.rows(top - padding, bottom) {
                    layer.span(y, left - padding, right);
                }
                Ok(())
            })?;
        }
        // Strokes of a letter may lean out of the box; a line's height beyond it is far enough.
        let lean = i64::from(height);
        let (surface_width, surface_height) = self.size();
        let window = Window {
            left: (left - lean).max(0),
            top: (top - lean).max(0),
            right: (left + i64::from(width) + lean).min(i64::from(surface_width)),
            bottom: (top + 2 * lean).min(i64::from(surface_height)),
        };
        if window.left < window.right && window.top < window.bottom && text.ink.opacity > 0.0 {
            self.write_text(text, &window)?;
        }
        Ok(())
    }

    /// Gathers what all letters cover, then blends it once.
    fn write_text(&mut self, text: &Text, window: &Window) -> Result<(), ImageError> {
        let mut coverage = std::mem::take(&mut self.coverage);
        let columns = (window.right - window.left) as usize;
        coverage.clear();
        coverage.resize(columns * (window.bottom - window.top) as usize, 0);
        let mut pen = 0.0f32;
        glyphs(&text.content, text.height, |glyph| {
            let left = i64::from(text.at.x) + pen.round() as i64 + i64::from(glyph.left);
            let top = i64::from(text.at.y) + i64::from(glyph.top);
            pen += glyph.advance;
            let (first, last) = (left.max(window.left), (left + glyph.width as i64).min(window.right));
            if first < last {
                for (row, y) in glyph.coverage.chunks_exact(glyph.width).zip(top..) {
                    if (window.top..window.bottom).contains(&y) {
                        let start = (y - window.top) as usize * columns + (first - window.left) as usize;
                        let cells = &mut coverage[start..start + (last - first) as usize];
                        let row = &row[(first - left) as usize..(last - left) as usize];
                        cells.iter_mut().zip(row).for_each(|(cell, amount)| *cell = (*cell).max(*amount));
                    }
                }
            }
            // Nothing that comes later can be seen.
            left < window.right + i64::from(glyph.advance as i32)
        });
        let ink = text.ink;
        let surface = self.surface()?;
        let (format, stride) = (surface.format(), surface.stride());
        let (color, channels) = (color(ink, format), format.channels());
        let opacity = ink.opacity.min(1.0);
        let mut painted = 0;
        for (cells, y) in coverage.chunks_exact(columns).zip(window.top as usize..) {
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
        self.coverage = coverage;
        Ok(())
    }
}
