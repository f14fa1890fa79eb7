//! Detections: what a detector found, in normalised and pixel coordinates of the image it was found in.

mod read;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::read::{BoxForm, DetectionInput, FoundBox, InvalidBox};
use crate::{Rect, round_to};

/// An axis-parallel box; `x1 ≤ x2`, `y1 ≤ y2`. Normalised 0..1 or in pixels, as the field that holds it says.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "corner coordinates")]
pub struct BoundingBox {
    pub x1: f64,
    pub y1: f64,
    pub x2: f64,
    pub y2: f64,
}

/// One found object. Fields that this type does not know travel along in `extra`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// Unique within its list: `<node>/<n>` from models, `d<index>` where none was given.
    pub id: String,
    /// Index into the model's labels; −1 if there is none.
    pub class_id: i64,
    /// Label.
    pub class_name: String,
    /// Score 0..1, 4 decimals.
    pub confidence: f64,
    /// Normalised to the image, 6 decimals.
    pub bbox: BoundingBox,
    /// Pixels of the image, 2 decimals.
    pub bbox_abs: BoundingBox,
    /// Fraction of the image, 6 decimals.
    pub area: f64,
    /// Anything else that came with it: `mask`, `keypoints`, `original_class_name`, a block's own fields.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Detection {
    /// A detection from a box in pixels of a `width`×`height` image; rounds once, computes both boxes and the area.
    pub fn from_pixels(
        id: String,
        class: (i64, String),
        confidence: f64,
        pixels: BoundingBox,
        (width, height): (u32, u32),
    ) -> Self {
        let (w, h) = (f64::from(width.max(1)), f64::from(height.max(1)));
        let normalised = BoundingBox { x1: pixels.x1 / w, y1: pixels.y1 / h, x2: pixels.x2 / w, y2: pixels.y2 / h };
        Self {
            id,
            class_id: class.0,
            class_name: class.1,
            confidence: round_to(confidence, 4),
            area: round_to((normalised.x2 - normalised.x1) * (normalised.y2 - normalised.y1), 6),
            bbox: normalised.rounded(6),
            bbox_abs: pixels.rounded(2),
            extra: Map::new(),
        }
    }
}

/// Nearest integer where `value` lies within 0.01 of it, else `value`: undoes the rounding of stored coordinates.
pub fn snap(value: f64) -> f64 {
    let nearest = value.round();
    // The small excess lets 100.01, which a float cannot hold, count as within.
    if (value - nearest).abs() <= 0.01 + 1e-9 { nearest } else { value }
}

impl BoundingBox {
    /// Every coordinate rounded half away from zero.
    #[must_use]
    pub fn rounded(self, decimals: u32) -> Self {
        self.map(|v| round_to(v, decimals), |v| round_to(v, decimals))
    }

    /// Normalised → pixels of an image of this size.
    #[must_use]
    pub fn to_pixels(self, (width, height): (u32, u32)) -> Self {
        self.map(|x| x * f64::from(width), |y| y * f64::from(height))
    }

    /// Every coordinate limited to `0..=right` and `0..=bottom`.
    #[must_use]
    pub fn clamped(self, right: f64, bottom: f64) -> Self {
        self.map(|x| x.clamp(0.0, right), |y| y.clamp(0.0, bottom))
    }

    /// Horizontal extent.
    pub fn width(self) -> f64 {
        self.x2 - self.x1
    }

    /// Vertical extent.
    pub fn height(self) -> f64 {
        self.y2 - self.y1
    }

    /// The whole pixels that a box in pixels touches, as edges `x1, y1, x2, y2`, not limited to an image.
    pub fn outer(self) -> [i64; 4] {
        [
            snap(self.x1).floor() as i64,
            snap(self.y1).floor() as i64,
            snap(self.x2).ceil() as i64,
            snap(self.y2).ceil() as i64,
        ]
    }

    /// The whole pixels that a box in pixels touches, inside an image of this size; none: the box is empty there.
    pub fn cover(self, (width, height): (u32, u32)) -> Option<Rect> {
        let limit = |v: i64, end: u32| v.clamp(0, i64::from(end)) as u32;
        let [x1, y1, x2, y2] = self.outer();
        let (x1, y1, x2, y2) = (limit(x1, width), limit(y1, height), limit(x2, width), limit(y2, height));
        (x1 < x2 && y1 < y2).then(|| Rect { x: x1, y: y1, width: x2 - x1, height: y2 - y1 })
    }

    /// The corner pixels to draw for a box in pixels, both painted; none: the box is empty.
    pub fn drawn(self, (width, height): (u32, u32)) -> Option<[i32; 4]> {
        self.cover((width, height))?;
        let limit = |v: f64, end: u32| (snap(v) as i64).clamp(0, i64::from(end) - 1) as i32;
        Some([limit(self.x1, width), limit(self.y1, height), limit(self.x2, width), limit(self.y2, height)])
    }

    fn map(self, x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) -> Self {
        Self { x1: x(self.x1), y1: y(self.y1), x2: x(self.x2), y2: y(self.y2) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_boxes_agree() {
        let pixels = BoundingBox { x1: 160.0, y1: 120.0, x2: 320.0, y2: 360.0 };
        let found = Detection::from_pixels("d/0".into(), (0, "person".into()), 0.876_54, pixels, (640, 480));
        assert_eq!(found.bbox, BoundingBox { x1: 0.25, y1: 0.25, x2: 0.5, y2: 0.75 });
        assert_eq!((found.bbox_abs, found.area, found.confidence), (pixels, 0.125, 0.8765));
    }

    #[test]
    fn whole_pixels() {
        let size = (100, 80);
        let cases = [
            ([10.0, 10.0, 40.0, 40.0], Some((10, 10, 30, 30)), Some([10, 10, 40, 40])),
            ([10.009, 9.991, 40.01, 39.99], Some((10, 10, 30, 30)), Some([10, 10, 40, 40])),
            ([10.5, 10.5, 20.5, 20.5], Some((10, 10, 11, 11)), Some([10, 10, 20, 20])),
            ([-5.0, 70.0, 300.0, 90.0], Some((0, 70, 100, 10)), Some([0, 70, 99, 79])),
            ([5.0, 5.0, 5.0, 50.0], None, None),
            ([100.0, 0.0, 120.0, 10.0], None, None),
        ];
        for ([x1, y1, x2, y2], cover, drawn) in cases {
            let pixels = BoundingBox { x1, y1, x2, y2 };
            let expected = cover.map(|(x, y, width, height)| Rect { x, y, width, height });
            assert_eq!((pixels.cover(size), pixels.drawn(size)), (expected, drawn), "{pixels:?}");
        }
    }
}
