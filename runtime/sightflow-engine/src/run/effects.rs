//! Where calls that reach the outside are recorded.

use async_trait::async_trait;
use sightflow_store::{BegunEffect, EffectEnd, NewEffect};
use sightflow_types::error::RunError;

/// Where calls are recorded: in the store, or nowhere.
#[async_trait]
pub trait EffectLog: Send + Sync {
    /// A call is about to leave.
    ///
    /// # Errors
    /// When that could not be recorded: it does not leave.
    async fn begin(&self, new: NewEffect) -> Result<BegunEffect, RunError>;

    /// What became of the call of this node and item.
    ///
    /// # Errors
    /// When that could not be recorded.
    async fn end(&self, node: &str, item: &str, end: EffectEnd) -> Result<(), RunError>;
}

/// For runs that nobody goes on with: every call is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unrecorded;

#[async_trait]
impl EffectLog for Unrecorded {
    async fn begin(&self, _: NewEffect) -> Result<BegunEffect, RunError> {
        Ok(BegunEffect::Send)
    }

    async fn end(&self, _: &str, _: &str, _: EffectEnd) -> Result<(), RunError> {
        Ok(())
    }
}
