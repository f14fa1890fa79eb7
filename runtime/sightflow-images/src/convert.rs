//! Between grey, RGB and RGBA.

use crate::work::{Held, Work};
use crate::{ImageError, PixelFormat, View};

/// The pixels of a view in another format, as packed rows, and the bytes that they occupy.
pub(crate) fn convert(work: &Work, view: &View, to: PixelFormat) -> Result<(Vec<u8>, Held), ImageError> {
    let length = view.width() as usize * view.height() as usize * to.channels();
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
    use PixelFormat::{Gray8, Rgb8, Rgba8};
    match (from, to) {
        (Gray8, Gray8) | (Rgb8, Rgb8) | (Rgba8, Rgba8) => out.extend_from_slice(row),
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
