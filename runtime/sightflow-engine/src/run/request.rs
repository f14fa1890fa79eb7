//! What a run is given and what it leaves behind.

use std::sync::Arc;

use serde_json::Value;
use sightflow_types::error::RunError;
use sightflow_types::{Digest, ExecutionId, TenantId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::effects::EffectLog;
use super::jobs::JobRunner;
use super::kept::RunLimits;
use super::lanes::Lanes;
use super::report::{Observer, Report};
use crate::host::BlockHost;
use crate::images::ImageIo;
use crate::plan::Plan;
use crate::run_input::RunInput;

/// What a run needs from outside.
#[derive(Clone)]
pub struct RunParts {
    /// Component blocks.
    pub host: Arc<dyn BlockHost>,
    /// Inference jobs.
    pub jobs: Arc<dyn JobRunner>,
    /// Calls that reach the outside.
    pub effects: Arc<dyn EffectLog>,
    /// Bytes of images.
    pub images: Arc<dyn ImageIo>,
    /// Who is told what happens.
    pub observer: Arc<dyn Observer>,
    /// How much it may keep.
    pub limits: RunLimits,
    /// The threads on which blocks compute.
    pub lanes: Lanes,
}

/// One run of a plan.
#[derive(Debug, Clone)]
pub struct RunSpec {
    /// What to run.
    pub plan: Arc<Plan>,
    /// Checked input.
    pub input: RunInput,
    /// Whose run it is.
    pub tenant: TenantId,
    /// For logs and calls; none outside of an execution.
    pub execution_id: Option<ExecutionId>,
    /// For blocks whose schema asks for it (`x-context`): `{workflow_id, execution_id, version}`.
    pub context: Value,
    /// Stops the run: its outcome is then [`End::Stopped`].
    pub cancel: CancellationToken,
    /// The run fails with `E-TIMEOUT` then.
    pub deadline: Option<Instant>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// No node failed, except under `on_error: continue` and in loops that skip.
    Completed,
    /// A node failed, or time ran out.
    Failed(RunError),
    /// [`RunSpec::cancel`] fired; nothing is known about the rest.
    Stopped,
}

/// What a run leaves behind.
#[derive(Debug, Clone)]
pub struct RunOutcome {
    /// How it ended.
    pub end: End,
    /// What resolved; images are stored references.
    pub outputs: Value,
    /// Blobs that the outputs name.
    pub output_blobs: Vec<Digest>,
    /// What changed since the last report.
    pub report: Report,
}
