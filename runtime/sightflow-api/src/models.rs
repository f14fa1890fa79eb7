//! The model registry as planning needs it, read again only after it changed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sightflow_engine::{ModelCatalog, load_models};
use sightflow_store::{SharedStore, Signal, StoreError};
use sightflow_types::TenantId;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

/// Snapshots by tenant.
pub(crate) struct Models(Mutex<Known>);

struct Known {
    signals: broadcast::Receiver<Signal>,
    by_tenant: HashMap<TenantId, Arc<ModelCatalog>>,
    /// Counts changes, so that a snapshot that was read before a change is not kept after it.
    changes: u64,
}

impl Models {
    pub(crate) fn new(store: &SharedStore) -> Self {
        Self(Mutex::new(Known { signals: store.subscribe(), by_tenant: HashMap::new(), changes: 0 }))
    }

    /// The models that the tenant may name now.
    pub(crate) async fn snapshot(
        &self,
        store: &SharedStore,
        tenant: TenantId,
    ) -> Result<Arc<ModelCatalog>, StoreError> {
        let changes = {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.forget_if_changed();
            if let Some(snapshot) = known.by_tenant.get(&tenant) {
                return Ok(Arc::clone(snapshot));
            }
            known.changes
        };
        let snapshot = Arc::new(load_models(&**store, tenant).await?);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.forget_if_changed();
        if known.changes == changes {
            known.by_tenant.insert(tenant, Arc::clone(&snapshot));
        }
        Ok(snapshot)
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
