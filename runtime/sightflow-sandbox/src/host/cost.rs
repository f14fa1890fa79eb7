//! Upper bounds, in pixels, of what drawing costs the host.

use sightflow_images::{Area, DrawOp, Point, Stroke};

/// Pixels that are painted between two looks at the wall clock.
pub(super) const SLICE: u64 = 64_000_000;

/// Pixels that `op` may touch on a surface of this size; at least 1.
pub(super) fn of(op: &DrawOp, size: (u32, u32)) -> u64 {
    let surface = u64::from(size.0) * u64::from(size.1);
    let cost = match op {
        DrawOp::Rectangle(op) => clipped(bounds([op.from, op.to], op.stroke), size) * 2,
        DrawOp::Path(op) => {
            let bounds = clipped(bounds(op.points.iter().copied(), op.stroke), size);
            // The fill looks at every edge in every row that the path reaches.
            let fill = op.fill.map_or(0, |_| bounds + op.points.len() as u64 * u64::from(size.1));
            let closing = if op.closed { op.points.first() } else { None };
            let ends = op.points.iter().skip(1).chain(closing);
            let line = op.stroke.map_or(0, |stroke| {
                op.points
                    .iter()
                    .zip(ends)
                    .fold(0_u64, |sum, (a, b)| sum.saturating_add(segment(*a, *b, stroke).min(surface)))
            });
            fill.saturating_add(line).saturating_add(op.points.len() as u64)
        }
        DrawOp::Ellipse(op) => {
            let (x, y) = (i64::from(op.center.x), i64::from(op.center.y));
            let (rx, ry) = (i64::from(op.radius_x), i64::from(op.radius_y));
            let around = half(op.stroke);
            clipped((x - rx - around, y - ry - around, x + rx + around, y + ry + around), size) * 2
        }
        DrawOp::Text(op) => {
            // A glyph is rasterised in full wherever it lies.
            let height = u64::from(op.height.clamp(1.0, 4096.0) as u32 + 1);
            (op.content.len() as u64).saturating_mul(height * height).saturating_add(if op.background.is_some() {
                surface
            } else {
                0
            })
        }
        DrawOp::Mask(op) => surface + op.counts.len() as u64,
        DrawOp::Image(op) => {
            let (width, height) = op.source.size();
            u64::from(width) * u64::from(height)
        }
        DrawOp::Outside(op) => op.areas.iter().fold(surface, |sum, area| sum.saturating_add(covered(*area, size))),
    };
    cost.max(1)
}

/// Pixels that a Gaussian of this standard deviation costs on so many pixels.
pub(super) fn blur(pixels: u64, sigma: f32) -> u64 {
    // Two passes with a kernel of about 6σ, of constant cost from σ = 20 on; one multiplication is a small part of what a painted pixel costs.
    let passes = (sigma.clamp(0.0, 20.0) * 6.0 / 8.0) as u64 + 2;
    pixels.saturating_mul(passes)
}

fn half(stroke: Option<Stroke>) -> i64 {
    stroke.map_or(0, |stroke| i64::from(stroke.width / 2) + 1)
}

fn segment(a: Point, b: Point, stroke: Stroke) -> u64 {
    let length = a.x.abs_diff(b.x).max(a.y.abs_diff(b.y));
    let width = u64::from(stroke.width) + 1;
    (u64::from(length) + width).saturating_mul(width)
}

type Bounds = (i64, i64, i64, i64);

fn bounds(points: impl IntoIterator<Item = Point>, stroke: Option<Stroke>) -> Bounds {
    let around = half(stroke);
    let start = (i64::MAX, i64::MAX, i64::MIN, i64::MIN);
    let (x1, y1, x2, y2) = points.into_iter().fold(start, |(x1, y1, x2, y2), point| {
        let (x, y) = (i64::from(point.x), i64::from(point.y));
        (x1.min(x), y1.min(y), x2.max(x), y2.max(y))
    });
    if x1 > x2 { (0, 0, -1, -1) } else { (x1 - around, y1 - around, x2 + around, y2 + around) }
}

fn clipped((x1, y1, x2, y2): Bounds, (width, height): (u32, u32)) -> u64 {
    let side =
        |from: i64, to: i64, limit: u32| u64::try_from(to.min(i64::from(limit) - 1) - from.max(0) + 1).unwrap_or(0);
    side(x1, x2, width) * side(y1, y2, height)
}

fn covered(area: Area, size: (u32, u32)) -> u64 {
    let (x, y) = (i64::from(area.x), i64::from(area.y));
    clipped((x, y, x + i64::from(area.width) - 1, y + i64::from(area.height) - 1), size)
}

#[cfg(test)]
mod tests {
    use sightflow_images::{Area, DrawOp, Ink, Outside, Path, Point, Rectangle, Stroke, Text};

    use super::of;

    #[test]
    fn costs_are_clipped_and_never_nothing() {
        let ink = Ink::opaque(0, 0, 0);
        let stroke = Some(Stroke { ink, width: 2 });
        let at = |x, y| Point { x, y };
        let rectangle =
            |from, to| DrawOp::Rectangle(Rectangle { from, to, corner_radius: 0, fill: Some(ink), stroke: None });
        let path = |points: Vec<Point>| DrawOp::Path(Path { points, closed: true, fill: None, stroke });
        let far = i32::MAX;
        let cases = [
            (rectangle(at(0, 0), at(9, 9)), 200),
            (rectangle(at(-far, -far), at(far, far)), 2 * 100 * 50),
            (rectangle(at(200, 200), at(300, 300)), 1),
            (path(vec![]), 1),
            (path(vec![at(-far, -far), at(far, far)]), 2 * 100 * 50 + 2),
            (DrawOp::Text(Text { content: "ab".to_owned(), at: at(0, 0), height: 9.0, ink, background: None }), 200),
            (DrawOp::Outside(Outside { areas: vec![Area { x: -5, y: 0, width: 10, height: 1 }], ink }), 5005),
        ];
        for (op, expected) in cases {
            assert_eq!(of(&op, (100, 50)), expected, "{op:?}");
        }
    }
}
