//! Masks, and everything outside of some areas.

use super::{Canvas, check_steps};
use crate::work::Work;
use crate::{ImageError, Mask, Outside};

impl Canvas {
    pub(super) fn draw_mask(&mut self, work: &Work, mask: &Mask) -> Result<(), ImageError> {
        let (width, height) = self.size();
        if (mask.width, mask.height) != (width, height) {
            return Err(ImageError::Invalid(format!(
                "a mask of {}×{} does not cover a canvas of {width}×{height}",
                mask.width, mask.height
            )));
        }
        let pixels = u64::from(width) * u64::from(height);
        let mut covered = 0;
        for counts in mask.counts.chunks(1 << 16) {
            work.spend(counts.len() as u64)?;
            covered += counts.iter().map(|&count| u64::from(count)).sum::<u64>();
        }
        if covered != pixels {
            return Err(ImageError::Invalid(format!("the runs of a mask add up to {covered}, not to {pixels} pixels")));
        }
        self.layer(work, mask.ink, self.bounds(), |layer| {
            let width = i64::from(width);
            let mut at = 0;
            for (index, &count) in mask.counts.iter().enumerate() {
                work.spend(2)?;
                let end = at + i64::from(count);
                // Every second run is foreground; it may go on over several rows.
                while index % 2 == 1 && at < end {
                    let row_end = (at / width + 1) * width;
                    let stop = end.min(row_end);
                    layer.span_once(at / width, at % width, (stop - 1) % width)?;
                    at = stop;
                }
                at = end;
            }
            Ok(())
        })
    }

    pub(super) fn draw_outside(&mut self, work: &Work, outside: &Outside) -> Result<(), ImageError> {
        if outside.areas.len() > MOST_AREAS {
            let count = outside.areas.len();
            return Err(ImageError::Invalid(format!(
                "{count} areas in one operation; at most {MOST_AREAS} can be drawn"
            )));
        }
        self.layer(work, outside.ink, self.bounds(), |layer| {
            let mut areas = Vec::with_capacity(outside.areas.len());
            work.spend(32 * outside.areas.len() as u64)?;
            for area in &outside.areas {
                let (x, y) = (i64::from(area.x), i64::from(area.y));
                let rows = layer.rows(y, y + i64::from(area.height) - 1);
                let (first, end) = (x.max(0), (x + i64::from(area.width)).min(layer.width()));
                if first < end && !rows.is_empty() {
                    areas.push((first, end, rows));
                }
            }
            check_steps("a list of areas", areas.iter().map(|area| (area.2.end - area.2.start) as u64).sum())?;
            // By their left edge, so that one pass over a row finds the gaps.
            areas.sort_by_key(|area| (area.2.start, area.0));
            let mut waiting = areas.into_iter().peekable();
            let mut active: Vec<(i64, i64, i64)> = Vec::new();
            for y in 0..layer.height() {
                active.retain(|area| area.2 > y);
                let before = active.len();
                while let Some((first, end, rows)) = waiting.next_if(|area| area.2.start <= y) {
                    active.push((first, end, rows.end));
                }
                // A row in which areas begin sorts them all.
                work.spend(active.len() as u64 * if active.len() > before { 32 } else { 2 })?;
                if active.len() > before {
                    active.sort_unstable();
                }
                let mut free = 0;
                for &(first, end, _) in &active {
                    layer.span_once(y, free, first - 1)?;
                    free = free.max(end);
                }
                layer.span_once(y, free, layer.width() - 1)?;
            }
            Ok(())
        })
    }
}

/// Most areas of one operation.
const MOST_AREAS: usize = 1 << 16;
