//! Detections: what a detector found, in normalised and pixel coordinates of the image it was found in.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::round_to;

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

impl BoundingBox {
    /// Every coordinate rounded half away from zero.
    #[must_use]
    pub fn rounded(self, decimals: u32) -> Self {
        Self {
            x1: round_to(self.x1, decimals),
            y1: round_to(self.y1, decimals),
            x2: round_to(self.x2, decimals),
            y2: round_to(self.y2, decimals),
        }
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
}
