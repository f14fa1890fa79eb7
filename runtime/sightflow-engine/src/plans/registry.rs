//! The models of a tenant, as the planner wants them, read again only after they changed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use sightflow_store::{ModelFilter, ModelRow, ModelState, Signal, Store, StoreError};
use sightflow_types::TenantId;
use sightflow_types::error::chain;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;
use tracing::warn;

use crate::models::{ModelCatalog, ModelEntry};

/// Snapshots by tenant.
pub(super) struct Registry(Mutex<Known>);

struct Known {
    signals: broadcast::Receiver<Signal>,
    by_tenant: HashMap<TenantId, Arc<ModelCatalog>>,
    /// Counts changes, so that a snapshot that was read before a change is not kept after it.
    changes: u64,
}

impl Registry {
    pub(super) fn new(store: &dyn Store) -> Self {
        Self(Mutex::new(Known { signals: store.subscribe(), by_tenant: HashMap::new(), changes: 0 }))
    }

    /// The models that the tenant may name now.
    pub(super) async fn snapshot(&self, store: &dyn Store, tenant: TenantId) -> Result<Arc<ModelCatalog>, StoreError> {
        let changes = {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.forget_if_changed();
            if let Some(snapshot) = known.by_tenant.get(&tenant) {
                return Ok(Arc::clone(snapshot));
            }
            known.changes
        };
        let snapshot = Arc::new(load_models(store, tenant).await?);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.forget_if_changed();
        if known.changes != changes {
            return Ok(snapshot);
        }
        // Plans are told apart by their snapshot: of several that were read at once, all take the first.
        Ok(Arc::clone(known.by_tenant.entry(tenant).or_insert(snapshot)))
    }
}

impl Known {
    fn forget_if_changed(&mut self) {
        let changed = loop {
            match self.signals.try_recv() {
                Ok(Signal::ModelsChanged) | Err(TryRecvError::Lagged(_)) => break true,
                Ok(_) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => break false,
            }
        };
        if changed {
            self.by_tenant.clear();
            self.changes += 1;
        }
    }
}

/// Every model that a tenant sees, as the planner wants it. A row whose spec cannot be read is left out, with one warning.
///
/// # Errors
/// Those of the store.
pub async fn load_models(store: &dyn Store, tenant: TenantId) -> Result<ModelCatalog, StoreError> {
    let rows = store.models(tenant, ModelFilter::default()).await?;
    Ok(ModelCatalog::new(rows.into_iter().filter_map(entry)))
}

fn entry(row: ModelRow) -> Option<ModelEntry> {
    match serde_json::from_value(row.spec) {
        Ok(spec) => Some(ModelEntry {
            id: row.id,
            source: row.source,
            digest: row.digest,
            available: row.state == ModelState::Available,
            spec,
        }),
        Err(failure) => {
            if first_time(&row.id, &chain(&failure)) {
                warn!(model.id = %row.id, error = chain(&failure), "a model's spec cannot be read; it is left out");
            }
            None
        }
    }
}

/// Whether this was not said before: the registry is read for every plan and every save.
fn first_time(model: &str, reason: &str) -> bool {
    static SAID: Mutex<Option<HashSet<(String, String)>>> = Mutex::new(None);
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    said.get_or_insert_default().insert((model.to_owned(), reason.to_owned()))
}
