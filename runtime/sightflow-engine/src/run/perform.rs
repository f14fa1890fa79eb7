//! The work of a frame, done: by a component, by a block of the engine, or by jobs of a model.

use std::sync::Arc;

use serde_json::Value;
use sightflow_memory::Reservation;
use sightflow_types::document::Shape;
use sightflow_types::error::{RunError, code};
use sightflow_types::manifest::PortKind;

use super::model;
use super::work::{Delivered, NodeFailure, Phase, Step, Work};
use crate::catalog::Runner;
use crate::cell::Cell;
use crate::images;
use crate::native::{Gathering, NativeBlock, NativeCall, NativeOutcome};
use crate::plan::PlanNode;

/// Whether a node's work begins with waiting for others: it is then no work for a thread that may block.
pub(super) fn waits_for_others(node: &PlanNode) -> bool {
    match node.entry.runner {
        Runner::Model(_) => true,
        Runner::Native(block) => block.waits_for_others(),
        Runner::Component => node.entry.manifest.reaches_out(),
    }
}

impl Work {
    /// Does the work, once.
    pub(super) async fn run(mut self: Box<Self>) -> Result<Step, NodeFailure> {
        let ground = Arc::clone(&self.ground);
        let _given = ground.kept.lend(self.given).await?;
        self.open_literals().await?;
        self.check_images()?;
        let _gathered = self.room_to_gather().await?;
        let body = self.node().opens.map(|body| &ground.plan.scopes[body]);
        match self.step().await? {
            Step::Delivered(delivered) => {
                let bytes = delivered.outputs.iter().map(|(_, cell)| cell.weight()).sum();
                if let Err(error) = ground.kept.keep(bytes).await {
                    let Delivered { attempts, jobs, .. } = delivered;
                    return Err(NodeFailure { error, repeat: false, attempts, jobs });
                }
                Ok(Step::Delivered(delivered))
            }
            Step::Loop(mut spec) => {
                spec.kept = spec.weight(body.map_or(0, |body| body.collects.len() + body.exports.len()));
                ground.kept.keep(spec.kept).await?;
                Ok(Step::Loop(spec))
            }
            step @ Step::Jobs(..) => Ok(step),
        }
    }

    /// Room for what a `collect` makes one list of: many items may have left the same large value.
    async fn room_to_gather(&self) -> Result<Option<Reservation>, RunError> {
        let Phase::Gather(gathering) = &self.phase else { return Ok(None) };
        let bytes: u64 = gathering.items.iter().flatten().map(Cell::weight).sum();
        self.ground.kept.check(bytes)?;
        self.ground.kept.lend(bytes).await.map(Some)
    }

    async fn step(mut self: Box<Self>) -> Result<Step, NodeFailure> {
        let gathering = match std::mem::replace(&mut self.phase, Phase::Begin) {
            Phase::Finish(jobs, outcomes) => return model::finish(&self, jobs, outcomes).await.map(Step::Delivered),
            Phase::Gather(gathering) => Some(gathering),
            Phase::Begin => None,
        };
        let outputs = match self.node().entry.runner {
            Runner::Component => {
                let config = self.config_text.clone().unwrap_or_else(|| Arc::from("{}"));
                self.call(&self.node().entry.block, config, &self.inputs).await?
            }
            Runner::Model(_) => {
                let requests = model::requests(&self).await?;
                return Ok(Step::Jobs(self, requests));
            }
            Runner::Native(block) => match self.native(block, gathering).await? {
                NativeOutcome::Delivered(outputs) => outputs,
                NativeOutcome::Loop(spec) => return Ok(Step::Loop(spec)),
            },
        };
        Ok(Step::Delivered(Delivered { outputs, ..Delivered::default() }))
    }

    async fn native(
        &mut self,
        block: &dyn NativeBlock,
        gathering: Option<Gathering>,
    ) -> Result<NativeOutcome, RunError> {
        let inputs = std::mem::take(&mut self.inputs);
        let (node, ground) = (self.node(), &self.ground);
        let call = NativeCall {
            node: &node.id,
            config: &self.config,
            inputs,
            ports: node.outputs(),
            parameters: &self.parameters,
            run: &ground.run,
            only_image: ground.plan.reads_one_image(),
            io: ground.parts.images.as_ref(),
            table: &ground.table,
            loop_items: ground.plan.loop_items,
            gathering,
        };
        block.run(call).await
    }

    /// Stored images that the definition names in `inputs` get a handle of this run, for this frame alone.
    pub(super) async fn open_literals(&mut self) -> Result<(), RunError> {
        for (_, cell) in &mut self.inputs {
            // A value of a run names images that the run knows.
            if !matches!(cell.shape(), Shape::Array(_) | Shape::Object(_)) || cell.is_text() {
                continue;
            }
            if images::holds_reference(cell.value()) {
                let mut value = cell.value().clone();
                let mut pictures = cell.pictures().to_vec();
                let io = self.ground.parts.images.as_ref();
                pictures.extend(images::open_references(&mut value, &self.ground.table, io).await?);
                *cell = Cell::of(value, pictures);
            }
        }
        Ok(())
    }

    /// What arrives at a port for one image is an image; a text that looks like a digest is a text.
    pub(super) fn check_images(&self) -> Result<(), RunError> {
        let ports = &self.node().entry.manifest.inputs;
        for (name, cell) in &self.inputs {
            let single = ports.iter().any(|port| port.name == **name && port.kind == PortKind::Image && !port.many);
            if single && cell.as_image().is_none() {
                let what = match cell.value() {
                    Value::String(_) => "a text",
                    Value::Number(_) => "a number",
                    Value::Bool(_) => "a boolean",
                    Value::Array(_) => "a list",
                    Value::Object(_) | Value::Null => "another value",
                };
                return Err(RunError::new(code::BAD_INPUT, format!("the input `{name}` is {what}, not an image")));
            }
        }
        Ok(())
    }
}
