//! Writing reports to a store that may be away.

use std::time::Duration;

use sightflow_store::StoreError;
use sightflow_types::error::chain;

use crate::Shared;

/// Pause after the store could not answer.
pub(crate) const AFTER_ERROR: Duration = Duration::from_secs(1);
/// Tries to write a report once the worker stops.
const LAST_TRIES: u32 = 3;

/// Writes what was computed: a store that is away for a while must not cost the work. Once it answers otherwise, the leases
/// are left to run out.
pub(crate) async fn persist<T, F: Future<Output = Result<T, StoreError>>>(
    shared: &Shared,
    what: &str,
    write: impl Fn() -> F,
) -> Option<T> {
    let mut last = 0;
    loop {
        match write().await {
            Ok(written) => return Some(written),
            Err(error @ StoreError::Unavailable(_)) if last < LAST_TRIES => {
                tracing::warn!(error = chain(&error), what, "a report could not be written; trying again");
                last += u32::from(shared.stop.is_cancelled());
                tokio::time::sleep(AFTER_ERROR).await;
            }
            Err(error) => {
                tracing::error!(error = chain(&error), what, "a report could not be written; its leases will run out");
                return None;
            }
        }
    }
}
