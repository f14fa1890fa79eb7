//! What an engine deletes for everybody: rows past their time, bytes that nobody refers to. However much that is, it goes by
//! small pages, and nothing that is due soon waits for it.

use std::sync::Arc;
use std::time::Duration;

use sightflow_blobs::BlobError;
use sightflow_store::StoreError;
use sightflow_types::Digest;
use sightflow_types::error::chain;
use tracing::{debug, info, warn};

use super::shared::Shared;

/// Between looks for what is past its time.
const ROUND: Duration = Duration::from_secs(60);
/// Rows that one transaction deletes: whoever writes waits for it.
const PRUNE_PAGE: u32 = 100;
/// Blobs that are marked at once. Whoever stores one of them anew is told to wait until it is deleted.
const BLOB_PAGE: u32 = 256;
/// Blobs whose rows one transaction drops, right after their bytes.
const FORGET_PAGE: usize = 32;
/// Pause between two pages.
const PAUSE: Duration = Duration::from_millis(50);
/// Stored bytes that no row knows are deleted at this age: younger ones may be recorded this moment.
const ORPHAN_AGE: Duration = Duration::from_secs(3600);

/// Why a step did not end well.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("the blob store failed")]
    Blobs(#[from] BlobError),
}

pub(super) async fn run(shared: Arc<Shared>) {
    // A folder a minute: all of them in four hours.
    for folder in (0..=u8::MAX).cycle() {
        shared.config.faults.at("engine.retention");
        told("rows", prune(&shared).await);
        told("blobs", collect(&shared).await);
        told("bytes without a row", sweep(&shared, folder).await);
        shared.config.faults.at("engine.retained");
        tokio::select! {
            () = shared.stop.cancelled() => return,
            () = tokio::time::sleep(ROUND) => {}
        }
    }
}

/// A step that fails is tried again with the next round, and keeps no other step from its turn.
fn told(step: &'static str, done: Result<(), Failure>) {
    if let Err(failure) = done {
        warn!(step, error = chain(&failure), "deleting what is past its time failed; it is tried again");
    }
}

/// Deletes rows that are past their time, page by page.
async fn prune(shared: &Shared) -> Result<(), Failure> {
    loop {
        let pruned = shared.parts.store.prune(shared.config.retention, PRUNE_PAGE).await?;
        if pruned.executions > 0 || pruned.versions > 0 {
            info!(executions = pruned.executions, versions = pruned.versions, "rows past their time deleted");
        }
        if !pruned.more || shared.stop.is_cancelled() {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Deletes blobs that nobody refers to, page by page.
async fn collect(shared: &Shared) -> Result<(), Failure> {
    loop {
        let condemned = shared.parts.store.condemn_blobs(BLOB_PAGE).await?;
        let full = condemned.len() >= BLOB_PAGE as usize;
        let deleted = delete(shared, &condemned).await?;
        // A page of which nothing could be deleted would come again.
        if !full || deleted == 0 || shared.stop.is_cancelled() {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Deletes stored bytes that no row knows.
async fn sweep(shared: &Shared, folder: u8) -> Result<(), Failure> {
    let stored = shared.parts.blobs.written_before(folder, ORPHAN_AGE).await?;
    delete(shared, &shared.parts.store.condemn_unknown(stored).await?).await?;
    Ok(())
}

/// Deletes the bytes of blobs that nobody can refer to any more, then their rows; how many.
async fn delete(shared: &Shared, condemned: &[Digest]) -> Result<usize, Failure> {
    let mut count = 0;
    for page in condemned.chunks(FORGET_PAGE) {
        let mut deleted = Vec::with_capacity(page.len());
        for digest in page {
            match shared.parts.blobs.delete(digest).await {
                Ok(()) => {
                    debug!(blob.digest = %digest, "unreferenced blob deleted");
                    deleted.push(*digest);
                }
                Err(failure) => {
                    warn!(error = chain(&failure), blob.digest = %digest, "a blob could not be deleted; it is tried again");
                }
            }
        }
        if !deleted.is_empty() {
            count += deleted.len();
            shared.parts.store.forget_blobs(deleted).await?;
        }
    }
    Ok(count)
}
