//! Many frames of one node in one call: where an instance of the block is dear, as those of Python are, items share one.

use std::collections::VecDeque;
use std::sync::Arc;

use sightflow_memory::Reservation;

use super::frame::Frame;
use super::values;
use super::work::{Delivered, NodeFailure, Phase, Step, Work};
use crate::catalog::Runner;
use crate::host::{CallContext, CallOutcome, Payload};
use crate::images::Picture;

/// Most frames in one call.
pub(super) const MOST: usize = 16;

/// What a frame comes to, with what it was given.
pub(super) type Worked = (Frame, u64, Result<Step, NodeFailure>);

/// A call that is about to be made.
struct Ready {
    _given: Reservation,
    payload: Payload,
    pictures: Vec<Arc<Picture>>,
}

impl Work {
    /// Whether others of the same node could share its call. May load the block's code.
    pub(super) fn shares(&self) -> bool {
        let entry = &self.node().entry;
        let call = matches!(self.phase, Phase::Begin) && matches!(entry.runner, Runner::Component);
        call && !entry.manifest.reaches_out() && self.ground.parts.host.shares(&entry.block)
    }

    /// Does the work of frames of one node. They share a call if their configuration is the same; where that fails as a whole,
    /// because together they need more than a call has, each is called alone.
    pub(super) async fn run_together(works: VecDeque<Box<Self>>) -> Vec<Worked> {
        let config = works.front().and_then(|work| work.config_text.clone());
        let (mut done, mut together, mut alone) = (Vec::with_capacity(works.len()), Vec::new(), Vec::new());
        for mut work in works {
            if work.config_text != config {
                alone.push(work);
                continue;
            }
            match work.ready().await {
                Ok(ready) => together.push((work, ready)),
                Err(failure) => done.push((work.frame, work.given, Err(failure))),
            }
        }
        if let Some((first, _)) = together.first() {
            let (host, block) = (Arc::clone(&first.ground.parts.host), first.node().entry.block.clone());
            let config = config.unwrap_or_else(|| Arc::from("{}"));
            let context = first.context();
            let payloads = together.iter().map(|(_, ready)| ready.payload.clone()).collect();
            match host.call_many(&block, &config, payloads, context) {
                Ok(answers) if answers.len() == together.len() => {
                    for ((work, ready), answer) in together.into_iter().zip(answers) {
                        let result = match answer {
                            Ok(outcome) => work.delivered(outcome, &ready, &config).await,
                            Err(mut error) => {
                                work.traced(*std::mem::take(&mut error.trace));
                                Err(error.into())
                            }
                        };
                        done.push((work.frame, work.given, result));
                    }
                }
                _ => alone.extend(together.into_iter().map(|(work, _)| work)),
            }
        }
        for work in alone {
            let (frame, given) = (work.frame, work.given);
            done.push((frame, given, work.run().await));
        }
        done
    }

    async fn ready(&mut self) -> Result<Ready, NodeFailure> {
        let given = self.ground.kept.lend(self.given).await?;
        self.open_literals().await?;
        self.check_images()?;
        let (payload, pictures) = values::payload(&self.inputs, self.ground.access()).await?;
        Ok(Ready { _given: given, payload, pictures })
    }

    async fn delivered(&self, outcome: CallOutcome, ready: &Ready, config: &Arc<str>) -> Result<Step, NodeFailure> {
        self.traced(outcome.trace);
        let recipe = || values::recipe(&self.node().entry.block, config, &self.inputs, &ready.pictures);
        let outputs = values::outputs(&outcome.document, outcome.images, &ready.pictures, &self.ground.table, recipe)?;
        let bytes = outputs.iter().map(|(_, cell)| cell.weight()).sum();
        self.ground.kept.keep(bytes).await?;
        Ok(Step::Delivered(Delivered { outputs, ..Delivered::default() }))
    }

    /// On whose behalf a call is made.
    pub(super) fn context(&self) -> CallContext {
        CallContext {
            tenant: self.ground.tenant,
            execution_id: self.ground.execution_id,
            node_id: self.node().id.to_string(),
            timeout: self.node().timeout,
            cancel: self.cancel.clone(),
        }
    }
}
