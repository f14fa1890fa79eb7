//! Operations that make new pixels.

pub(crate) mod blur;
pub(crate) mod resize;
pub(crate) mod rotate;

use crate::View;

/// One table of 256 counts a channel.
pub(crate) fn histogram(view: &View) -> Vec<[u64; 256]> {
    let channels = view.format().channels();
    let mut tables = vec![[0; 256]; channels];
    for row in view.rows() {
        for (channel, table) in tables.iter_mut().enumerate() {
            row.iter().skip(channel).step_by(channels).for_each(|&value| table[usize::from(value)] += 1);
        }
    }
    tables
}
