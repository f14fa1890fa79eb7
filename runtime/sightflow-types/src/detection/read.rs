//! Reading a box: every form in which a detection may arrive.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::{BoundingBox, Detection};

/// A detection as a block receives it, before its box is read with [`DetectionInput::locate`].
///
/// Reading never fails on the content of one item, so that the complaint can name its index.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DetectionInput {
    /// As given; [`Detection::id`] fills in `d<index>`.
    pub id: Option<String>,
    /// As given; −1 where absent.
    pub class_id: Option<i64>,
    /// As given; `object` where absent.
    pub class_name: Option<String>,
    /// As given; 1 where absent.
    pub confidence: Option<f64>,
    /// Normalised box.
    pub bbox: Option<BoxForm>,
    /// Box in pixels.
    pub bbox_abs: Option<BoxForm>,
    /// Every other field, except `area`, which follows from the box.
    pub extra: Map<String, Value>,
    fault: Option<&'static str>,
}

/// The coordinates of a box, from `{x1,y1,x2,y2}`, `{x,y,width,height}` or `[x1,y1,x2,y2]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BoxForm {
    /// x1, y1, x2, y2 as given: perhaps swapped, perhaps outside the image.
    Corners([f64; 4]),
    /// None of the three forms.
    Malformed,
}

/// A box that was read, and its detection in full form.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundBox {
    /// The box in pixels of the block's own image, inside the image, not rounded.
    pub pixels: BoundingBox,
    /// The detection with every field that has a default.
    pub detection: Detection,
}

/// Why an item has no box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBox {
    /// The item carries none.
    #[error("there is no box: expected bbox, bbox_abs or x, y, width and height")]
    Missing,
    /// None of the accepted forms.
    #[error("a box is {{x1, y1, x2, y2}}, {{x, y, width, height}} or [x1, y1, x2, y2] with finite numbers")]
    Malformed,
    /// A normalised box outside −1..2.
    #[error("bbox is normalised to 0..1; pixels belong in bbox_abs")]
    Pixels,
    /// Another field has a wrong type.
    #[error("{0}")]
    Field(&'static str),
}

impl InvalidBox {
    /// Stable code of the complaint.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "no_box",
            Self::Malformed => "bad_box",
            Self::Pixels => "pixels_in_bbox",
            Self::Field(_) => "bad_type",
        }
    }
}

impl DetectionInput {
    /// Reads the box, scaled to an image of `size`, and fills in what is missing; `index` is the item's place in its list.
    ///
    /// `bbox` wins, else `bbox_abs`, else `x`, `y`, `width`, `height` (pixels) on the item itself. Swapped corners are
    /// put in order. Normalised coordinates in −1..=2 are clamped to 0..=1, pixels to the image.
    ///
    /// # Errors
    /// [`InvalidBox`]; the caller adds port and index.
    pub fn locate(&self, index: usize, size: (u32, u32)) -> Result<FoundBox, InvalidBox> {
        if let Some(fault) = self.fault {
            return Err(InvalidBox::Field(fault));
        }
        let mut extra = self.extra.clone();
        let pixels = if let Some(form) = self.bbox {
            let normalised = form.ordered()?;
            let BoundingBox { x1, y1, x2, y2 } = normalised;
            if [x1, y1, x2, y2].iter().any(|v| !(-1.0..=2.0).contains(v)) {
                return Err(InvalidBox::Pixels);
            }
            normalised.clamped(1.0, 1.0).to_pixels(size)
        } else if let Some(form) = self.bbox_abs {
            form.ordered()?
        } else {
            let form = self.flat().ok_or(InvalidBox::Missing)?.ordered()?;
            for key in FLAT {
                extra.remove(key);
            }
            form
        };
        let pixels = pixels.clamped(f64::from(size.0), f64::from(size.1));
        let class = (self.class_id.unwrap_or(-1), self.class_name.clone().unwrap_or_else(|| "object".to_owned()));
        let id = self.id.clone().unwrap_or_else(|| format!("d{index}"));
        let mut detection = Detection::from_pixels(id, class, self.confidence.unwrap_or(1.0), pixels, size);
        detection.extra = extra;
        Ok(FoundBox { pixels, detection })
    }

    /// `x, y, width, height` on the item itself; none: not all four are there.
    fn flat(&self) -> Option<BoxForm> {
        let mut values = [0.0; 4];
        for (value, key) in values.iter_mut().zip(FLAT) {
            match self.extra.get(key) {
                Some(Value::Number(number)) => *value = number.as_f64()?,
                None => return None,
                Some(_) => return Some(BoxForm::Malformed),
            }
        }
        let [x, y, width, height] = values;
        Some(BoxForm::Corners([x, y, x + width, y + height]))
    }
}

const FLAT: [&str; 4] = ["x", "y", "width", "height"];

impl BoxForm {
    fn ordered(self) -> Result<BoundingBox, InvalidBox> {
        match self {
            Self::Corners([a, b, c, d]) if [a, b, c, d].iter().all(|v| v.is_finite()) => {
                Ok(BoundingBox { x1: a.min(c), y1: b.min(d), x2: a.max(c), y2: b.max(d) })
            }
            _ => Err(InvalidBox::Malformed),
        }
    }
}

