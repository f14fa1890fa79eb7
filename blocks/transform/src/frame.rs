//! Moving coordinates from one picture to another that is scaled and shifted.

use serde::Serialize;
use sightflow_block::{BoundingBox, Detection, FoundBox, Value, json, round_to};

/// How pixels of one picture become pixels of another: `x' = x·scale.0 + shift.0`, and so for `y`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Frame {
    pub(crate) from: (u32, u32),
    pub(crate) to: (u32, u32),
    pub(crate) scale: (f64, f64),
    pub(crate) shift: (f64, f64),
}

/// Width and height in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Size {
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl From<(u32, u32)> for Size {
    fn from((width, height): (u32, u32)) -> Self {
        Self { width, height }
    }
}

/// The `transform` port: row-major matrix from input to output pixels.
#[derive(Debug, Serialize)]
pub(crate) struct Transform {
    matrix: [f64; 9],
    from: Size,
    to: Size,
}

impl Frame {
    /// As the `transform` port delivers it.
    pub(crate) fn transform(&self) -> Transform {
        let ((sx, sy), (tx, ty)) = (self.scale, self.shift);
        Transform { matrix: [sx, 0.0, tx, 0.0, sy, ty, 0.0, 0.0, 1.0], from: self.from.into(), to: self.to.into() }
    }

    /// A detection in the new picture, clamped to it; none: nothing of it is left.
    pub(crate) fn move_detection(&self, found: FoundBox) -> Option<Detection> {
        let FoundBox { pixels, mut detection } = found;
        let x = |v: f64| v * self.scale.0 + self.shift.0;
        let y = |v: f64| v * self.scale.1 + self.shift.1;
        let (width, height) = (f64::from(self.to.0), f64::from(self.to.1));
        let moved = BoundingBox { x1: x(pixels.x1), y1: y(pixels.y1), x2: x(pixels.x2), y2: y(pixels.y2) }
            .clamped(width, height);
        if moved.width() <= 0.0 || moved.height() <= 0.0 {
            return None;
        }
        if let Some(points) = detection.extra.get_mut("keypoints").and_then(Value::as_array_mut) {
            let (from_width, from_height) = (f64::from(self.from.0), f64::from(self.from.1));
            for point in points {
                if let (Some(px), Some(py)) = (point["x"].as_f64(), point["y"].as_f64()) {
                    point["x"] = json!(round_to(x(px * from_width) / width, 6));
                    point["y"] = json!(round_to(y(py * from_height) / height, 6));
                }
            }
        }
        if let Some(mask) = detection.extra.get_mut("mask") {
            match self.move_mask(mask) {
                Some(moved) => *mask = moved,
                None => _ = detection.extra.remove("mask"),
            }
        }
        let class = (detection.class_id, detection.class_name);
        let mut moved = Detection::from_pixels(detection.id, class, detection.confidence, moved, self.to);
        moved.extra = detection.extra;
        Some(moved)
    }

    /// A run-length mask of the old picture as one of the new: each pixel takes the nearest old one. None: not a mask.
    fn move_mask(&self, mask: &Value) -> Option<Value> {
        let number = |value: &Value| value.as_u64().and_then(|v| usize::try_from(v).ok());
        let (rows, columns) = (number(&mask["size"][0])?, number(&mask["size"][1])?);
        if rows == 0 || columns == 0 || rows.checked_mul(columns)? > 100_000_000 {
            return None;
        }
        // Where runs start; the value changes at each.
        let (mut starts, mut end) = (Vec::new(), 0usize);
        for count in mask["counts"].as_array()? {
            starts.push(end);
            end = end.checked_add(number(count)?)?;
        }
        if end != rows * columns {
            return None;
        }
        let is_set = |place: usize| starts.partition_point(|&start| start <= place) % 2 == 0;
        // The mask may have another resolution than its picture.
        let (mask_x, mask_y) = (columns as f64 / f64::from(self.from.0), rows as f64 / f64::from(self.from.1));
        let source = |v: u32, shift: f64, scale: f64, density: f64, limit: usize| {
            let at = ((f64::from(v) + 0.5 - shift) / scale * density).floor();
            (at >= 0.0 && at < limit as f64).then_some(at as usize)
        };
        let across: Vec<_> = (0..self.to.0).map(|x| source(x, self.shift.0, self.scale.0, mask_x, columns)).collect();
        let (mut counts, mut run, mut current) = (Vec::new(), 0u64, false);
        for y in 0..self.to.1 {
            let row = source(y, self.shift.1, self.scale.1, mask_y, rows);
            for column in &across {
                let set = matches!((row, column), (Some(row), Some(column)) if is_set(row * columns + column));
                if set != current {
                    counts.push(run);
                    (run, current) = (0, set);
                }
                run += 1;
            }
        }
        counts.push(run);
        Some(json!({"counts": counts, "size": [self.to.1, self.to.0]}))
    }
}

#[cfg(test)]
mod tests {
    use super::Frame;
    use sightflow_block::json;

    #[test]
    fn masks_move_with_their_picture() {
        let frame = Frame { from: (4, 2), to: (4, 4), scale: (0.5, 1.0), shift: (1.0, 1.0) };
        // 0110 / 0100, halved in width, one pixel of padding on each side.
        let moved = frame.move_mask(&json!({"counts": [1, 2, 2, 1, 2], "size": [2, 4]}));
        assert_eq!(moved, Some(json!({"counts": [5, 1, 3, 1, 6], "size": [4, 4]})));
        assert_eq!(frame.move_mask(&json!({"counts": [1, 2], "size": [2, 4]})), None);
    }
}
