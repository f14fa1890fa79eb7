//! Calls that reach the outside, recorded in the store.

use std::sync::Arc;

use async_trait::async_trait;
use sightflow_store::{BegunEffect, EffectEnd, NewEffect, Store};
use sightflow_types::error::RunError;

use super::asking::ask;
use super::handle::Handle;
use crate::run::EffectLog;

pub(super) struct StoreEffects {
    store: Arc<dyn Store>,
    handle: Arc<Handle>,
}

impl StoreEffects {
    pub(super) fn new(store: Arc<dyn Store>, handle: Arc<Handle>) -> Self {
        Self { store, handle }
    }
}

#[async_trait]
impl EffectLog for StoreEffects {
    async fn begin(&self, new: NewEffect) -> Result<BegunEffect, RunError> {
        ask(&self.handle, "the record of a call", || self.store.begin_effect(self.handle.lease, new.clone())).await
    }

    async fn end(&self, node: &str, item: &str, end: EffectEnd) -> Result<(), RunError> {
        let lease = self.handle.lease;
        ask(&self.handle, "the record of a call", || self.store.end_effect(lease, node, item, end.clone())).await
    }
}
