//! Ellipses and arcs.

use super::{Canvas, path};
use crate::work::Work;
use crate::{Ellipse, ImageError};

/// Most pieces of a curve that is drawn as lines; enough for ⅛ pixel at any radius that can be told from a line.
const MOST_PIECES: f64 = 4_096.0;

/// A thin curve up to this radius is rounded pixel by pixel.
const PIXELWISE_RADIUS: f64 = 4_096.0;

impl Canvas {
    pub(super) fn draw_ellipse(&mut self, work: &Work, ellipse: &Ellipse) -> Result<(), ImageError> {
        let arc = Arc::of(ellipse)?;
        let (cx, cy) = (i64::from(ellipse.center.x), i64::from(ellipse.center.y));
        let (radius_x, radius_y) = (i64::from(ellipse.radius_x), i64::from(ellipse.radius_y));
        let bounds = |around: i64| {
            (cx - radius_x - around, cy - radius_y - around, cx + radius_x + around, cy + radius_y + around)
        };
        if let Some(ink) = ellipse.fill {
            self.layer(work, ink, bounds(1), |layer| {
                if arc.sweep < 360.0 {
                    let mut sector = arc.points(work, 0.5)?;
                    sector.push(arc.center);
                    return path::fill(layer, &sector);
                }
                for y in layer.rows(cy - radius_y, cy + radius_y) {
                    let share = (y - cy) as f64 / (arc.radius_y + 0.5);
                    let half = ((arc.radius_x + 0.5) * (1.0 - share * share).max(0.0).sqrt()).floor() as i64;
                    layer.span_once(y, cx - half, cx + half)?;
                }
                Ok(())
            })?;
        }
        if let Some(stroke) = ellipse.stroke {
            self.layer(work, stroke.ink, bounds(i64::from(stroke.width / 2) + 1), |layer| {
                // A thin line is rounded to pixels: short pieces. A thick one is not: pieces that the eye cannot see.
                let points = arc.points(work, if stroke.width < 2 { 0.75 } else { 0.0 })?;
                path::line(layer, &points, arc.sweep >= 360.0, stroke.width)
            })?;
        }
        Ok(())
    }
}

struct Arc {
    center: (f64, f64),
    radius_x: f64,
    radius_y: f64,
    /// Degrees.
    start: f64,
    /// Degrees, 0..=360.
    sweep: f64,
}

impl Arc {
    fn of(ellipse: &Ellipse) -> Result<Self, ImageError> {
        let (start, end) = (f64::from(ellipse.start_angle), f64::from(ellipse.end_angle));
        if !start.is_finite() || !end.is_finite() {
            return Err(ImageError::invalid("an angle of an ellipse is no finite number"));
        }
        let sweep = if end - start >= 360.0 { 360.0 } else { (end - start).rem_euclid(360.0) };
        let (radius_x, radius_y) = (f64::from(ellipse.radius_x), f64::from(ellipse.radius_y));
        Ok(Self { center: path::exact(ellipse.center), radius_x, radius_y, start: start.rem_euclid(360.0), sweep })
    }

    /// Points along the curve, about `spacing` pixels apart; 0: so that lines between them stay within ⅛ pixel of it.
    fn points(&self, work: &Work, spacing: f64) -> Result<Vec<(f64, f64)>, ImageError> {
        let radius = self.radius_x.max(self.radius_y).max(1.0);
        let (step, most) = if spacing > 0.0 && radius <= PIXELWISE_RADIUS {
            (spacing / radius, f64::INFINITY)
        } else {
            ((1.0 / radius).sqrt().min(0.5), MOST_PIECES)
        };
        let pieces = (self.sweep.to_radians() / step).ceil().clamp(1.0, most);
        let whole = self.sweep >= 360.0;
        // A sine and a cosine each.
        work.spend(32 * pieces as u64)?;
        let points = (0..=pieces as u32 - u32::from(whole))
            .map(|i| {
                let angle = (self.start + self.sweep * f64::from(i) / pieces).to_radians();
                (self.center.0 + self.radius_x * angle.cos(), self.center.1 + self.radius_y * angle.sin())
            })
            .collect();
        Ok(points)
    }
}
