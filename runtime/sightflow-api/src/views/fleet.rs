//! A member of the fleet on the wire.

use serde::Serialize;
use serde_json::Value;
use sightflow_store::{Worker, WorkerRole, WorkerState};
use sightflow_types::{Timestamp, WorkerId};
use utoipa::ToSchema;

use crate::schema;

/// A worker or an engine.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Worker)]
pub(crate) struct WorkerView {
    #[schema(value_type = schema::WorkerId)]
    id: WorkerId,
    /// `worker` or `engine`.
    role: &'static str,
    name: String,
    /// `starting`, `ready`, `draining` or `gone`.
    state: &'static str,
    device: Option<String>,
    /// Bytes.
    memory_total: Option<u64>,
    /// Bytes, at the last sign of life.
    memory_free: Option<u64>,
    /// Loaded models: `[{"id","state"}]`.
    #[schema(value_type = Vec<Object>)]
    models: Value,
    running_jobs: u32,
    #[schema(value_type = schema::Time)]
    heartbeat_at: Timestamp,
    version: String,
    /// What it says about itself: for a worker the instructions that its kernels use (`simd`).
    #[schema(value_type = Object)]
    labels: Value,
}

impl From<Worker> for WorkerView {
    fn from(row: Worker) -> Self {
        Self {
            id: row.id,
            role: match row.role {
                WorkerRole::Engine => "engine",
                WorkerRole::Worker => "worker",
            },
            name: row.name,
            state: match row.state {
                WorkerState::Starting => "starting",
                WorkerState::Ready => "ready",
                WorkerState::Draining => "draining",
                WorkerState::Gone => "gone",
            },
            device: row.device,
            memory_total: row.memory_total,
            memory_free: row.memory_free,
            models: row.models,
            running_jobs: row.running_jobs,
            heartbeat_at: row.heartbeat_at,
            version: row.version,
            labels: row.labels,
        }
    }
}
