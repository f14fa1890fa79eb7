//! What expressions can name, and values across the boundary to components.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use sightflow_expressions::reference::{Resolve, Root};
use sightflow_types::error::{RunError, code};

use super::cell::Cell;
use super::record::NodeRecord;
use crate::catalog::ports;
use crate::host::Payload;
use crate::images::{ImageIo, ImageTable, for_each_image, handle, handle_value, holds_image};
use crate::plan::Plan;

/// What expressions can name in a run.
pub(super) struct Scope<'r> {
    pub(super) plan: &'r Plan,
    pub(super) records: &'r [NodeRecord],
    pub(super) inputs: &'r HashMap<String, Value>,
    pub(super) parameters: &'r Map<String, Value>,
}

impl Scope<'_> {
    /// The cell of an output, by name or alias.
    pub(super) fn port(&self, node: &str, port: &str) -> Option<&Cell> {
        let index = *self.plan.ids.get(node)?;
        self.records[index].output(port).or_else(|| {
            let canonical = ports::find(self.plan.nodes[index].outputs(), port)?;
            self.records[index].output(&canonical.name)
        })
    }
}

impl Scope<'_> {
    /// What a root names, as it lies in the run.
    pub(super) fn find(&self, root: &Root) -> Option<Found<'_>> {
        match root {
            Root::Input(name) => self.inputs.get(name).map(Found::borrowed),
            Root::Param(name) => self.parameters.get(name).map(Found::borrowed),
            Root::Port { node, port } => self.port(node, port).map(|cell| Found::borrowed(&cell.value)),
            Root::Node(node) => {
                let record = &self.records[*self.plan.ids.get(node.as_str())?];
                (!record.outputs.is_empty()).then_some(Found::Ports(&record.outputs))
            }
            Root::Item | Root::Index | Root::Total => None,
        }
    }
}

/// A value in a run, not copied.
pub(super) enum Found<'r> {
    Value(Cow<'r, Value>),
    /// What a node delivered; as a value an object by port.
    Ports(&'r [(String, Cell)]),
}

impl<'r> Found<'r> {
    pub(super) fn borrowed(value: &'r Value) -> Self {
        Self::Value(Cow::Borrowed(value))
    }

    pub(super) fn into_value(self) -> Cow<'r, Value> {
        match self {
            Self::Value(value) => value,
            Self::Ports(ports) => {
                let fields = ports.iter().map(|(port, cell)| (port.clone(), (*cell.value).clone()));
                Cow::Owned(Value::Object(fields.collect()))
            }
        }
    }
}

impl Resolve for Scope<'_> {
    fn resolve(&self, root: &Root) -> Option<Cow<'_, Value>> {
        self.find(root).map(Found::into_value)
    }
}

/// The payload of a component call: run handles become indexes into the payload's own images.
pub(super) async fn payload(
    inputs: &[(Arc<str>, Cell)],
    table: &ImageTable,
    io: &dyn ImageIo,
) -> Result<Payload, RunError> {
    let broken = |error: serde_json::Error| RunError::new(code::INTERNAL, format!("an input is not JSON: {error}"));
    let mut document = Vec::with_capacity(256);
    // In the order of their first mention.
    let mut handles: Vec<usize> = Vec::new();
    document.push(b'{');
    for (at, (port, cell)) in inputs.iter().enumerate() {
        if at > 0 {
            document.push(b',');
        }
        serde_json::to_writer(&mut document, &**port).map_err(broken)?;
        document.push(b':');
        if !cell.images {
            serde_json::to_writer(&mut document, &*cell.value).map_err(broken)?;
            continue;
        }
        let mut value = (*cell.value).clone();
        for_each_image(&mut value, &mut |place| {
            let run_handle = handle(place).ok_or_else(|| {
                RunError::new(code::BAD_INPUT, format!("the input `{port}` names an image that does not exist"))
            })?;
            let index = handles.iter().position(|known| *known == run_handle).unwrap_or_else(|| {
                handles.push(run_handle);
                handles.len() - 1
            });
            *place = handle_value(index);
            Ok::<(), RunError>(())
        })?;
        serde_json::to_writer(&mut document, &value).map_err(broken)?;
    }
    document.push(b'}');
    let document = String::from_utf8(document).map_err(|error| RunError::new(code::INTERNAL, error.to_string()))?;
    let mut images = Vec::with_capacity(handles.len());
    for run_handle in handles {
        images.push(table.get(run_handle, io).await?);
    }
    Ok(Payload { document, images })
}

/// The outputs in a component's answer: its images join the run's table.
pub(super) fn outputs(answer: &Payload, table: &ImageTable) -> Result<Vec<(String, Cell)>, RunError> {
    let invalid = |reason: String| {
        RunError::new(code::BLOCK_FAILED, format!("the block answered with an invalid document: {reason}"))
    };
    let object: Map<String, Value> =
        serde_json::from_str(&answer.document).map_err(|error| invalid(error.to_string()))?;
    let mut handles: Vec<Option<usize>> = vec![None; answer.images.len()];
    let cells = object.into_iter().map(|(port, mut value)| {
        if !holds_image(&value) {
            return Ok((port, Cell::plain(value)));
        }
        for_each_image(&mut value, &mut |place| {
            let index = handle(place)
                .filter(|&index| index < handles.len())
                .ok_or_else(|| invalid(format!("port `{port}` names an image that was not returned")))?;
            let run_handle = *handles[index].get_or_insert_with(|| table.add(answer.images[index].clone()));
            *place = handle_value(run_handle);
            Ok::<(), RunError>(())
        })?;
        Ok((port, Cell { value: Arc::new(value), images: true }))
    });
    cells.collect()
}

#[cfg(test)]
mod tests {
    use sightflow_images::{Image, PixelFormat, Pixels};

    use super::*;

    #[test]
    fn only_images_that_were_returned_are_images() {
        let image = Image::from_pixels(Pixels::filled(1, 1, PixelFormat::Gray8, &[0]).unwrap());
        // The answer with one image; the ports that hold it, or what is wrong.
        let cases = [
            (r#"{"a":{"$image":0},"b":"sha256:00"}"#, Ok(vec!["a"])),
            (r#"{"a":{"\u0024image":0}}"#, Ok(vec!["a"])),
            (r#"{"a":[[{"$ima\u0067e":0}]]}"#, Ok(vec!["a"])),
            (r#"{"a":{"\u0024image":1}}"#, Err("port `a` names an image")),
            (r#"{"a":{"$image":{"digest":"sha256:00"}}}"#, Err("port `a` names an image")),
            (r#"{"a":{"$image":0,"more":1}}"#, Err("port `a` names an image")),
            (r#"{"a":{"$image":"0"}}"#, Err("port `a` names an image")),
        ];
        for (document, expected) in cases {
            let table = ImageTable::default();
            // Handles of the run differ from the answer's indexes.
            table.add(image.clone());
            let answer = Payload { document: document.to_owned(), images: vec![image.clone()] };
            match (outputs(&answer, &table), expected) {
                (Ok(found), Ok(ports)) => {
                    let with: Vec<_> =
                        found.iter().filter(|(_, cell)| cell.images).map(|(port, _)| port.as_str()).collect();
                    assert_eq!(with, ports, "{document}");
                    assert!(found[0].1.value.to_string().contains(r#"{"$image":1}"#), "{document}");
                }
                (Err(error), Err(reason)) => assert!(error.message.contains(reason), "{document}: {error}"),
                (found, expected) => panic!("{document}: {found:?} instead of {expected:?}"),
            }
        }
    }
}
