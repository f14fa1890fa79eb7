//! The examples of a block's manifest, run: as its author does at home, and the server before it publishes.

use std::sync::Arc;

use serde_json::Value;
use sightflow_images::{Image, PixelFormat, Pixels};
use sightflow_types::manifest::{EXAMPLE_COLOR, EXAMPLE_SIZE, Example};
use sightflow_types::{Problem, TenantId};

use crate::blocking::blocking;
use crate::catalog::BlockEntry;
use crate::host::{BlockHost, CallContext, Payload};
use crate::images::handle_value;
use crate::trial::fitting;

/// What came of one example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExampleOutcome {
    /// Name of the block.
    pub block: String,
    /// Which of its examples, from 0.
    pub index: usize,
    /// Why it does not hold; none where it does.
    pub failure: Option<String>,
}

impl ExampleOutcome {
    /// The finding of an example that does not hold.
    pub fn problem(&self) -> Option<Problem> {
        let Self { block, index, failure } = self;
        let message = format!("example {index} of `{block}`: {}", failure.as_ref()?);
        Some(Problem::new("E-EXAMPLE", format!("/{block}/examples/{index}"), message))
    }
}

/// Runs every example of a component block. Each gets a grey picture at every required image port; outputs that an example
/// does not name are not compared. Those of a block that reaches out are not run.
pub async fn run_examples(host: &Arc<dyn BlockHost>, tenant: TenantId, entry: &BlockEntry) -> Vec<ExampleOutcome> {
    let mut outcomes = Vec::with_capacity(entry.manifest.examples.len());
    if entry.manifest.reaches_out() {
        // What others answer is no property of the block, and nobody granted it anything yet.
        return outcomes;
    }
    for (index, example) in entry.manifest.examples.iter().enumerate() {
        let failure = run(host, tenant, entry, example).await.err();
        outcomes.push(ExampleOutcome { block: entry.block.name.clone(), index, failure });
    }
    outcomes
}

async fn run(host: &Arc<dyn BlockHost>, tenant: TenantId, entry: &BlockEntry, example: &Example) -> Result<(), String> {
    let mut inputs = example.inputs.clone();
    let mut images = Vec::new();
    for port in entry.manifest.pictured(example) {
        inputs.insert(port.to_owned(), handle_value(images.len()));
        images.push(grey()?);
    }
    let unfit =
        |problems: Vec<Problem>| problems.into_iter().next().map_or_else(String::new, |problem| problem.message);
    let config = fitting(entry, example.config.clone(), &inputs).map_err(unfit)?;
    let payload = Payload { document: Value::Object(inputs).to_string(), images };
    let context = CallContext { node_id: entry.block.name.clone(), ..CallContext::new(tenant) };
    let (host, block, config) = (Arc::clone(host), entry.block.clone(), Value::Object(config).to_string());
    let called = blocking(move || host.call(&block, &config, payload, context)).await.map_err(|error| error.message)?;
    let answer = called.map_err(|error| error.message)?;
    let answer: Value = serde_json::from_str(answer.document.text()).map_err(|error| error.to_string())?;
    for (port, expected) in &example.outputs {
        let answer = answer.get(port).unwrap_or(&Value::Null);
        if answer != expected {
            return Err(format!("`{port}` is {answer}, not {expected}"));
        }
    }
    Ok(())
}

fn grey() -> Result<Image, String> {
    let (width, height) = EXAMPLE_SIZE;
    let pixels = Pixels::filled(width, height, PixelFormat::Rgb8, &EXAMPLE_COLOR);
    pixels.map(Image::from_pixels).map_err(|error| error.to_string())
}
