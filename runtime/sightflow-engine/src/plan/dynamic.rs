//! JSON of a definition in which texts may be references or templates, compiled once.

use std::sync::Arc;

use serde_json::{Map, Value};
use sightflow_expressions::reference::{Resolve, Resolved, Root, Template, TemplateError};
use sightflow_types::IMAGE_KEY;
use sightflow_types::error::code;

use crate::weight::Room;

/// A value that is known now, or when the node runs.
#[derive(Debug)]
pub enum Dynamic {
    /// Known now.
    Fixed(Arc<Value>),
    /// A reference, an expression or a text with expressions.
    Template(Template),
    /// A list with something dynamic in it.
    List(Vec<Dynamic>),
    /// An object with something dynamic in it.
    Object(Vec<(String, Dynamic)>),
}

/// A template problem and where in the value it is.
pub(crate) struct Misfit {
    pub(crate) pointer: String,
    pub(crate) error: TemplateError,
}

impl Dynamic {
    /// Compiles a JSON value; every problem is reported, and what has one becomes null.
    pub(crate) fn compile(value: &Value, pointer: &str, misfits: &mut Vec<Misfit>) -> Self {
        match value {
            Value::String(text) => match Template::parse(text) {
                Ok(Ok(template)) => Self::Template(template),
                Ok(Err(literal)) => Self::Fixed(Arc::new(Value::String(literal.into_owned()))),
                Err(error) => {
                    misfits.push(Misfit { pointer: pointer.to_owned(), error });
                    Self::Fixed(Arc::new(Value::Null))
                }
            },
            Value::Array(items) => {
                let items: Vec<Self> = items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| Self::compile(item, &format!("{pointer}/{index}"), misfits))
                    .collect();
                match items.iter().map(Self::fixed).collect::<Option<Vec<_>>>() {
                    Some(known) => Self::Fixed(Arc::new(Value::Array(known.into_iter().cloned().collect()))),
                    None => Self::List(items),
                }
            }
            Value::Object(object) => {
                let compiled = object.iter().map(|(key, item)| {
                    let token = crate::catalog::pointer_token(key);
                    (key.clone(), Self::compile(item, &format!("{pointer}/{token}"), misfits))
                });
                let fields: Vec<(String, Self)> = compiled.collect();
                let known: Option<Map<String, Value>> =
                    fields.iter().map(|(key, item)| Some((key.clone(), item.fixed()?.clone()))).collect();
                if let Some(inside) = object.get(IMAGE_KEY)
                    && (known.is_none() || crate::images::digest(inside).is_none())
                {
                    let message = "`$image` takes a stored image's reference, written out with its `digest`".to_owned();
                    let error = TemplateError { code: code::REFERENCE, message, suggestion: None };
                    misfits.push(Misfit { pointer: pointer.to_owned(), error });
                    return Self::Fixed(Arc::new(Value::Null));
                }
                match known {
                    Some(known) => Self::Fixed(Arc::new(Value::Object(known))),
                    None => Self::Object(fields),
                }
            }
            other => Self::Fixed(Arc::new(other.clone())),
        }
    }

    /// The value, if it is known now.
    pub fn fixed(&self) -> Option<&Value> {
        match self {
            Self::Fixed(value) => Some(value),
            _ => None,
        }
    }

    /// Calls `visit` with every part that is known now.
    pub(crate) fn each_fixed<'d>(&'d self, visit: &mut impl FnMut(&'d Value)) {
        match self {
            Self::Fixed(value) => visit(value),
            Self::Template(_) => {}
            Self::List(items) => items.iter().for_each(|item| item.each_fixed(visit)),
            Self::Object(fields) => fields.iter().for_each(|(_, item)| item.each_fixed(visit)),
        }
    }

    /// Everything that it names.
    pub fn roots(&self) -> Vec<&Root> {
        match self {
            Self::Fixed(_) => Vec::new(),
            Self::Template(template) => template.roots().collect(),
            Self::List(items) => items.iter().flat_map(Self::roots).collect(),
            Self::Object(fields) => fields.iter().flat_map(|(_, item)| item.roots()).collect(),
        }
    }

    /// The value at run time, within `room`. An absent value inside a list becomes null, inside an object its key is left
    /// out.
    ///
    /// # Errors
    /// Those of [`Template::evaluate`]; `E-BLOCK-LIMIT` without room.
    pub(crate) fn evaluate(&self, values: &dyn Resolve, room: &mut Room) -> Result<Resolved, TemplateError> {
        match self {
            Self::Fixed(value) => Ok(Resolved::Value((**value).clone())),
            Self::Template(template) => {
                let resolved = template.evaluate(values)?;
                let Resolved::Value(value) = &resolved else { return Ok(resolved) };
                let refuse = |code, message| TemplateError { code, message, suggestion: None };
                room.take(value).map_err(|message| refuse(code::BLOCK_LIMIT, message))?;
                // A plain reference gives what is there; an expression could build what looks like a stored image.
                if !matches!(template, Template::Reference(_)) && crate::images::holds_reference(value) {
                    let message = "an expression cannot make a reference to a stored image".to_owned();
                    return Err(refuse(code::EXPRESSION, message));
                }
                Ok(resolved)
            }
            Self::List(items) => {
                let found = items.iter().map(|item| {
                    Ok(match item.evaluate(values, room)? {
                        Resolved::Value(value) => value,
                        Resolved::Absent => Value::Null,
                    })
                });
                found.collect::<Result<Vec<_>, _>>().map(|items| Resolved::Value(Value::Array(items)))
            }
            Self::Object(fields) => {
                let mut object = Map::new();
                for (key, item) in fields {
                    if let Resolved::Value(value) = item.evaluate(values, room)? {
                        object.insert(key.clone(), value);
                    }
                }
                Ok(Resolved::Value(Value::Object(object)))
            }
        }
    }

    /// For a plain reference to a whole port: that port. Its value can then be shared instead of copied.
    pub fn as_port(&self) -> Option<(&str, &str)> {
        match self {
            Self::Template(Template::Reference(reference)) if reference.is_whole() => match &reference.root {
                Root::Port { node, port } => Some((node, port)),
                _ => None,
            },
            _ => None,
        }
    }
}
