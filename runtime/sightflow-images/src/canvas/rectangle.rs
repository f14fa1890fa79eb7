//! Rectangles, square or rounded.

use super::{Canvas, layer::Layer};
use crate::work::Work;
use crate::{ImageError, Rectangle};

/// Inclusive corners in order, and the radius of a rounded corner.
#[derive(Clone, Copy)]
struct Frame {
    left: i64,
    top: i64,
    right: i64,
    bottom: i64,
    radius: i64,
}

impl Canvas {
    pub(super) fn draw_rectangle(&mut self, work: &Work, rectangle: &Rectangle) -> Result<(), ImageError> {
        let frame = Frame::of(rectangle);
        if let Some(ink) = rectangle.fill {
            self.layer(work, ink, frame.bounds(), |layer| {
                for y in layer.rows(frame.top, frame.bottom) {
                    let inset = frame.inset(y);
                    layer.span_once(y, frame.left + inset, frame.right - inset)?;
                }
                Ok(())
            })?;
        }
        if let Some(stroke) = rectangle.stroke {
            let half = i64::from(stroke.width / 2);
            let (outer, inner) = (frame.grown(half), frame.grown(-half - 1));
            self.layer(work, stroke.ink, outer.bounds(), |layer| ring(layer, outer, inner))?;
        }
        Ok(())
    }
}

/// Covers what lies within `outer` and not within `inner`.
fn ring(layer: &mut Layer<'_>, outer: Frame, inner: Frame) -> Result<(), ImageError> {
    let hollow = inner.left <= inner.right;
    for y in layer.rows(outer.top, outer.bottom) {
        let inset = outer.inset(y);
        let (first, last) = (outer.left + inset, outer.right - inset);
        if hollow && (inner.top..=inner.bottom).contains(&y) {
            let inset = inner.inset(y);
            // Rounded corners of both frames can meet in one column.
            let end = inner.left + inset - 1;
            layer.span_once(y, first, end)?;
            layer.span_once(y, (inner.right - inset + 1).max(end + 1), last)?;
        } else {
            layer.span_once(y, first, last)?;
        }
    }
    Ok(())
}

impl Frame {
    fn of(rectangle: &Rectangle) -> Self {
        let (a, b) = (rectangle.from, rectangle.to);
        let (left, right) = (i64::from(a.x.min(b.x)), i64::from(a.x.max(b.x)));
        let (top, bottom) = (i64::from(a.y.min(b.y)), i64::from(a.y.max(b.y)));
        let shorter = (right - left).min(bottom - top);
        Self { left, top, right, bottom, radius: i64::from(rectangle.corner_radius).min(shorter / 2) }
    }

    fn bounds(self) -> (i64, i64, i64, i64) {
        (self.left, self.top, self.right, self.bottom)
    }

    /// Larger by `by` pixels on each side (smaller, if negative); square corners stay square.
    fn grown(self, by: i64) -> Self {
        let radius = if self.radius == 0 { 0 } else { (self.radius + by).max(0) };
        Self { left: self.left - by, top: self.top - by, right: self.right + by, bottom: self.bottom + by, radius }
    }

    /// Columns that the rounded corners leave free on each side of row `y`.
    fn inset(self, y: i64) -> i64 {
        let into = (self.top + self.radius - y).max(y - (self.bottom - self.radius));
        if into <= 0 {
            return 0;
        }
        let (radius, into) = (self.radius as f64 + 0.5, into as f64);
        self.radius - (radius * radius - into * into).max(0.0).sqrt().floor() as i64
    }
}
