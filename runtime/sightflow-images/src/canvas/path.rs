//! Lines, polylines and polygons.

use super::{Canvas, check_steps, layer::Layer};
use crate::work::Work;
use crate::{ImageError, Path, Point};

/// Most points of one path: a row that all its edges cross is sorted in a few milliseconds.
const MOST_POINTS: usize = 1 << 16;

impl Canvas {
    pub(super) fn draw_path(&mut self, work: &Work, path: &Path) -> Result<(), ImageError> {
        let count = path.points.len();
        if count > MOST_POINTS {
            return Err(ImageError::Invalid(format!("a path of {count} points; at most {MOST_POINTS} can be drawn")));
        }
        work.spend(4 * count as u64)?;
        let points: Vec<(f64, f64)> = path.points.iter().map(|p| exact(*p)).collect();
        let bounds = |width: u32| {
            let around = i64::from(width / 2) + 1;
            let start = (i64::MAX, i64::MAX, i64::MIN, i64::MIN);
            path.points.iter().fold(start, |(left, top, right, bottom), point| {
                let (x, y) = (i64::from(point.x), i64::from(point.y));
                (left.min(x - around), top.min(y - around), right.max(x + around), bottom.max(y + around))
            })
        };
        if let Some(ink) = path.fill {
            self.layer(work, ink, bounds(1), |layer| fill(layer, &points))?;
        }
        if let Some(stroke) = path.stroke {
            self.layer(work, stroke.ink, bounds(stroke.width), |layer| {
                line(layer, &points, path.closed, stroke.width)
            })?;
        }
        Ok(())
    }
}

/// A whole number from −2³³ to 2³³, of which `f64` loses nothing.
fn whole(v: f64) -> i64 {
    v.round() as i64
}

/// Covers a polyline `width` pixels wide.
pub(super) fn line(layer: &mut Layer<'_>, points: &[(f64, f64)], closed: bool, width: u32) -> Result<(), ImageError> {
    let closing = if closed && points.len() > 2 { points.last().zip(points.first()) } else { None };
    let single = (points.len() == 1).then(|| (&points[0], &points[0]));
    let segments = || points.iter().zip(points.iter().skip(1)).chain(closing).chain(single);
    let half = i64::from(width / 2);
    layer.work.spend(8 * points.len() as u64)?;
    let steps = segments().map(|(a, b)| {
        let rows = layer.rows((a.1.min(b.1)) as i64 - half, (a.1.max(b.1)) as i64 + half);
        // A thin, flat line takes a step for each column.
        let columns = (b.0 as i64).clamp(0, layer.width()) - (a.0 as i64).clamp(0, layer.width());
        (rows.end - rows.start).max(if half == 0 { columns.abs() } else { 0 }).max(1) as u64
    });
    check_steps("a path", steps.sum())?;
    for (a, b) in segments() {
        layer.work.spend(16)?;
        let around = half + 1;
        let bounds = (
            whole(a.0.min(b.0)) - around,
            whole(a.1.min(b.1)) - around,
            whole(a.0.max(b.0)) + around,
            whole(a.1.max(b.1)) + around,
        );
        if !layer.shows(bounds) {
            continue;
        }
        if half == 0 {
            thin(layer, (whole(a.0), whole(a.1)), (whole(b.0), whole(b.1)))?;
        } else {
            thick(layer, *a, *b, half as f64 + 0.5)?;
        }
    }
    Ok(())
}

/// An 8-connected line of single pixels; which ones does not depend on where the surface ends.
fn thin(layer: &mut Layer<'_>, a: (i64, i64), b: (i64, i64)) -> Result<(), ImageError> {
    let (dx, dy) = ((b.0 - a.0).abs(), (b.1 - a.1).abs());
    if dy >= dx {
        let (from, to) = if a.1 <= b.1 { (a, b) } else { (b, a) };
        let rows = layer.rows(from.1, to.1);
        let mut x = Walk::new((from.1, from.0), (to.1, to.0), rows.start);
        for y in rows {
            layer.span(y, x.at, x.at)?;
            x.step();
        }
    } else {
        let (from, to) = if a.0 <= b.0 { (a, b) } else { (b, a) };
        let columns = from.0.max(0)..(to.0 + 1).min(layer.width());
        let mut y = Walk::new(from, to, columns.start);
        let mut run = columns.start;
        layer.work.spend(2 * (columns.end - columns.start).max(0) as u64)?;
        for x in columns.clone() {
            let row = y.at;
            y.step();
            if y.at != row || x + 1 == columns.end {
                layer.span(row, run, x)?;
                run = x + 1;
            }
        }
    }
    Ok(())
}

/// `minor(major)` of a line, rounded to the nearest whole number, one step of `major` at a time.
struct Walk {
    at: i64,
    /// Distance of the exact value from half a pixel below `at`, in `2·length`-ths.
    error: i64,
    whole: i64,
    part: i64,
    length: i64,
}

