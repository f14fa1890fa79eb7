//! Between pixel formats.

use crate::work::{Held, Work};
use crate::{ImageError, PixelFormat, View};

/// The pixels of a view in another format, as packed rows, and the bytes that they occupy.
pub(crate) fn convert(work: &Work, view: &View, to: PixelFormat) -> Result<(Vec<u8>, Held), ImageError> {
    let length = view.width() as usize * view.height() as usize * to.bytes();
    let held = work.take(length as u64)?;
    let mut out = Vec::with_capacity(length);
    for row in view.rows() {
        work.spend(8 + 2 * u64::from(view.width()))?;
        append_row(row, view.format(), to, &mut out);
    }
    Ok((out, held))
}

/// Appends one row of pixels, converted.
pub(crate) fn append_row(row: &[u8], from: PixelFormat, to: PixelFormat, out: &mut Vec<u8>) {
    use PixelFormat::{Float32, Gray8, Gray16, Rgb8, Rgba8};
    let shorts = || row.as_chunks::<2>().0.iter().map(|&v| u16::from_le_bytes(v));
    let numbers = || row.as_chunks::<4>().0.iter().map(|&v| f32::from_le_bytes(v));
    match (from, to) {
        (Gray8, Gray8) | (Rgb8, Rgb8) | (Rgba8, Rgba8) | (Gray16, Gray16) | (Float32, Float32) => {
            out.extend_from_slice(row);
        }
        (Gray8, Gray16) => out.extend(row.iter().flat_map(|&v| (u16::from(v) * 257).to_le_bytes())),
        (Gray8, Float32) => out.extend(row.iter().flat_map(|&v| (f32::from(v) / 255.0).to_le_bytes())),
        (Gray16, Gray8) => out.extend(shorts().map(|v| ((u32::from(v) + 128) / 257) as u8)),
        (Gray16, Float32) => out.extend(shorts().flat_map(|v| (f32::from(v) / 65_535.0).to_le_bytes())),
        // A cast saturates, and makes 0 of what is no number.
        (Float32, Gray8) => out.extend(numbers().map(|v| (v * 255.0 + 0.5) as u8)),
        (Float32, Gray16) => out.extend(numbers().flat_map(|v| ((v * 65_535.0 + 0.5) as u16).to_le_bytes())),
        (Rgb8 | Rgba8, Gray16 | Float32) | (Gray16 | Float32, Rgb8 | Rgba8) => {
            let mut gray = Vec::with_capacity(row.len() / from.bytes());
            append_row(row, from, Gray8, &mut gray);
            append_row(&gray, Gray8, to, out);
        }
        (Gray8, Rgb8) => out.extend(row.iter().flat_map(|&v| [v, v, v])),
        (Gray8, Rgba8) => out.extend(row.iter().flat_map(|&v| [v, v, v, 255])),
        (Rgb8, Gray8) => out.extend(row.as_chunks::<3>().0.iter().map(|&[r, g, b]| luma(r, g, b))),
        (Rgb8, Rgba8) => out.extend(row.as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [r, g, b, 255])),
        (Rgba8, Rgb8) => out.extend(row.as_chunks::<4>().0.iter().flat_map(|&p| on_white(p))),
        (Rgba8, Gray8) => out.extend(row.as_chunks::<4>().0.iter().map(|&p| {
            let [r, g, b] = on_white(p);
            luma(r, g, b)
        })),
    }
}

/// `round(.299R + .587G + .114B)`.
pub(crate) fn luma(r: u8, g: u8, b: u8) -> u8 {
    ((299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b) + 500) / 1000) as u8
}

fn on_white([r, g, b, a]: [u8; 4]) -> [u8; 3] {
    let a = u32::from(a);
    [r, g, b].map(|c| ((u32::from(c) * a + 255 * (255 - a) + 127) / 255) as u8)
}

/// Premultiplied RGBA to RGB over a white background.
pub(crate) fn premultiplied_on_white([r, g, b, a]: [u8; 4]) -> [u8; 3] {
    [r, g, b].map(|c| c.saturating_add(255 - a))
}

/// Premultiplied RGBA to straight RGBA.
pub(crate) fn straight([r, g, b, a]: [u8; 4]) -> [u8; 4] {
    let color =
        |c: u8| if a == 0 { 0 } else { ((u32::from(c) * 255 + u32::from(a) / 2) / u32::from(a)).min(255) as u8 };
    [color(r), color(g), color(b), a]
}
