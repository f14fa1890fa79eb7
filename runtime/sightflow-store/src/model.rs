//! The model registry.

use serde_json::Value;
use sightflow_types::{Digest, ModelSource, Task, TenantId, Timestamp, closed_set};

closed_set!(
/// Whether a model can be used.
ModelState, "model state", {
    /// It can.
    Available = "available",
    /// Switched off by an operator.
    Disabled = "disabled",
    /// Its file cannot be used.
    Broken = "broken",
});

/// A registered model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelRow {
    /// Its name: `yolo11n`.
    pub id: String,
    /// Whose it is; the built-in tenant's are visible to all.
    pub tenant_id: TenantId,
    /// From which registry.
    pub source: ModelSource,
    /// What it does.
    pub task: Task,
    /// For people.
    pub name: String,
    /// Of the file.
    pub digest: Option<Digest>,
    /// Bytes of the file.
    pub size: Option<u64>,
    /// `onnx`.
    pub format: String,
    /// Inputs, outputs, pre- and post-processing.
    pub spec: Value,
    /// Whether it can be used.
    pub state: ModelState,
    /// Its jobs wait until then: the breaker is open.
    pub blocked_until: Option<Timestamp>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

/// A model to register, or to bring up to date.
#[derive(Debug, Clone)]
pub struct NewModel {
    /// Its name.
    pub id: String,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// From which registry.
    pub source: ModelSource,
    /// What it does.
    pub task: Task,
    /// For people.
    pub name: String,
    /// Of the file.
    pub digest: Option<Digest>,
    /// Bytes of the file.
    pub size: Option<u64>,
    /// `onnx`.
    pub format: String,
    /// Inputs, outputs, pre- and post-processing.
    pub spec: Value,
}

/// Which models to list; `None` does not filter.
#[derive(Debug, Clone, Default)]
pub struct ModelFilter {
    /// What it does.
    pub task: Option<Task>,
    /// From which registry.
    pub source: Option<ModelSource>,
    /// Whether it can be used.
    pub state: Option<ModelState>,
    /// Part of the id or name, in any case and normal form.
    pub search: Option<String>,
}
