//! The run's own values, as expressions name them.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use sightflow_expressions::reference::Root;
use sightflow_types::error::RunError;

use super::work::Ground;
use crate::cell::Cell;
use crate::image_source::ImageSource;
use crate::images::{self, Picture};
use crate::plan::{Feed, Plan};

/// What a run was given, with its images opened.
pub(super) struct Imported {
    pub(super) inputs: HashMap<String, Cell>,
    pub(super) parameters: Map<String, Value>,
    /// Keeps the images of the parameters.
    pub(super) pictures: Vec<Arc<Picture>>,
}

/// Opens the images among the values that the plan names.
pub(super) async fn import(ground: &Ground) -> Result<Imported, RunError> {
    let (run, io) = (&ground.run, ground.parts.images.as_ref());
    let mut inputs = HashMap::new();
    for name in named(&ground.plan) {
        if inputs.contains_key(name) {
            continue;
        }
        let value = match (run.values.get(name), name, &run.image) {
            (Some(value), _, _) => Some(value.clone()),
            (None, "image", Some(source @ ImageSource::Stored(_))) => Some(source.to_value()),
            (None, "image_url", Some(ImageSource::Url(url))) => Some(Value::String(url.clone())),
            (None, _, _) => run.images.get(name).map(|source| match source {
                ImageSource::Stored(_) => source.to_value(),
                ImageSource::Url(url) => Value::String(url.clone()),
            }),
        };
        if let Some(mut value) = value {
            let pictures = images::import(&mut value, &ground.table, io).await?;
            inputs.insert(name.to_owned(), Cell::of(value, pictures));
        }
    }
    let mut parameters = run.parameters.clone();
    let mut pictures = Vec::new();
    for value in parameters.values_mut().filter(|value| images::holds_image(value)) {
        pictures.extend(images::import(value, &ground.table, io).await?);
    }
    Ok(Imported { inputs, parameters, pictures })
}

/// The inputs that a plan names.
fn named(plan: &Plan) -> impl Iterator<Item = &str> {
    let config = plan.nodes.iter().flat_map(|node| node.config.dynamic.iter().flat_map(|(_, value)| value.roots()));
    let fed = plan.nodes.iter().flat_map(|node| &node.inputs).flat_map(|input| match &input.feed {
        Feed::Value(value) => value.roots(),
        _ => Vec::new(),
    });
    let outputs = plan.outputs.iter().map(|output| &output.source.root);
    config.chain(fed).chain(outputs).filter_map(|root| match root {
        Root::Input(name) => Some(name.as_str()),
        _ => None,
    })
}
