//! Masks, and everything outside of some areas.

use super::{Canvas, check_steps};
use crate::work::Work;
use crate::{ImageError, Mask, MaskOrder, Outside};

impl Canvas {
    pub(super) fn draw_mask(&mut self, work: &Work, mask: &Mask) -> Result<(), ImageError> {
        let Mask { area, order, .. } = *mask;
        let pixels = u64::from(area.width) * u64::from(area.height);
        if pixels == 0 {
            return Err(ImageError::Invalid(format!("a mask of {}×{} pixels is empty", area.width, area.height)));
        }
        let mut covered = 0u64;
        for counts in mask.counts.chunks(1 << 16) {
            work.spend(counts.len() as u64)?;
            covered = covered.saturating_add(counts.iter().map(|&count| u64::from(count)).sum());
        }
        if covered != pixels {
            return Err(ImageError::Invalid(format!("the runs of a mask add up to {covered}, not to {pixels} pixels")));
        }
        let (left, top) = (i64::from(area.x), i64::from(area.y));
        let (right, bottom) = (left + i64::from(area.width) - 1, top + i64::from(area.height) - 1);
        self.layer(work, mask.ink, (left, top, right, bottom), |layer| {
            // A line is a row or a column of the mask; only those that show are looked at.
            let columns = (-left).max(0)..(layer.width() - left).min(i64::from(area.width));
            let rows = (-top).max(0)..(layer.height() - top).min(i64::from(area.height));
            let (length, lines, along) = match order {
                MaskOrder::RowMajor => (u64::from(area.width), rows, columns),
                MaskOrder::ColumnMajor => (u64::from(area.height), columns, rows),
            };
            let mut at = 0u64;
            for (index, &count) in mask.counts.iter().enumerate() {
                work.spend(2)?;
                let end = at + u64::from(count);
                // Every second run is foreground; it may go on over several lines.
                if index % 2 == 1 && at < end {
                    let (first, last) = ((at / length) as i64, ((end - 1) / length) as i64);
                    for line in first.max(lines.start)..(last + 1).min(lines.end) {
                        let start = if line == first { (at % length) as i64 } else { 0 }.max(along.start);
                        let stop = if line == last { ((end - 1) % length) as i64 } else { i64::MAX }.min(along.end - 1);
                        match order {
                            MaskOrder::RowMajor => layer.span_once(top + line, left + start, left + stop)?,
                            MaskOrder::ColumnMajor => {
                                for y in start..=stop {
                                    layer.span_once(top + y, left + line, left + line)?;
                                }
                            }
                        }
                    }
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
