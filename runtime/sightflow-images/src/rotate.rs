//! Quarter turns and mirrors.

use crate::work::{Held, Work};
use crate::{ImageError, Pixels, View};

/// `turns` quarter turns clockwise (0..=3), then mirrored left to right.
pub(crate) fn rotate(work: &Work, view: &View, turns: u8, mirror: bool) -> Result<Pixels, ImageError> {
    let held = work.take(view.bytes())?;
    rotate_held(work, view, (turns, mirror), held)
}

/// As [`rotate`], where the bytes of the result were taken already.
pub(crate) fn rotate_held(work: &Work, view: &View, how: (u8, bool), held: Held) -> Result<Pixels, ImageError> {
    match view.format().bytes() {
        1 => rotate_channels::<1>(work, view, how, held),
        2 => rotate_channels::<2>(work, view, how, held),
        3 => rotate_channels::<3>(work, view, how, held),
        _ => rotate_channels::<4>(work, view, how, held),
    }
}

/// Edge of the square tiles in which rows become columns, so that both sides stay in the cache.
const TILE: u32 = 32;

fn rotate_channels<const N: usize>(
    work: &Work,
    view: &View,
    (turns, mirror): (u8, bool),
    held: Held,
) -> Result<Pixels, ImageError> {
    let (w, h) = (view.width(), view.height());
    let (out_w, out_h) = if turns % 2 == 1 { (h, w) } else { (w, h) };
    let mut data = vec![0; w as usize * h as usize * N];
    let out = data.as_chunks_mut::<N>().0;
    for top in (0..h).step_by(TILE as usize) {
        work.spend(2 * u64::from(TILE.min(h - top)) * u64::from(w))?;
        for left in (0..w).step_by(TILE as usize) {
            for y in top..(top + TILE).min(h) {
                let row = view.row(y).as_chunks::<N>().0;
                for x in left..(left + TILE).min(w) {
                    let (to_x, to_y) = match turns {
                        0 => (x, y),
                        1 => (h - 1 - y, x),
                        2 => (w - 1 - x, h - 1 - y),
                        _ => (y, w - 1 - x),
                    };
                    let to_x = if mirror { out_w - 1 - to_x } else { to_x };
                    out[to_y as usize * out_w as usize + to_x as usize] = row[x as usize];
                }
            }
        }
    }
    Ok(Pixels::from_held(out_w, out_h, view.format(), data, held))
}
