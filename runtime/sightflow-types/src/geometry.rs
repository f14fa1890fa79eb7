//! Overlap of boxes and the ways to merge overlapping detections.
//!
//! Boxes are unrounded and in pixels. Every mode orders by score, best first; ties keep input order.

use serde::{Deserialize, Serialize};

use crate::detection::BoundingBox;

impl BoundingBox {
    /// Width times height; 0 for a box without extent.
    pub fn area(&self) -> f64 {
        (self.x2 - self.x1).max(0.0) * (self.y2 - self.y1).max(0.0)
    }

    /// Area shared with another box.
    pub fn intersection(&self, other: &Self) -> f64 {
        let width = self.x2.min(other.x2) - self.x1.max(other.x1);
        let height = self.y2.min(other.y2) - self.y1.max(other.y1);
        width.max(0.0) * height.max(0.0)
    }

    /// Intersection over union, 0..=1; 0 when both are empty.
    pub fn iou(&self, other: &Self) -> f64 {
        let shared = self.intersection(other);
        ratio(shared, self.area() + other.area() - shared)
    }

    /// Intersection over the smaller area, 0..=1; 0 when that is empty.
    pub fn ios(&self, other: &Self) -> f64 {
        ratio(self.intersection(other), self.area().min(other.area()))
    }

    /// The smallest box around both.
    #[must_use]
    pub fn hull(&self, other: &Self) -> Self {
        Self {
            x1: self.x1.min(other.x1),
            y1: self.y1.min(other.y1),
            x2: self.x2.max(other.x2),
            y2: self.y2.max(other.y2),
        }
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// How the overlap of two boxes is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverlapMetric {
    /// Intersection over union.
    #[default]
    Iou,
    /// Intersection over the smaller box.
    Ios,
}

impl OverlapMetric {
    /// Overlap of two boxes, 0..=1.
    pub fn of(self, a: &BoundingBox, b: &BoundingBox) -> f64 {
        match self {
            Self::Iou => a.iou(b),
            Self::Ios => a.ios(b),
        }
    }
}

/// What happens to boxes that overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MergeMode {
    /// Keep the best, drop every later box that overlaps it, across classes.
    Nms,
    /// The same within each class.
    #[default]
    NmsClass,
    /// Within each class, lower the scores of boxes that overlap a better one instead of dropping them.
    SoftNms,
    /// Within each class, replace overlapping boxes by their hull.
    Union,
    /// Weighted boxes fusion: within each class, replace overlapping boxes by their mean, weighted by score.
    Wbf,
    /// `NmsClass` at 0.7 of the threshold.
    Greedy,
    /// `Wbf`, then drop what too few sources found.
    Consensus,
    /// Keep all.
    None,
}

/// A mode with its settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Merge {
    /// What happens to boxes that overlap.
    pub mode: MergeMode,
    /// Boxes overlap when the metric is above this, 0..=1.
    pub iou_threshold: f64,
    /// Measure of overlap; `Wbf` and `Consensus` always use IoU.
    pub metric: OverlapMetric,
    /// σ of `SoftNms`, above 0.
    pub soft_nms_sigma: f64,
    /// `SoftNms` drops boxes whose lowered score is below this.
    pub score_threshold: f64,
    /// Number of sources that could have found each box; `Wbf` lowers scores of clusters with fewer boxes. 0: it does not.
    pub sources: usize,
    /// Distinct sources that `Consensus` asks for.
    pub required_votes: usize,
}

impl Merge {
    /// A mode at a threshold, by IoU; σ 0.5, score threshold 0, no sources, one vote.
    pub fn new(mode: MergeMode, iou_threshold: f64) -> Self {
        Self {
            mode,
            iou_threshold,
            metric: OverlapMetric::Iou,
            soft_nms_sigma: 0.5,
            score_threshold: 0.0,
            sources: 0,
            required_votes: 1,
        }
    }
}

/// A box to merge. `C` tells classes apart: a name, an id.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate<C> {
    /// Pixels, not rounded.
    pub bbox: BoundingBox,
    /// 0..=1.
    pub score: f64,
    /// Boxes of different classes are only compared by [`MergeMode::Nms`].
    pub class: C,
    /// Which list it came from; counted by [`MergeMode::Consensus`].
    pub source: usize,
}

/// A box that remains.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// Index of the best candidate in it: the one whose id, class and other fields it keeps.
    pub index: usize,
    /// Its box.
    pub bbox: BoundingBox,
    /// Its score.
    pub score: f64,
}

/// Merges overlapping boxes; the result is ordered by score, best first.
pub fn merge<C: PartialEq>(candidates: &[Candidate<C>], how: &Merge) -> Vec<Merged> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|a, b| candidates[*b].score.total_cmp(&candidates[*a].score));
    let mut merged = match how.mode {
        MergeMode::None => order.into_iter().map(|index| keep(candidates, index)).collect(),
        MergeMode::Nms => nms(candidates, &order, how.iou_threshold, how.metric, |_, _| true),
        MergeMode::NmsClass => nms(candidates, &order, how.iou_threshold, how.metric, |a, b| a == b),
        MergeMode::Greedy => nms(candidates, &order, 0.7 * how.iou_threshold, how.metric, |a, b| a == b),
        MergeMode::SoftNms => soft_nms(candidates, order, how),
        MergeMode::Union => union(candidates, order, how),
        MergeMode::Wbf => fuse(candidates, &order, how, 0),
        MergeMode::Consensus => fuse(candidates, &order, how, how.required_votes),
    };
    merged.sort_by(|a, b| b.score.total_cmp(&a.score));
    merged
}

