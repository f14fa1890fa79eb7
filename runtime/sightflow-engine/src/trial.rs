//! One call of one block, outside of any workflow: nothing of it is recorded.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use sightflow_expressions::reference::nearest;
use sightflow_images::Image;
use sightflow_types::TenantId;
use sightflow_types::error::{RunError, code};
use sightflow_types::{IMAGE_KEY, Problem, ProblemCode, pointer_token};
use tokio_util::sync::CancellationToken;

use crate::blocking::blocking;
use crate::catalog::{BlockEntry, EngineKind};
use crate::host::{BlockHost, CallContext, CallError, CallOutcome, CallTrace, Payload};
use crate::images::{ImageIo, Purpose, for_each_image, handle, handle_value, open};

/// What came of a trial.
#[derive(Debug)]
pub struct Trial {
    /// What the block answered, images as stored references.
    pub outputs: Result<Map<String, Value>, CallError>,
    /// What it logged and used.
    pub trace: CallTrace,
    /// Images that it was given and that it gave.
    pub images: usize,
}

/// Why there was no trial.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// What was given does not fit the block; pointers begin with `/config` or `/inputs`.
    #[error("what was given does not fit the block")]
    Unfit(Vec<Problem>),
    /// An image cannot be read or stored.
    #[error(transparent)]
    Image(#[from] RunError),
}

/// Calls a component block once. Inputs may hold stored images as `{"$image": …}`.
///
/// # Errors
/// [`TrialError`]; a block that fails is an answer.
pub async fn try_block(
    host: &Arc<dyn BlockHost>,
    tenant: TenantId,
    entry: &BlockEntry,
    config: Map<String, Value>,
    inputs: Map<String, Value>,
    io: &dyn ImageIo,
) -> Result<Trial, TrialError> {
    let config = fitting(entry, config, &inputs).map_err(TrialError::Unfit)?;
    let (document, images) = opened(Value::Object(inputs), io).await?;
    let mut count = images.len();
    let payload = Payload { document: document.to_string(), images };
    let (host, block, config) = (Arc::clone(host), entry.block.clone(), Value::Object(config).to_string());
    let cancel = CancellationToken::new();
    // Whoever does not wait for the answer stops the call.
    let _guard = cancel.clone().drop_guard();
    let context = CallContext { node_id: block.name.clone(), cancel, ..CallContext::new(tenant) };
    match blocking(move || host.call(&block, &config, payload, context)).await? {
        Ok(CallOutcome { document, images, trace }) => {
            count += images.len();
            Ok(Trial { outputs: Ok(stored(document.text(), &images, io).await?), trace, images: count })
        }
        Err(mut error) => {
            let trace = *std::mem::take(&mut error.trace);
            Ok(Trial { outputs: Err(error), trace, images: count })
        }
    }
}

/// The whole configuration, or everything that does not fit: pointers begin with `/config` or `/inputs`.
///
/// # Errors
/// A problem for each thing.
pub fn fitting(
    entry: &BlockEntry,
    config: Map<String, Value>,
    inputs: &Map<String, Value>,
) -> Result<Map<String, Value>, Vec<Problem>> {
    if entry.engine() != EngineKind::Component {
        let message =
            format!("`{}` is run by the engine or by workers; only component blocks are tried alone", entry.block_type);
        return Err(vec![Problem::new(ProblemCode::TypeUnknown, "", message)]);
    }
    let canonical = entry.schema.canonical(config);
    let mut problems: Vec<Problem> =
        canonical.problems.into_iter().filter(|found| found.code.starts_with("E-")).collect();
    for problem in &mut problems {
        problem.pointer.insert_str(0, "/config");
    }
    let ports = &entry.manifest.inputs;
    for name in inputs.keys().filter(|name| ports.iter().all(|port| port.name != **name)) {
        let message = format!("`{}` has no input `{name}`", entry.block_type);
        let near = nearest(name, ports.iter().map(|port| port.name.as_str()));
        let pointer = format!("/inputs/{}", pointer_token(name));
        problems.push(Problem::new(ProblemCode::PortUnknown, pointer, message).suggest(near));
    }
    for port in ports.iter().filter(|port| port.required && !inputs.contains_key(&port.name)) {
        let message = format!("`{}` needs the input `{}`", entry.block_type, port.name);
        problems.push(Problem::new(ProblemCode::PortRequired, format!("/inputs/{}", port.name), message));
    }
    if problems.is_empty() { Ok(canonical.config) } else { Err(problems) }
}

/// Stored images in a value, opened and named by their place among those opened.
async fn opened(mut value: Value, io: &dyn ImageIo) -> Result<(Value, Vec<Image>), RunError> {
    let mut references = Vec::new();
    for_each_image(&mut value, &mut |place| {
        let inside = place.get(IMAGE_KEY).cloned().unwrap_or_default();
        if inside.is_number() {
            return Err(RunError::new(code::BAD_INPUT, "`$image` holds a number; it takes a stored image's reference"));
        }
        *place = handle_value(references.len());
        references.push(inside);
        Ok(())
    })?;
    let mut images = Vec::with_capacity(references.len());
    for reference in &references {
        images.push(open(io, reference).await?);
    }
    Ok((value, images))
}

/// The answer, its images stored.
async fn stored(answer: &str, images: &[Image], io: &dyn ImageIo) -> Result<Map<String, Value>, RunError> {
    let unread = || RunError::new(code::BLOCK_FAILED, "the block's answer is not readable");
    let mut value: Value = serde_json::from_str(answer).map_err(|_| unread())?;
    let mut references = Vec::with_capacity(images.len());
    for image in images {
        references.push(json!({IMAGE_KEY: io.store(image, Purpose::Output).await?}));
    }
    for_each_image(&mut value, &mut |place| {
        *place = handle(place).and_then(|index| references.get(index)).ok_or_else(unread)?.clone();
        Ok::<(), RunError>(())
    })?;
    match value {
        Value::Object(outputs) => Ok(outputs),
        _ => Err(unread()),
    }
}
