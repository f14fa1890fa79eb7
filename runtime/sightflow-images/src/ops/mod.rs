//! Operations that make new pixels.

pub(crate) mod blur;
pub(crate) mod border;
mod color;
mod combine;
pub(crate) mod contours;
mod flip;
mod lab;
mod morphology;
pub(crate) mod resize;
mod statistics;
mod threshold;
mod warp;

use crate::work::Work;
use crate::{ImageError, View};

/// One table of 256 counts a channel.
pub(crate) fn histogram(work: &Work, view: &View) -> Result<Vec<[u32; 256]>, ImageError> {
    view.format().require_8_bits("a histogram")?;
    let channels = view.format().channels();
    let mut tables = vec![[0; 256]; channels];
    for row in view.rows() {
        work.spend(row.len() as u64)?;
        for (channel, table) in tables.iter_mut().enumerate() {
            row.iter().skip(channel).step_by(channels).for_each(|&value| table[usize::from(value)] += 1);
        }
    }
    Ok(tables)
}
