//! Signs of life. Nothing else happens here: whatever else takes its time must not make this engine look dead.

use std::sync::Arc;

use serde_json::json;
use sightflow_store::{Heartbeat, NewWorker, StoreError, WorkerRole};
use sightflow_types::WorkerId;
use sightflow_types::error::chain;
use tracing::warn;

use super::shared::Shared;
use super::{EngineConfig, EngineParts};

pub(super) async fn run(shared: Arc<Shared>) {
    let mut ticks = shared.ticks();
    loop {
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        shared.config.faults.at("engine.heartbeat");
        beat(&shared).await;
    }
}

/// Joins the fleet under a new id.
pub(super) async fn register(parts: &EngineParts, config: &EngineConfig) -> Result<WorkerId, StoreError> {
    let new = NewWorker {
        id: WorkerId::new(),
        role: WorkerRole::Engine,
        name: config.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        labels: json!({}),
        models: json!([]),
        device: None,
        memory_total: None,
    };
    parts.store.register_worker(new).await.map(|worker| worker.id)
}

/// A sign of life; registers anew after having been declared gone. Its executions are then someone else's.
async fn beat(shared: &Shared) {
    let beat = Heartbeat { worker_id: shared.id(), memory_free: None, models: None, holding: Vec::new() };
    match shared.parts.store.heartbeat(beat).await {
        Ok(answer) if answer.alive => shared.health.beat(),
        Ok(_) => {
            warn!(engine.id = %shared.id(), "declared gone; registering anew");
            match register(&shared.parts, &shared.config).await {
                Ok(new) => {
                    shared.renew(new);
                    shared.health.beat();
                }
                Err(failure) => warn!(error = chain(&failure), "cannot register anew"),
            }
        }
        Err(failure) => warn!(error = chain(&failure), "no sign of life could be given"),
    }
}
