//! What an engine does for everybody: retries that are due, what is overdue or past its time, bytes that nobody refers to.

use std::sync::Arc;
use std::time::Duration;

use sightflow_blobs::BlobError;
use sightflow_store::StoreError;
use sightflow_types::Digest;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::shared::Shared;

/// Between looks at what is due. A retry waits at most this much longer than it must.
const TICK: Duration = Duration::from_millis(500);
/// Ticks between looks for lost workers and for executions past their deadline.
const RESCUE_EVERY: u32 = 10;
/// Ticks between looks for what is past its time.
const PRUNE_EVERY: u32 = 120;
/// Rows that one statement handles.
const PAGE: u32 = 500;
/// Rows that one transaction deletes: whoever writes waits for it.
const PRUNE_PAGE: u32 = 100;
/// Pause between two such transactions.
const PRUNE_PAUSE: Duration = Duration::from_millis(50);
/// Stored bytes that no row knows are deleted at this age: younger ones may be recorded this moment.
const ORPHAN_AGE: Duration = Duration::from_secs(3600);

/// Why a round did not end well.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("the blob store failed")]
    Blobs(#[from] BlobError),
}

pub(super) async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let mut tick = 0_u32;
    while !stop.is_cancelled() {
        if let Err(failure) = round(&shared, tick, &stop).await {
            warn!(error = &failure as &dyn std::error::Error, "housekeeping failed; it tries again");
        }
        tick = tick.wrapping_add(1);
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

async fn round(shared: &Shared, tick: u32, stop: &CancellationToken) -> Result<(), Failure> {
    let store = &shared.parts.store;
    if store.next_due().await?.is_some_and(|due| due <= store.now()) {
        store.promote_due(PAGE).await?;
    }
    if tick.is_multiple_of(RESCUE_EVERY) {
        for job in store.rescue().await? {
            warn!(job.id = %job.job_id, code = job.code, "job taken from a lost worker or past its deadline");
        }
        for execution in store.expire_executions(PAGE).await? {
            warn!(execution.id = %execution, "execution ended: its time is over");
        }
    }
    if tick.is_multiple_of(PRUNE_EVERY) {
        prune(shared, stop).await?;
        delete(shared, store.condemn_blobs(PAGE).await?).await?;
        // A folder a minute: all of them in four hours.
        let folder = u8::try_from(tick / PRUNE_EVERY % 256).unwrap_or_default();
        let stored = shared.parts.blobs.written_before(folder, ORPHAN_AGE).await?;
        delete(shared, store.condemn_unknown(stored).await?).await?;
    }
    Ok(())
}

/// Deletes what is past its time, page by page.
async fn prune(shared: &Shared, stop: &CancellationToken) -> Result<(), Failure> {
    loop {
        let pruned = shared.parts.store.prune(shared.config.retention, PRUNE_PAGE).await?;
        if pruned.executions > 0 || pruned.versions > 0 {
            info!(executions = pruned.executions, versions = pruned.versions, "rows past their time deleted");
        }
        if !pruned.more || stop.is_cancelled() {
            return Ok(());
        }
        tokio::time::sleep(PRUNE_PAUSE).await;
    }
}

/// Deletes the bytes of blobs that nobody can refer to any more.
async fn delete(shared: &Shared, condemned: Vec<Digest>) -> Result<(), Failure> {
    let mut deleted = Vec::with_capacity(condemned.len());
    for digest in condemned {
        match shared.parts.blobs.delete(&digest).await {
            Ok(()) => {
                debug!(blob.digest = %digest, "unreferenced blob deleted");
                deleted.push(digest);
            }
            Err(failure) => {
                let error = &failure as &dyn std::error::Error;
                warn!(error, blob.digest = %digest, "a blob could not be deleted; it is tried again");
            }
        }
    }
    if !deleted.is_empty() {
        shared.parts.store.forget_blobs(deleted).await?;
    }
    Ok(())
}
