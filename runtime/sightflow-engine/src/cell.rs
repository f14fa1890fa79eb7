//! A value on its way between nodes.

use std::sync::{Arc, OnceLock};

use serde_json::Value;
use sightflow_types::document::{Shape, Survey};

use crate::images::{ImageTable, Picture, any_image, handle, handle_value};
use crate::weight::weigh;

/// Values by port.
pub(crate) type Outputs = Vec<(Arc<str>, Cell)>;

/// A shared value, and the images that it names: they live as long as somebody holds a value that names them.
///
/// What a component wrote stays its text, what the engine made stays a tree; the other form is made when somebody asks.
#[derive(Debug, Clone)]
pub(crate) struct Cell(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    text: OnceLock<Box<str>>,
    tree: OnceLock<Value>,
    survey: Survey,
    pictures: Vec<Arc<Picture>>,
}

impl Cell {
    /// A value of the engine's own making without an image inside.
    pub(crate) fn plain(value: Value) -> Self {
        debug_assert!(!any_image(&value, &mut |_| true), "an image in a plain cell");
        Self::of(value, Vec::new())
    }

    /// Any value; its images are those of the run's table.
    pub(crate) fn new(value: Value, table: &ImageTable) -> Self {
        let mut pictures: Vec<Arc<Picture>> = Vec::new();
        any_image(&value, &mut |image| {
            let known = handle(image).filter(|at| !pictures.iter().any(|picture| picture.handle() == *at));
            pictures.extend(known.and_then(|at| table.find(at)));
            false
        });
        Self::of(value, pictures)
    }

    /// One image.
    pub(crate) fn image(picture: Arc<Picture>) -> Self {
        Self::of(handle_value(picture.handle()), vec![picture])
    }

    /// A value in which `pictures` stand.
    pub(crate) fn of(value: Value, pictures: Vec<Arc<Picture>>) -> Self {
        let shape = match &value {
            Value::Null => Shape::Null,
            Value::Array(items) => Shape::Array(items.len()),
            Value::Object(fields) => Shape::Object(fields.len()),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => Shape::Scalar,
        };
        let survey = Survey { weight: weigh(&value), images: !pictures.is_empty(), bytes: false, shape };
        Self(Arc::new(Inner { text: OnceLock::new(), tree: OnceLock::from(value), survey, pictures }))
    }

    /// The text of a value without an image inside, which was checked.
    pub(crate) fn written(text: &str, survey: Survey) -> Self {
        debug_assert!(!survey.images, "an image in a text");
        Self(Arc::new(Inner {
            text: OnceLock::from(Box::from(text)),
            tree: OnceLock::new(),
            survey,
            pictures: Vec::new(),
        }))
    }

    /// The value as a tree.
    pub(crate) fn value(&self) -> &Value {
        self.0.tree.get_or_init(|| {
            let text = self.0.text.get().map_or("null", |text| text);
            serde_json::from_str(text).expect("the text was checked when it arrived")
        })
    }

    /// The value as text. An image in it is `{"$image": n}`, n its place in the run's table.
    pub(crate) fn text(&self) -> &str {
        self.0.text.get_or_init(|| {
            let tree = self.0.tree.get().unwrap_or(&Value::Null);
            tree.to_string().into_boxed_str()
        })
    }

    /// Whether it is still the text that a component wrote.
    pub(crate) fn is_text(&self) -> bool {
        self.0.tree.get().is_none()
    }

    /// Bytes of its text, if it has been written.
    pub(crate) fn text_length(&self) -> usize {
        self.0.text.get().map_or(0, |text| text.len())
    }

    /// The value, taken out of the cell where nobody else holds it.
    pub(crate) fn into_value(self) -> Value {
        self.value();
        match Arc::try_unwrap(self.0) {
            Ok(inner) => inner.tree.into_inner().unwrap_or_default(),
            Err(shared) => shared.tree.get().cloned().unwrap_or_default(),
        }
    }

    /// The images that it names.
    pub(crate) fn pictures(&self) -> &[Arc<Picture>] {
        &self.0.pictures
    }

    /// Its outermost level.
    pub(crate) fn shape(&self) -> Shape {
        self.0.survey.shape
    }

    /// Bytes that it takes in memory as a tree, about.
    pub(crate) fn weight(&self) -> u64 {
        self.0.survey.weight
    }

    pub(crate) fn is_null(&self) -> bool {
        self.shape() == Shape::Null
    }

    /// The handle of the image that it is, if it is one and the image exists.
    pub(crate) fn as_image(&self) -> Option<&Arc<Picture>> {
        match (self.shape(), self.pictures()) {
            (Shape::Object(1), [picture]) => handle(self.value()).map(|_| picture),
            _ => None,
        }
    }

    /// A list of cells as one.
    pub(crate) fn list(cells: &[Option<Self>]) -> Self {
        let held = |cell: &Option<Self>| cell.as_ref().is_none_or(Self::is_text);
        let pictures: Vec<Arc<Picture>> =
            cells.iter().flatten().flat_map(|cell| cell.pictures().iter().cloned()).collect();
        if pictures.is_empty() && cells.iter().all(held) {
            let mut text = String::from("[");
            for (at, cell) in cells.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                text.push_str(cell.as_ref().map_or("null", |cell| cell.text()));
            }
            text.push(']');
            let inside: u64 = cells.iter().map(|cell| cell.as_ref().map_or(NOTHING, Self::weight)).sum();
            let survey =
                Survey { weight: NOTHING + inside, images: false, bytes: false, shape: Shape::Array(cells.len()) };
            return Self::written(&text, survey);
        }
        let items = cells.iter().map(|cell| cell.as_ref().map_or(Value::Null, |cell| cell.value().clone()));
        Self::of(Value::Array(items.collect()), pictures)
    }
}

/// Bytes of a null.
const NOTHING: u64 = size_of::<Value>() as u64;
