//! Larger pictures around smaller ones.

use sightflow_block::draw::{Canvas, DrawOp, Ink, Point};
use sightflow_block::{Color, Image, ImageError, PixelFormat, Rect};

/// Bytes of one stripe, at most, unless a single row is longer.
const STRIPE: usize = 1 << 20;

/// Rows of `height` in groups that a block may hold at once, for pixels of `bytes_per_row`.
pub(crate) fn stripes(height: u32, bytes_per_row: usize) -> impl Iterator<Item = (u32, u32)> {
    let rows = u32::try_from(STRIPE / bytes_per_row.max(1)).unwrap_or(u32::MAX).max(1);
    (0..height).step_by(rows as usize).map(move |y| (y, rows.min(height - y)))
}

/// A canvas of one opaque colour that keeps transparency if `format` has it.
pub(crate) fn canvas(size: (u32, u32), format: PixelFormat, color: Color) -> Result<Canvas, ImageError> {
    let format = if format == PixelFormat::Rgba8 { format } else { PixelFormat::Rgb8 };
    Canvas::blank(size, format, Ink::opaque(color))
}

/// `content` at a place of a larger picture of one colour.
pub(crate) fn place(content: &Image, at: (u32, u32), size: (u32, u32), color: Color) -> Result<Image, ImageError> {
    let format = content.format();
    let mut canvas = canvas(size, format, color)?;
    if format == PixelFormat::Rgba8 {
        // Pasting would mix transparent pixels with the colour.
        let (width, height) = content.size();
        for (y, rows) in stripes(height, width as usize * 4) {
            let pixels = content.read(Rect { x: 0, y, width, height: rows }, format)?;
            canvas.write(Rect { x: at.0, y: at.1 + y, width, height: rows }, format, &pixels)?;
        }
    } else {
        let at = Point { x: at.0 as i32, y: at.1 as i32 };
        canvas.draw(&[DrawOp::Image { source: content.clone(), at, opacity: 1.0 }])?;
    }
    Ok(canvas.finish())
}

/// How a border continues an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Border {
    /// Mirrored about the outermost pixel, which is not repeated.
    Reflect,
    /// The outermost pixel, repeated.
    Replicate,
}

impl Border {
    /// The pixel of `0..length` that stands for any coordinate.
    pub(crate) fn source(self, v: i64, length: u32) -> u32 {
        let last = i64::from(length) - 1;
        let inside = match self {
            Self::Replicate => v.clamp(0, last),
            Self::Reflect if last == 0 => 0,
            Self::Reflect => {
                let v = v.rem_euclid(2 * last);
                if v > last { 2 * last - v } else { v }
            }
        };
        inside as u32
    }
}

/// Columns `left..left+width`, rows `top..top+height` of an image that a border continues in every direction.
pub(crate) fn continued(
    image: &Image,
    (left, top): (i64, i64),
    (width, height): (u32, u32),
    border: Border,
) -> Result<Image, ImageError> {
    let (source_width, source_height) = image.size();
    let format = if image.format() == PixelFormat::Rgba8 { PixelFormat::Rgba8 } else { PixelFormat::Rgb8 };
    let channels = format.pixel_bytes();
    let columns: Vec<u32> = (0..i64::from(width)).map(|x| border.source(left + x, source_width)).collect();
    let (first, last) = columns.iter().fold((u32::MAX, 0), |(low, high), &x| (low.min(x), high.max(x)));
    let mut canvas = canvas((width, height), format, Color::default())?;
    let mut pixels = Vec::with_capacity(columns.len() * channels);
    for y in 0..height {
        let row = border.source(top + i64::from(y), source_height);
        let source = image.read(Rect { x: first, y: row, width: last - first + 1, height: 1 }, format)?;
        pixels.clear();
        for &x in &columns {
            let at = (x - first) as usize * channels;
            pixels.extend_from_slice(&source[at..at + channels]);
        }
        canvas.write(Rect { x: 0, y, width, height: 1 }, format, &pixels)?;
    }
    Ok(canvas.finish())
}

#[cfg(test)]
mod tests {
    use super::{Border, stripes};

    #[test]
    fn borders() {
        let row = |border: Border, length| (-3..6).map(|v| border.source(v, length)).collect::<Vec<_>>();
        assert_eq!(row(Border::Reflect, 3), [1, 2, 1, 0, 1, 2, 1, 0, 1]);
        assert_eq!(row(Border::Replicate, 3), [0, 0, 0, 0, 1, 2, 2, 2, 2]);
        assert_eq!(row(Border::Reflect, 1), [0; 9]);
    }

    #[test]
    fn stripes_cover_every_row_once() {
        assert_eq!(stripes(5, 1 << 19).collect::<Vec<_>>(), [(0, 2), (2, 2), (4, 1)]);
        assert_eq!(stripes(2, 1 << 22).collect::<Vec<_>>(), [(0, 1), (1, 1)]);
    }
}
