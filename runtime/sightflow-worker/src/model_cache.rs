//! Loaded models, shared between compute threads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};
use sightflow_models::Model;
use sightflow_types::Digest;
use tokio::sync::Mutex as AsyncMutex;

/// Names loaded weights: one file can serve two registered models with different specs.
pub(crate) type ModelKey = (String, Digest);

/// Models by id and digest, least recently used out first.
pub(crate) struct ModelCache {
    budget: u64,
    entries: Mutex<HashMap<ModelKey, Arc<Entry>>>,
}

#[derive(Default)]
struct Entry {
    /// Held while the model loads, so that it loads once however many slots want it.
    model: AsyncMutex<Option<Model>>,
    usage: Mutex<Usage>,
}

#[derive(Default)]
struct Usage {
    bytes: u64,
    last: Option<Instant>,
    failures_in_a_row: u32,
}

impl ModelCache {
    pub(crate) fn new(budget: u64) -> Self {
        Self { budget, entries: Mutex::default() }
    }

    /// The model of this key; `load` makes it if it is not loaded, and says how many bytes its file has.
    /// The answer's second part tells whether it was loaded for this call.
    pub(crate) async fn get_or_load<E>(
        &self,
        key: &ModelKey,
        load: impl AsyncFnOnce() -> Result<(Model, u64), E>,
    ) -> Result<(Model, bool), E> {
        let entry = Arc::clone(lock(&self.entries).entry(key.clone()).or_default());
        let mut slot = entry.model.lock().await;
        if let Some(model) = &*slot {
            lock(&entry.usage).last = Some(Instant::now());
            return Ok((model.clone(), false));
        }
        match load().await {
            Ok((model, bytes)) => {
                *slot = Some(model.clone());
                *lock(&entry.usage) = Usage { bytes, last: Some(Instant::now()), failures_in_a_row: 0 };
                drop(slot);
                self.evict(key);
                Ok((model, true))
            }
            Err(error) => {
                lock(&entry.usage).failures_in_a_row += 1;
                Err(error)
            }
        }
    }

    /// How often in a row this model failed to load.
    pub(crate) fn failures_in_a_row(&self, key: &ModelKey) -> u32 {
        lock(&self.entries).get(key).map_or(0, |entry| lock(&entry.usage).failures_in_a_row)
    }

    pub(crate) fn is_warm(&self, model_id: &str) -> bool {
        lock(&self.entries).iter().any(|(key, entry)| key.0 == model_id && lock(&entry.usage).last.is_some())
    }

    /// `[{"id": …, "state": "ready"}]`, for the fleet's list.
    pub(crate) fn loaded(&self) -> Value {
        let entries = lock(&self.entries);
        let mut ids: Vec<_> = entries
            .iter()
            .filter(|(_, entry)| lock(&entry.usage).last.is_some())
            .map(|(key, _)| key.0.clone())
            .collect();
        ids.sort();
        ids.into_iter().map(|id| json!({"id": id, "state": "ready"})).collect()
    }

    /// Drops the least recently used models until the rest fits; `keep` stays whatever its size.
    fn evict(&self, keep: &ModelKey) {
        let mut entries = lock(&self.entries);
        loop {
            let total: u64 = entries.values().map(|entry| lock(&entry.usage).bytes).sum();
            let oldest = entries
                .iter()
                .filter(|(key, _)| *key != keep)
                .filter_map(|(key, entry)| Some((lock(&entry.usage).last?, key)));
            match oldest.min().map(|(_, key)| key.clone()) {
                Some(key) if total > self.budget => {
                    tracing::info!(model.id = key.0, "model unloaded to make room");
                    entries.remove(&key);
                }
                _ => return,
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one of these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