fn keep<C>(candidates: &[Candidate<C>], index: usize) -> Merged {
    Merged { index, bbox: candidates[index].bbox, score: candidates[index].score }
}

fn nms<C>(
    candidates: &[Candidate<C>],
    order: &[usize],
    threshold: f64,
    metric: OverlapMetric,
    comparable: impl Fn(&C, &C) -> bool,
) -> Vec<Merged> {
    let mut kept: Vec<usize> = Vec::new();
    for &index in order {
        let candidate = &candidates[index];
        let covered = kept.iter().map(|&better| &candidates[better]).any(|better| {
            comparable(&better.class, &candidate.class) && metric.of(&better.bbox, &candidate.bbox) > threshold
        });
        if !covered {
            kept.push(index);
        }
    }
    kept.into_iter().map(|index| keep(candidates, index)).collect()
}

fn soft_nms<C: PartialEq>(candidates: &[Candidate<C>], order: Vec<usize>, how: &Merge) -> Vec<Merged> {
    let mut rest: Vec<Merged> = order.into_iter().map(|index| keep(candidates, index)).collect();
    let mut kept = Vec::new();
    // The first of the best, so that ties keep input order.
    while let Some(best) =
        (0..rest.len()).reduce(|best, other| if rest[other].score > rest[best].score { other } else { best })
    {
        let best = rest.remove(best);
        for other in &mut rest {
            if candidates[other.index].class == candidates[best.index].class {
                let overlap = how.metric.of(&best.bbox, &other.bbox);
                other.score *= (-overlap * overlap / how.soft_nms_sigma).exp();
            }
        }
        rest.retain(|other| other.score >= how.score_threshold);
        kept.push(best);
    }
    kept
}

fn union<C: PartialEq>(candidates: &[Candidate<C>], mut rest: Vec<usize>, how: &Merge) -> Vec<Merged> {
    let mut merged = Vec::new();
    while !rest.is_empty() {
        let mut hull = keep(candidates, rest.remove(0));
        let mut grew = true;
        while grew {
            let before = rest.len();
            rest.retain(|&index| {
                let candidate = &candidates[index];
                let absorbed = candidate.class == candidates[hull.index].class
                    && how.metric.of(&hull.bbox, &candidate.bbox) > how.iou_threshold;
                if absorbed {
                    hull.bbox = hull.bbox.hull(&candidate.bbox);
                }
                !absorbed
            });
            grew = rest.len() < before;
        }
        merged.push(hull);
    }
    merged
}

/// Boxes of one class that are taken for the same object.
struct Cluster {
    members: Vec<usize>,
    fused: BoundingBox,
}

fn fuse<C: PartialEq>(candidates: &[Candidate<C>], order: &[usize], how: &Merge, required_votes: usize) -> Vec<Merged> {
    let mut clusters: Vec<Cluster> = Vec::new();
    for &index in order {
        let candidate = &candidates[index];
        let same = clusters.iter_mut().find(|cluster| {
            candidates[cluster.members[0]].class == candidate.class
                && cluster.fused.iou(&candidate.bbox) > how.iou_threshold
        });
        match same {
            Some(cluster) => {
                cluster.members.push(index);
                cluster.fused = weighted_mean(candidates, &cluster.members);
            }
            None => clusters.push(Cluster { members: vec![index], fused: candidate.bbox }),
        }
    }
    clusters.retain(|cluster| {
        let mut sources: Vec<_> = cluster.members.iter().map(|&index| candidates[index].source).collect();
        sources.sort_unstable();
        sources.dedup();
        sources.len() >= required_votes
    });
    let score = |cluster: &Cluster| {
        let count = cluster.members.len();
        let mean = cluster.members.iter().map(|&index| candidates[index].score).sum::<f64>() / count as f64;
        if how.sources > 0 { mean * count.min(how.sources) as f64 / how.sources as f64 } else { mean }
    };
    clusters
        .iter()
        .map(|cluster| Merged { index: cluster.members[0], bbox: cluster.fused, score: score(cluster) })
        .collect()
}

fn weighted_mean<C>(candidates: &[Candidate<C>], members: &[usize]) -> BoundingBox {
    let total: f64 = members.iter().map(|&index| candidates[index].score).sum();
    if total <= 0.0 {
        return candidates[members[0]].bbox;
    }
    let mean = |side: fn(&BoundingBox) -> f64| {
        members.iter().map(|&index| candidates[index].score * side(&candidates[index].bbox)).sum::<f64>() / total
    };
    BoundingBox { x1: mean(|b| b.x1), y1: mean(|b| b.y1), x2: mean(|b| b.x2), y2: mean(|b| b.y2) }
}

#[cfg(test)]
mod tests;
