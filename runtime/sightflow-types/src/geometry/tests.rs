use super::*;
use crate::round_to;

fn candidate(x1: f64, x2: f64, score: f64) -> Candidate<&'static str> {
    Candidate { bbox: BoundingBox { x1, y1: 0.0, x2, y2: 100.0 }, score, class: "cup", source: 0 }
}

/// Three boxes of one class; the second overlaps the first, the third neither.
fn three() -> Vec<Candidate<&'static str>> {
    vec![candidate(0.0, 100.0, 0.9), candidate(10.0, 110.0, 0.8), candidate(200.0, 300.0, 0.7)]
}

/// `expected` holds index, x1, x2 (2 decimals) and score (4 decimals).
fn check(candidates: &[Candidate<&'static str>], how: &Merge, expected: &[(usize, f64, f64, f64)]) {
    let found: Vec<_> = merge(candidates, how)
        .into_iter()
        .map(|m| (m.index, round_to(m.bbox.x1, 2), round_to(m.bbox.x2, 2), round_to(m.score, 4)))
        .collect();
    assert_eq!(found, expected, "{how:?}");
}

const A: (usize, f64, f64, f64) = (0, 0.0, 100.0, 0.9);
const B: (usize, f64, f64, f64) = (1, 10.0, 110.0, 0.8);
const C: (usize, f64, f64, f64) = (2, 200.0, 300.0, 0.7);

#[test]
fn overlap() {
    let boxes = three();
    let (a, b, c) = (boxes[0].bbox, boxes[1].bbox, boxes[2].bbox);
    assert_eq!(round_to(a.iou(&b), 6), 0.818_182);
    assert_eq!((a.ios(&b), a.iou(&c), a.ios(&c)), (0.9, 0.0, 0.0));
    let empty = BoundingBox::default();
    assert_eq!((empty.iou(&empty), empty.ios(&a)), (0.0, 0.0));
}

#[test]
fn suppression() {
    check(&three(), &Merge::new(MergeMode::Nms, 0.5), &[A, C]);
    check(&three(), &Merge::new(MergeMode::NmsClass, 0.5), &[A, C]);
    // 0.9 is not above 0.9.
    let by_ios = |threshold| Merge { metric: OverlapMetric::Ios, ..Merge::new(MergeMode::Nms, threshold) };
    check(&three(), &by_ios(0.9), &[A, B, C]);
    check(&three(), &by_ios(0.89), &[A, C]);
    // 0.7 · 0.9 = 0.63 < 0.818 < 0.9.
    check(&three(), &Merge::new(MergeMode::NmsClass, 0.9), &[A, B, C]);
    check(&three(), &Merge::new(MergeMode::Greedy, 0.9), &[A, C]);
    check(&three(), &Merge::new(MergeMode::None, 0.5), &[A, B, C]);
}

#[test]
fn classes_are_compared_only_across_nms() {
    let mut boxes = three();
    boxes[1].class = "bowl";
    check(&boxes, &Merge::new(MergeMode::Nms, 0.5), &[A, C]);
    for mode in [MergeMode::NmsClass, MergeMode::Union, MergeMode::Wbf, MergeMode::SoftNms, MergeMode::Greedy] {
        check(&boxes, &Merge::new(mode, 0.5), &[A, B, C]);
    }
}

#[test]
fn soft_suppression() {
    let soft = |score_threshold| Merge { score_threshold, ..Merge::new(MergeMode::SoftNms, 0.5) };
    check(&three(), &soft(0.2), &[A, C, (1, 10.0, 110.0, 0.2097)]);
    check(&three(), &soft(0.3), &[A, C]);
}

#[test]
fn union_grows() {
    check(&three(), &Merge::new(MergeMode::Union, 0.5), &[(0, 0.0, 110.0, 0.9), C]);
    // The third is reached only once the hull holds the second: IoU(A, D) = 55/145, IoU(hull, D) = 65/145.
    let mut chain = three();
    chain[2] = candidate(45.0, 145.0, 0.7);
    check(&chain, &Merge::new(MergeMode::Union, 0.4), &[(0, 0.0, 145.0, 0.9)]);
}

#[test]
fn fusion() {
    let fused = (0, 4.71, 104.71, 0.85);
    check(&three(), &Merge::new(MergeMode::Wbf, 0.5), &[fused, C]);
    // Of two sources only one found C.
    let two = Merge { sources: 2, ..Merge::new(MergeMode::Wbf, 0.5) };
    check(&three(), &two, &[fused, (2, 200.0, 300.0, 0.35)]);
}

#[test]
fn consensus_counts_sources() {
    let votes = Merge { required_votes: 2, ..Merge::new(MergeMode::Consensus, 0.5) };
    check(&three(), &votes, &[]);
    let mut boxes = three();
    boxes[1].source = 1;
    check(&boxes, &votes, &[(0, 4.71, 104.71, 0.85)]);
}

#[test]
fn ties_keep_input_order_and_nothing_is_fine() {
    let tied = [candidate(0.0, 10.0, 0.5), candidate(50.0, 60.0, 0.5), candidate(90.0, 99.0, 0.5)];
    for mode in [MergeMode::Nms, MergeMode::None, MergeMode::SoftNms, MergeMode::Union, MergeMode::Wbf] {
        check(&tied, &Merge::new(mode, 0.5), &[(0, 0.0, 10.0, 0.5), (1, 50.0, 60.0, 0.5), (2, 90.0, 99.0, 0.5)]);
        check(&[], &Merge::new(mode, 0.5), &[]);
    }
    check(
        &[candidate(0.0, 10.0, 0.0), candidate(0.0, 10.0, 0.0)],
        &Merge::new(MergeMode::Wbf, 0.5),
        &[(0, 0.0, 10.0, 0.0)],
    );
}
