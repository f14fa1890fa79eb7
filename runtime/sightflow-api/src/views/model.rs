//! A registered model on the wire.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sightflow_store::{ModelRow, ModelState, Worker, WorkerState};
use sightflow_types::model::ModelSpec;
use sightflow_types::{ModelSource, Task, Timestamp, WorkerId};
use utoipa::ToSchema;

use crate::schema;

/// A model of the registry.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Model)]
pub(crate) struct ModelView {
    id: String,
    name: String,
    #[schema(value_type = schema::Task)]
    task: Task,
    #[schema(value_type = schema::ModelSource)]
    source: ModelSource,
    /// `available`, `disabled` or `broken`.
    state: &'static str,
    format: String,
    digest: Option<String>,
    /// Bytes of the file.
    size: Option<u64>,
    /// Width and height in pixels.
    input_size: Option<[u32; 2]>,
    class_count: usize,
    /// Class names by class id.
    classes: Vec<String>,
    /// Length of the vector of an embedding model.
    embedding_dim: Option<u32>,
    license: Option<String>,
    /// Live workers that have it in memory.
    loaded_on: Vec<LoadedOn>,
    /// Its jobs wait until then, because it failed to load.
    #[schema(value_type = Option<schema::Time>)]
    blocked_until: Option<Timestamp>,
    #[schema(value_type = schema::Time)]
    created_at: Timestamp,
    #[schema(value_type = schema::Time)]
    updated_at: Timestamp,
    /// Inputs, outputs, pre- and post-processing; only when one model is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    spec: Option<Value>,
}

/// A worker that has a model in memory.
#[derive(Debug, Serialize, ToSchema)]
struct LoadedOn {
    #[schema(value_type = schema::WorkerId)]
    worker_id: WorkerId,
    #[schema(value_type = String)]
    state: Value,
}

impl ModelView {
    /// One model with its spec.
    pub(crate) fn full(row: ModelRow, workers: &[Worker]) -> Self {
        let spec = row.spec.clone();
        Self { spec: Some(spec), ..Self::item(row, workers) }
    }

    /// An item of a list.
    pub(crate) fn item(row: ModelRow, workers: &[Worker]) -> Self {
        // A spec that this version cannot read leaves these fields unknown; the model itself says so when it is used.
        let spec = ModelSpec::deserialize(&row.spec).ok();
        Self {
            state: state_name(row.state),
            digest: row.digest.map(|digest| digest.to_string()),
            size: row.size,
            input_size: spec.as_ref().map(|spec| spec.inputs.image.size),
            class_count: spec.as_ref().map_or(0, |spec| spec.labels.len()),
            embedding_dim: spec.as_ref().and_then(|spec| Some(spec.embedding.as_ref()?.dim)),
            license: spec.as_ref().and_then(|spec| spec.license.clone()),
            classes: spec.map(|spec| spec.labels).unwrap_or_default(),
            loaded_on: loaded_on(&row.id, workers),
            blocked_until: row.blocked_until,
            created_at: row.created_at,
            updated_at: row.updated_at,
            spec: None,
            id: row.id,
            name: row.name,
            task: row.task,
            source: row.source,
            format: row.format,
        }
    }
}

/// The name on the wire.
pub(crate) const fn state_name(state: ModelState) -> &'static str {
    match state {
        ModelState::Available => "available",
        ModelState::Disabled => "disabled",
        ModelState::Broken => "broken",
    }
}

fn loaded_on(model: &str, workers: &[Worker]) -> Vec<LoadedOn> {
    workers
        .iter()
        .filter(|worker| worker.state != WorkerState::Gone)
        .filter_map(|worker| {
            let entry = worker
                .models
                .as_array()?
                .iter()
                .find(|entry| entry.get("id").and_then(Value::as_str) == Some(model))?;
            Some(LoadedOn { worker_id: worker.id, state: entry.get("state").cloned().unwrap_or_default() })
        })
        .collect()
}
