//! What an engine does for everybody: retries that are due, jobs of lost workers, bytes that nobody refers to.

use std::sync::Arc;
use std::time::Duration;

use sightflow_store::StoreError;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::execute::Shared;

/// Between looks at what is due. A retry waits at most this much longer than it must.
const TICK: Duration = Duration::from_millis(500);
/// Ticks between looks for lost workers.
const RESCUE_EVERY: u32 = 10;
/// Ticks between looks for unreferenced blobs.
const SWEEP_EVERY: u32 = 120;
/// Rows that one statement handles.
const PAGE: u32 = 500;

pub(super) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut tick = 0_u32;
    while !stop.is_cancelled() {
        if let Err(failure) = round(&shared, tick).await {
            warn!(error = %failure, "housekeeping failed; it tries again");
        }
        tick = tick.wrapping_add(1);
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

async fn round(shared: &Shared, tick: u32) -> Result<(), StoreError> {
    let store = &shared.parts.store;
    if store.next_due().await?.is_some_and(|due| due <= store.now()) {
        store.promote_due(PAGE).await?;
    }
    if tick.is_multiple_of(RESCUE_EVERY) {
        for job in store.rescue().await? {
            warn!(job.id = %job.job_id, code = job.code, "job taken from a lost worker or past its deadline");
        }
    }
    if tick.is_multiple_of(SWEEP_EVERY) {
        sweep(shared).await?;
    }
    Ok(())
}

/// Deletes blobs in two looks a minute apart, so that one that is referred to again meanwhile stays.
async fn sweep(shared: &Shared) -> Result<(), StoreError> {
    let store = &shared.parts.store;
    store.mark_unreferenced_blobs(PAGE).await?;
    for digest in store.deletable_blobs(PAGE).await? {
        match shared.parts.blobs.delete(&digest).await {
            Ok(()) => {
                store.forget_blob(&digest).await?;
                info!(blob.digest = %digest, "unreferenced blob deleted");
            }
            Err(failure) => {
                warn!(error = %failure, blob.digest = %digest, "a blob could not be deleted; it is tried again");
            }
        }
    }
    Ok(())
}
