//! Values on their way between nodes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use sightflow_expressions::reference::{Resolve, Root};
use sightflow_images::Image;
use sightflow_types::error::code;

use super::record::NodeRecord;
use crate::host::{CallError, Payload};
use crate::images::{ImageTable, for_each_image, handle, handle_value, holds_image};
use crate::plan::Plan;

/// A shared value.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) value: Arc<Value>,
    /// Whether an image is somewhere inside.
    pub(super) images: bool,
}

impl Cell {
    pub(super) fn plain(value: Value) -> Self {
        Self { value: Arc::new(value), images: false }
    }

    pub(super) fn new(value: Value) -> Self {
        let images = holds_image(&value);
        Self { value: Arc::new(value), images }
    }

    pub(super) fn image(table: &ImageTable, image: Image) -> Self {
        Self { value: Arc::new(handle_value(table.add(image))), images: true }
    }
}

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
            let outputs = &self.plan.nodes[index].entry.manifest.outputs;
            let canonical = outputs.iter().find(|output| output.aliases.iter().any(|alias| alias == port))?;
            self.records[index].output(&canonical.name)
        })
    }
}

impl Resolve for Scope<'_> {
    fn resolve(&self, root: &Root) -> Option<Cow<'_, Value>> {
        match root {
            Root::Input(name) => self.inputs.get(name).map(Cow::Borrowed),
            Root::Param(name) => self.parameters.get(name).map(Cow::Borrowed),
            Root::Port { node, port } => self.port(node, port).map(|cell| Cow::Borrowed(&*cell.value)),
            Root::Node(node) => {
                let record = &self.records[*self.plan.ids.get(node.as_str())?];
                let all = record.outputs.iter().map(|(port, cell)| (port.clone(), (*cell.value).clone()));
                (!record.outputs.is_empty()).then(|| Cow::Owned(Value::Object(all.collect())))
            }
        }
    }
}

/// The payload of a component call: run handles become indexes into the payload's own images.
pub(super) fn payload(inputs: &[(Arc<str>, Cell)], table: &ImageTable) -> Result<Payload, CallError> {
    let broken = |error: serde_json::Error| CallError::internal(format!("an input is not JSON: {error}"));
    let mut document = Vec::with_capacity(256);
    let mut images = Vec::new();
    let mut local: HashMap<usize, usize> = HashMap::new();
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
            let Some(run_handle) = handle(place) else {
                return Ok(());
            };
            let index = match local.get(&run_handle) {
                Some(&index) => index,
                None => {
                    let image = table.get(run_handle).ok_or_else(|| {
                        CallError::new(code::BAD_INPUT, format!("port `{port}` holds an image that does not exist"))
                    })?;
                    images.push(image);
                    local.insert(run_handle, images.len() - 1);
                    images.len() - 1
                }
            };
            *place = handle_value(index);
            Ok::<(), CallError>(())
        })?;
        serde_json::to_writer(&mut document, &value).map_err(broken)?;
    }
    document.push(b'}');
    let document = String::from_utf8(document).map_err(|error| CallError::internal(error.to_string()))?;
    Ok(Payload { document, images })
}

/// The outputs in a component's answer: its images join the run's table.
pub(super) fn outputs(answer: &Payload, table: &ImageTable) -> Result<Vec<(String, Cell)>, CallError> {
    let invalid = |reason: String| {
        CallError::new(code::BLOCK_FAILED, format!("the block answered with an invalid document: {reason}"))
    };
    let marked = answer.document.contains(sightflow_types::IMAGE_KEY);
    let object: Map<String, Value> =
        serde_json::from_str(&answer.document).map_err(|error| invalid(error.to_string()))?;
    let mut handles: Vec<Option<usize>> = vec![None; answer.images.len()];
    let cells = object.into_iter().map(|(port, mut value)| {
        if !(marked && holds_image(&value)) {
            return Ok((port, Cell::plain(value)));
        }
        for_each_image(&mut value, &mut |place| {
            let index = handle(place)
                .filter(|&index| index < handles.len())
                .ok_or_else(|| invalid(format!("port `{port}` names an image that was not returned")))?;
            let run_handle = *handles[index].get_or_insert_with(|| table.add(answer.images[index].clone()));
            *place = handle_value(run_handle);
            Ok::<(), CallError>(())
        })?;
        Ok((port, Cell { value: Arc::new(value), images: true }))
    });
    cells.collect()
}