impl<'de> Deserialize<'de> for DetectionInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = DetectionInput;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a detection object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DetectionInput, A::Error> {
        let mut item = DetectionInput::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "bbox" => item.bbox = map.next_value::<Form>()?.0,
                "bbox_abs" => item.bbox_abs = map.next_value::<Form>()?.0,
                "id" => match map.next_value()? {
                    Value::String(id) => item.id = Some(id),
                    Value::Number(id) => item.id = Some(id.to_string()),
                    Value::Null => {}
                    _ => item.fault = Some("id is a string"),
                },
                "class_name" => match map.next_value()? {
                    Value::String(name) => item.class_name = Some(name),
                    Value::Null => {}
                    _ => item.fault = Some("class_name is a string"),
                },
                "class_id" => match map.next_value()? {
                    Value::Null => {}
                    value => match whole(&value) {
                        Some(id) => item.class_id = Some(id),
                        None => item.fault = Some("class_id is an integer"),
                    },
                },
                "confidence" => match map.next_value()? {
                    Value::Null => {}
                    value => match value.as_f64() {
                        Some(confidence) => item.confidence = Some(confidence),
                        None => item.fault = Some("confidence is a number"),
                    },
                },
                "area" => _ = map.next_value::<IgnoredAny>()?,
                _ => _ = item.extra.insert(key, map.next_value()?),
            }
        }
        Ok(item)
    }

    // Whatever is no object is an item without a box; the complaint then names its index.
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<DetectionInput, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(not_an_object())
    }

    fn visit_unit<E>(self) -> Result<DetectionInput, E> {
        Ok(not_an_object())
    }

    fn visit_bool<E>(self, _: bool) -> Result<DetectionInput, E> {
        Ok(not_an_object())
    }

    fn visit_i64<E>(self, _: i64) -> Result<DetectionInput, E> {
        Ok(not_an_object())
    }

    fn visit_u64<E>(self, _: u64) -> Result<DetectionInput, E> {
        Ok(not_an_object())
    }

    fn visit_f64<E>(self, _: f64) -> Result<DetectionInput, E> {
        Ok(not_an_object())
    }

    fn visit_str<E>(self, _: &str) -> Result<DetectionInput, E> {
        Ok(not_an_object())
    }
}

fn not_an_object() -> DetectionInput {
    DetectionInput { fault: Some("a detection is an object"), ..DetectionInput::default() }
}

/// `3` and `3.0` are integers.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().filter(|v| v.fract() == 0.0 && v.abs() < 9e15).map(|v| v as i64))
}

/// A box, or null.
struct Form(Option<BoxForm>);

impl<'de> Deserialize<'de> for Form {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FormVisitor)
    }
}

struct FormVisitor;

