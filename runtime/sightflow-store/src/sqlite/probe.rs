//! Whether the store can write, asked often and answered at most once a second by the disk.

use std::path::{Path, PathBuf};
use std::sync::{Mutex as Quick, PoisonError};
use std::time::{Duration, Instant};

use sightflow_types::error::chain;
use tokio::sync::Mutex;

use super::SqliteStore;
use crate::error::{Result, StoreError};

/// An answer serves for this long.
const FRESH: Duration = Duration::from_secs(1);

/// A write that failed counts for this long: a row of a few bytes may fit where nothing else does.
const FAILED: Duration = Duration::from_secs(5);

/// What is known about writing.
pub(super) struct Probe {
    path: PathBuf,
    /// The file that is open, as the system names it.
    file: Option<FileId>,
    /// The last answer: when, and why not if it could not write.
    last: Mutex<Option<(Instant, std::result::Result<(), String>)>>,
    /// The last write of anybody that could not be done.
    failed: Quick<Option<(Instant, String)>>,
}

/// Device and number of a file.
type FileId = (u64, u64);

#[cfg(unix)]
fn file_id(path: &Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

#[cfg(not(unix))]
fn file_id(_path: &Path) -> Option<FileId> {
    None
}

impl Probe {
    /// For the file that was just opened at `path`.
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), file: file_id(path), last: Mutex::default(), failed: Quick::default() }
    }

    /// What is written into a file that was moved or deleted is lost with this process.
    fn file_is_there(&self) -> bool {
        file_id(&self.path) == self.file
    }

    /// Remembers a write that could not be done.
    pub(super) fn saw(&self, error: &StoreError) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), chain(error)));
    }

    fn failure(&self) -> Option<String> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.as_ref().filter(|(at, _)| at.elapsed() < FAILED).map(|(_, reason)| reason.clone())
    }
}

pub(super) async fn ping(store: &SqliteStore) -> Result<()> {
    if let Some(reason) = store.probe.failure() {
        return Err(StoreError::unavailable(reason));
    }
    if !store.probe.file_is_there() {
        return Err(StoreError::unavailable("the database file was moved or deleted while it was open"));
    }
    // Who asks while another probe is under way waits for its answer.
    let mut last = store.probe.last.lock().await;
    if let Some((at, answer)) = &*last
        && at.elapsed() < FRESH
    {
        return answer.clone().map_err(StoreError::unavailable);
    }
    let written = store
        .write(|tx| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO wf_probe (id, at) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET at = excluded.at",
                )
                .bind(tx.now)
                .execute(&mut tx.conn)
                .await?;
                Ok(())
            })
        })
        .await;
    let answer = written.as_ref().copied().map_err(|error| chain(error));
    *last = Some((Instant::now(), answer));
    written
}