impl Walk {
    /// `from` and `to` are `(major, minor)`, in order of major; `start` is the first major to be asked for.
    fn new(from: (i64, i64), to: (i64, i64), start: i64) -> Self {
        let length = 2 * (to.0 - from.0).max(1);
        let rise = 2 * (to.1 - from.1);
        // Half of a step more, so that rounding down rounds to the nearest.
        let exact = i128::from(start - from.0) * i128::from(rise) + i128::from(length / 2);
        Self {
            at: from.1 + exact.div_euclid(i128::from(length)) as i64,
            error: exact.rem_euclid(i128::from(length)) as i64,
            whole: rise.div_euclid(length),
            part: rise.rem_euclid(length),
            length,
        }
    }

    #[inline]
    fn step(&mut self) {
        self.at += self.whole;
        self.error += self.part;
        if self.error >= self.length {
            self.error -= self.length;
            self.at += 1;
        }
    }
}

/// Every pixel whose centre is nearer than `radius` to the segment: a line with round ends.
fn thick(layer: &mut Layer<'_>, a: (f64, f64), b: (f64, f64), radius: f64) -> Result<(), ImageError> {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let length = dx.hypot(dy);
    let (nx, ny) = if length == 0.0 { (0.0, radius) } else { (-dy / length * radius, dx / length * radius) };
    let body = [(a.0 + nx, a.1 + ny), (b.0 + nx, b.1 + ny), (b.0 - nx, b.1 - ny), (a.0 - nx, a.1 - ny)];
    let (top, bottom) = (a.1.min(b.1) - radius, a.1.max(b.1) + radius);
    for y in layer.rows(top.ceil() as i64, bottom.floor() as i64) {
        layer.work.spend(48)?;
        let row = y as f64;
        let (mut first, mut last) = (f64::INFINITY, f64::NEG_INFINITY);
        let mut reach = |x: f64| {
            first = first.min(x);
            last = last.max(x);
        };
        for (cx, cy) in [a, b] {
            let room = radius * radius - (row - cy) * (row - cy);
            if room > 0.0 {
                reach(cx - room.sqrt());
                reach(cx + room.sqrt());
            }
        }
        for (p, q) in body.iter().zip(body.iter().cycle().skip(1)) {
            if (p.1 <= row) != (q.1 <= row) {
                reach(p.0 + (row - p.1) / (q.1 - p.1) * (q.0 - p.0));
            }
        }
        if first < last {
            // The distance must be smaller than the radius, not equal.
            layer.span(y, first.floor() as i64 + 1, last.ceil() as i64 - 1)?;
        }
    }
    Ok(())
}

/// An edge of a polygon that crosses rows `top..bottom`.
struct Edge {
    top: i64,
    bottom: i64,
    /// Column at row 0, and columns a row.
    offset: f64,
    slope: f64,
    /// Column in the current row.
    x: f64,
}

/// Covers the inside of a polygon by the even-odd rule, and its edge.
pub(super) fn fill(layer: &mut Layer<'_>, points: &[(f64, f64)]) -> Result<(), ImageError> {
    layer.work.spend(32 * points.len() as u64)?;
    let edges = points.iter().zip(points.iter().cycle().skip(1)).filter_map(|(a, b)| {
        let (a, b) = if a.1 <= b.1 { (a, b) } else { (b, a) };
        let rows = layer.rows(a.1.ceil() as i64, b.1.ceil() as i64 - 1);
        let slope = (b.0 - a.0) / (b.1 - a.1);
        let (offset, x) = (a.0 - a.1 * slope, 0.0);
        (!rows.is_empty()).then_some(Edge { top: rows.start, bottom: rows.end, offset, slope, x })
    });
    let mut edges: Vec<Edge> = edges.collect();
    check_steps("a polygon", edges.iter().map(|edge| (edge.bottom - edge.top) as u64).sum())?;
    edges.sort_by_key(|edge| edge.top);
    let mut waiting = edges.into_iter().peekable();
    let mut active: Vec<Edge> = Vec::new();
    let mut y = waiting.peek().map_or(0, |edge| edge.top);
    while !active.is_empty() || waiting.peek().is_some() {
        if active.is_empty() {
            y = waiting.peek().map_or(y, |edge| edge.top.max(y));
        }
        while let Some(edge) = waiting.next_if(|edge| edge.top <= y) {
            active.push(edge);
        }
        // From row to row the order hardly changes, so that sorting is one pass; at worst it is a whole sort.
        layer.work.spend(active.len() as u64 * (4 + u64::from(active.len().ilog2())))?;
        active.iter_mut().for_each(|edge| edge.x = edge.offset + y as f64 * edge.slope);
        active.sort_by(|a, b| a.x.total_cmp(&b.x));
        for [enter, leave] in active.as_chunks::<2>().0 {
            layer.span(y, enter.x.ceil() as i64, leave.x.floor() as i64)?;
        }
        y += 1;
        active.retain(|edge| edge.bottom > y);
    }
    line(layer, points, true, 1)
}

/// The same point, for arithmetic.
pub(super) fn exact(point: Point) -> (f64, f64) {
    (f64::from(point.x), f64::from(point.y))
}
