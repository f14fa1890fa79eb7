//! The models of a tenant, as the planner wants them.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use sightflow_store::{ModelFilter, ModelRow, ModelState, Store, StoreError};
use sightflow_types::TenantId;
use sightflow_types::error::chain;
use tracing::warn;

use crate::models::{ModelCatalog, ModelEntry};

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