impl<'de> Visitor<'de> for FormVisitor {
    type Value = Form;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a box")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Form, A::Error> {
        const KEYS: [&str; 8] = ["x1", "y1", "x2", "y2", "x", "y", "width", "height"];
        let mut values = [None; 8];
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            match KEYS.iter().position(|known| *known == key) {
                Some(index) => values[index] = Some(map.next_value::<Coordinate>()?.0),
                None => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(Form(Some(match values {
            [Some(x1), Some(y1), Some(x2), Some(y2), ..] => BoxForm::Corners([x1, y1, x2, y2]),
            [_, _, _, _, Some(x), Some(y), Some(w), Some(h)] => BoxForm::Corners([x, y, x + w, y + h]),
            _ => BoxForm::Malformed,
        })))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Form, A::Error> {
        let (mut values, mut count) = ([0.0; 4], 0);
        while let Some(Coordinate(value)) = seq.next_element()? {
            if let Some(slot) = values.get_mut(count) {
                *slot = value;
            }
            count += 1;
        }
        Ok(Form(Some(if count == 4 { BoxForm::Corners(values) } else { BoxForm::Malformed })))
    }

    fn visit_unit<E>(self) -> Result<Form, E> {
        Ok(Form(None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Form, E> {
        Ok(Form(Some(BoxForm::Malformed)))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Form, E> {
        Ok(Form(Some(BoxForm::Malformed)))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Form, E> {
        Ok(Form(Some(BoxForm::Malformed)))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Form, E> {
        Ok(Form(Some(BoxForm::Malformed)))
    }

    fn visit_str<E>(self, _: &str) -> Result<Form, E> {
        Ok(Form(Some(BoxForm::Malformed)))
    }
}

/// A number; whatever is none becomes NaN, which makes the box malformed.
struct Coordinate(f64);

impl<'de> Deserialize<'de> for Coordinate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CoordinateVisitor)
    }
}

struct CoordinateVisitor;

impl<'de> Visitor<'de> for CoordinateVisitor {
    type Value = Coordinate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a coordinate")
    }

    fn visit_f64<E>(self, value: f64) -> Result<Coordinate, E> {
        Ok(Coordinate(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Coordinate, E> {
        Ok(Coordinate(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Coordinate, E> {
        Ok(Coordinate(value as f64))
    }

    fn visit_unit<E>(self) -> Result<Coordinate, E> {
        Ok(Coordinate(f64::NAN))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Coordinate, E> {
        Ok(Coordinate(f64::NAN))
    }

    fn visit_str<E>(self, _: &str) -> Result<Coordinate, E> {
        Ok(Coordinate(f64::NAN))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Coordinate, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Coordinate(f64::NAN))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Coordinate, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Coordinate(f64::NAN))
    }
}

#[cfg(test)]
mod tests {
    use super::{DetectionInput, InvalidBox};
    use serde_json::{Value, json};

    fn read(item: Value, size: (u32, u32)) -> Result<[f64; 4], InvalidBox> {
        let item: DetectionInput = serde_json::from_value(item).expect("reading an item never fails");
        let pixels = item.locate(0, size)?.pixels;
        Ok([pixels.x1, pixels.y1, pixels.x2, pixels.y2])
    }

    #[test]
    fn every_form() {
        let expected = [100.0, 200.0, 300.0, 400.0];
        for item in [
            json!({"bbox": {"x1": 0.1, "y1": 0.25, "x2": 0.3, "y2": 0.5}}),
            json!({"bbox": {"x": 0.1, "y": 0.25, "width": 0.2, "height": 0.25}}),
            json!({"bbox": [0.1, 0.25, 0.3, 0.5]}),
            json!({"bbox": [0.3, 0.5, 0.1, 0.25]}),
            json!({"bbox_abs": {"x1": 100, "y1": 200, "x2": 300, "y2": 400}}),
            json!({"bbox_abs": {"x": 100, "y": 200, "width": 200, "height": 200}}),
            json!({"bbox_abs": [300, 400, 100, 200]}),
            json!({"x": 100, "y": 200, "width": 200, "height": 200}),
            json!({"bbox": [0.1, 0.25, 0.3, 0.5], "bbox_abs": [1, 2, 3, 4], "x": "left"}),
            json!({"bbox": null, "bbox_abs": [100, 200, 300, 400], "x": 9, "y": 9, "width": 9, "height": 9}),
        ] {
            let found = read(item.clone(), (1000, 800)).expect("a box");
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{item}: {found:?}");
        }
    }

    #[test]
    fn clamps_to_the_image() {
        for (item, expected) in [
            (json!({"bbox": [-1, -0.5, 2, 1.5]}), [0.0, 0.0, 1000.0, 800.0]),
            (json!({"bbox_abs": [980, -20, 1020, 50]}), [980.0, 0.0, 1000.0, 50.0]),
        ] {
            assert_eq!(read(item, (1000, 800)), Ok(expected));
        }
    }

    #[test]
    fn refuses() {
        for (item, expected) in [
            (json!({}), InvalidBox::Missing),
            (json!({"x": 1, "y": 1, "width": 1}), InvalidBox::Missing),
            (json!({"bbox": [100, 200, 300, 400]}), InvalidBox::Pixels),
            (json!({"bbox": [0, 0, 1, 2.01]}), InvalidBox::Pixels),
            (json!({"bbox": [0, 0, 1]}), InvalidBox::Malformed),
            (json!({"bbox": [0, 0, 1, null]}), InvalidBox::Malformed),
            (json!({"bbox": "0,0,1,1"}), InvalidBox::Malformed),
            (json!({"bbox_abs": {"x1": 0, "y1": 0, "x2": 1}}), InvalidBox::Malformed),
            (json!({"bbox_abs": {"x": 0, "y": 0, "width": [1], "height": {}}}), InvalidBox::Malformed),
            (json!({"x": 0, "y": 0, "width": "1", "height": 1}), InvalidBox::Malformed),
            (json!({"bbox": [0, 0, 1, 1], "confidence": "high"}), InvalidBox::Field("confidence is a number")),
            (json!([0, 0, 1, 1]), InvalidBox::Field("a detection is an object")),
            (json!(null), InvalidBox::Field("a detection is an object")),
        ] {
            assert_eq!(read(item.clone(), (10, 10)), Err(expected), "{item}");
        }
    }

    #[test]
    fn fills_in_what_is_missing() {
        let item: DetectionInput =
            serde_json::from_value(json!({"bbox_abs": [576, 128, 704, 256], "shelf": 3, "area": "stale"}))
                .expect("an item");
        let detection = item.locate(7, (1920, 1080)).expect("a box").detection;
        assert_eq!(
            serde_json::to_value(detection).expect("JSON"),
            json!({
                "id": "d7", "class_id": -1, "class_name": "object", "confidence": 1.0, "area": 0.007901, "shelf": 3,
                "bbox": {"x1": 0.3, "y1": 0.118519, "x2": 0.366667, "y2": 0.237037},
                "bbox_abs": {"x1": 576.0, "y1": 128.0, "x2": 704.0, "y2": 256.0},
            })
        );
    }
}
