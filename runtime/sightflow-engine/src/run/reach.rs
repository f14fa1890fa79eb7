//! Calls that reach the outside. What they come to is recorded: a walk that comes by again, after a crash or a long wait, takes
//! the answer that there is instead of asking the world a second time.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sightflow_images::PixelFormat;
use sightflow_store::{BegunEffect, EffectEnd, NewEffect};
use sightflow_types::ImageRef;
use sightflow_types::document::Document;
use sightflow_types::error::{RunError, code};

use super::frame::Outputs;
use super::values;
use super::work::{NodeFailure, Work};
use crate::blocking::blocking;
use crate::host::{BlockRef, CallContext, CallOutcome, FailureKind, Payload};
use crate::images::{ImageTable, Purpose, reopen};

/// What is kept of an answer.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    /// By port; images are `{"$image": n}`.
    document: Value,
    /// The n-th of these.
    images: Vec<Kept>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    reference: ImageRef,
    /// As the block gave it; a file may have fewer formats.
    format: String,
}

impl Work {
    /// One call that reaches the outside, unless it was made before.
    pub(super) async fn reach_out(
        &self,
        block: &BlockRef,
        config: Arc<str>,
        payload: Payload,
        context: CallContext,
    ) -> Result<Outputs, NodeFailure> {
        let (log, node, item) = (&self.ground.parts.effects, self.node(), &*self.path);
        let changes = node.entry.manifest.effect;
        let new = NewEffect { node_id: node.id.to_string(), item_path: item.to_owned(), repeatable: !changes };
        let answer = match log.begin(new).await? {
            BegunEffect::Done(answer) => answer,
            BegunEffect::Failed(error) => return Err(NodeFailure { repeat: false, ..NodeFailure::from(error) }),
            BegunEffect::Send => match self.send(block, config, payload, context, changes).await {
                Ok(answer) => {
                    log.end(&node.id, item, EffectEnd::Done(answer.clone())).await?;
                    answer
                }
                Err(failure) => {
                    let end = EffectEnd::Failed { error: failure.error.clone(), again: failure.repeat };
                    log.end(&node.id, item, end).await?;
                    return Err(failure);
                }
            },
        };
        // Both times from the record, so that a second walk sees what the first one saw.
        Ok(self.answered(answer).await?)
    }

    async fn send(
        &self,
        block: &BlockRef,
        config: Arc<str>,
        payload: Payload,
        context: CallContext,
        changes: bool,
    ) -> Result<Value, NodeFailure> {
        let (host, block) = (Arc::clone(&self.ground.parts.host), block.clone());
        // It waits for others, on a thread that is there for that; this one runs tasks.
        match blocking(move || host.call(&block, &config, payload, context)).await? {
            Ok(outcome) => {
                let kept = self.keep(&outcome).await;
                self.traced(outcome.trace);
                // The call was made, whatever became of its pictures.
                kept.map_err(|error| NodeFailure { repeat: !changes, ..NodeFailure::from(error) })
            }
            Err(mut error) => {
                self.traced(*std::mem::take(&mut error.trace));
                // A block that gave up before it sent anything says so; whatever else stopped it may have come too late.
                let again = !changes || error.kind == FailureKind::Retry;
                let failure = NodeFailure::from(error);
                Err(NodeFailure { repeat: failure.repeat && again, ..failure })
            }
        }
    }

    async fn keep(&self, outcome: &CallOutcome) -> Result<Value, RunError> {
        let mut images = Vec::with_capacity(outcome.images.len());
        for image in &outcome.images {
            let reference = self.ground.parts.images.store(image, Purpose::Output).await?;
            images.push(Kept { reference, format: image.format().name().to_owned() });
        }
        let document = serde_json::from_str(outcome.document.text()).map_err(|error| unreadable(&error))?;
        serde_json::to_value(Answer { document, images }).map_err(|error| unreadable(&error))
    }

    async fn answered(&self, answer: Value) -> Result<Outputs, RunError> {
        let Answer { document, images } = serde_json::from_value(answer).map_err(|error| unreadable(&error))?;
        let document = Document::check(document.to_string(), images.len()).map_err(|error| unreadable(&error))?;
        let mut opened = Vec::with_capacity(images.len());
        for Kept { reference, format } in &images {
            let format: PixelFormat = format.parse().map_err(|error| unreadable(&error))?;
            opened.push(reopen(self.ground.parts.images.as_ref(), reference, format).await?);
        }
        let table: &ImageTable = &self.ground.table;
        values::stored_outputs(&document, opened, table)
    }
}

fn unreadable(error: &impl std::fmt::Display) -> RunError {
    RunError::new(code::INTERNAL, format!("the answer of a call cannot be recorded or read: {error}"))
}
