//! One image over another.

use super::Canvas;
use super::layer::mix;
use crate::convert::append_row;
use crate::work::Work;
use crate::{ImageError, Pasted, PixelFormat};

impl Canvas {
    pub(super) fn draw_pasted(&mut self, work: &Work, pasted: &Pasted) -> Result<(), ImageError> {
        let opacity = pasted.opacity.min(1.0);
        if opacity.is_nan() || opacity <= 0.0 {
            return Ok(());
        }
        // What is visible of the source, in its own coordinates.
        let visible = |at: i32, length: u32, limit: u32| {
            let start = (-i64::from(at)).max(0);
            let end = i64::from(length).min(i64::from(limit) - i64::from(at));
            (start < end).then_some((start as u32, end as u32))
        };
        let (width, height) = self.size();
        let (source_width, source_height) = pasted.source.size();
        let (Some((left, right)), Some((top, bottom))) =
            (visible(pasted.at.x, source_width, width), visible(pasted.at.y, source_height, height))
        else {
            return Ok(());
        };
        let view = pasted.source.view_in(work)?;
        let (from, to) = (view.format(), self.format());
        let pixels = u64::from(right - left) * u64::from(bottom - top);
        let surface = self.surface(work)?;
        let stride = surface.stride();
        // Transparency of the source counts, so it is not flattened first.
        let straight = if from == PixelFormat::Rgba8 { PixelFormat::Rgba8 } else { to };
        let blends = from != PixelFormat::Rgba8 && opacity < 1.0;
        let table = if blends && pixels > TABLE_PAYS {
            work.spend(1 << 16)?;
            Some(blend_table(opacity))
        } else {
            None
        };
        let mut converted = Vec::new();
        let mut painted = 0;
        for y in top..bottom {
            // Blending costs a multiplication a channel.
            work.spend(8 + u64::from(right - left) * if blends || from == PixelFormat::Rgba8 { 8 } else { 2 })?;
            let row = &view.row(y)[left as usize * from.bytes()..right as usize * from.bytes()];
            converted.clear();
            append_row(row, from, straight, &mut converted);
            let (x, y) = (i64::from(pasted.at.x) + i64::from(left), i64::from(pasted.at.y) + i64::from(y));
            let start = y as usize * stride + x as usize * to.channels();
            let length = (right - left) as usize * to.channels();
            let below = &mut surface.data_mut()[start..start + length];
            match &table {
                _ if from == PixelFormat::Rgba8 => blend_rgba(below, &converted, to, opacity),
                None if blends => below.iter_mut().zip(&converted).for_each(|(below, above)| {
                    *below = mix(opacity, *above, *below);
                }),
                None => below.copy_from_slice(&converted),
                Some(table) => below.iter_mut().zip(&converted).for_each(|(below, above)| {
                    *below = table[usize::from(*above)][usize::from(*below)];
                }),
            }
            painted += u64::from(right - left);
        }
        self.painted += painted;
        Ok(())
    }
}

/// Pixels from which on a table of all mixtures costs less than it saves.
const TABLE_PAYS: u64 = 50_000;

/// Result by the value above and the value below.
fn blend_table(opacity: f32) -> Box<[[u8; 256]; 256]> {
    let mut table = Box::new([[0; 256]; 256]);
    for (above, row) in table.iter_mut().enumerate() {
        row.iter_mut().enumerate().for_each(|(below, out)| *out = mix(opacity, above as u8, below as u8));
    }
    table
}

fn blend_rgba(below: &mut [u8], above: &[u8], to: PixelFormat, opacity: f32) {
    for (below, &[r, g, b, a]) in below.chunks_exact_mut(to.channels()).zip(above.as_chunks::<4>().0) {
        let opacity = opacity * f32::from(a) / 255.0;
        let color = crate::Ink { r, g, b, opacity }.color(to);
        below.iter_mut().zip(color).for_each(|(below, above)| *below = mix(opacity, above, *below));
    }
}
