//! Copies the write-ahead log into the database file, beside the writer, so that no commit pays for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sqlx::{Connection, SqliteConnection};
use tokio::sync::{Notify, watch};

use crate::store::StoreStatistics;

/// Commits gather in the log for this long.
const PAUSE: Duration = Duration::from_secs(1);
/// A log longer than this (32 MiB) starts again from its beginning: the writer copies the last of it between two groups.
const LONG_FRAMES: i64 = 4_096;
/// A log file longer than this is copied at once, whoever waits for it.
const HUGE_BYTES: u64 = 64 << 20;
/// Without commits for this long, the log's file is emptied.
const IDLE: Duration = Duration::from_secs(5);

/// What is known about the log.
pub(super) struct Log {
    /// The log's file.
    path: PathBuf,
    commits: AtomicU64,
    transactions: AtomicU64,
    checkpoints: AtomicU64,
    news: Notify,
    /// Set when only the writer itself can let the log start again.
    wants_restart: AtomicBool,
}

impl Log {
    /// Of this database file.
    pub(super) fn new(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        Self {
            path: path.into(),
            commits: AtomicU64::new(0),
            transactions: AtomicU64::new(0),
            checkpoints: AtomicU64::new(0),
            news: Notify::new(),
            wants_restart: AtomicBool::new(false),
        }
    }

    /// Whether the writer should copy the log now, between two groups. Its file never shrinks below what SQLite keeps of it
    /// when it starts again, which is less than the bound.
    pub(super) fn is_due(&self) -> bool {
        let huge = std::fs::metadata(&self.path).is_ok_and(|file| file.len() > HUGE_BYTES);
        self.wants_restart.swap(false, Ordering::Relaxed) || huge
    }

    pub(super) fn committed(&self, transactions: usize) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.transactions.fetch_add(transactions as u64, Ordering::Relaxed);
        self.news.notify_one();
    }

    pub(super) fn statistics(&self) -> StoreStatistics {
        StoreStatistics {
            commits: self.commits.load(Ordering::Relaxed),
            transactions: self.transactions.load(Ordering::Relaxed),
            checkpoints: self.checkpoints.load(Ordering::Relaxed),
        }
    }
}

/// Copies what it can without waiting for anybody; how many frames the log has, or none if that failed.
pub(super) async fn passive(conn: &mut SqliteConnection, log: &Log) -> Option<i64> {
    run_pragma(conn, log, "PRAGMA wal_checkpoint(PASSIVE)").await
}

async fn run_pragma(conn: &mut SqliteConnection, log: &Log, pragma: &'static str) -> Option<i64> {
    let answer: sqlx::Result<(i64, i64, i64)> = sqlx::query_as(pragma).fetch_one(conn).await;
    match answer {
        Ok((_, frames, _)) => {
            log.checkpoints.fetch_add(1, Ordering::Relaxed);
            Some(frames)
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "copying the log into the database failed");
            None
        }
    }
}

/// Works until `stop` is set or its sender is gone.
pub(super) async fn run(mut conn: SqliteConnection, log: Arc<Log>, mut stop: watch::Receiver<bool>) {
    let work = async {
        loop {
            log.news.notified().await;
            tokio::time::sleep(PAUSE).await;
            if passive(&mut conn, &log).await.is_some_and(|frames| frames > LONG_FRAMES) {
                log.wants_restart.store(true, Ordering::Relaxed);
            }
            if tokio::time::timeout(IDLE, log.news.notified()).await.is_err() {
                run_pragma(&mut conn, &log, "PRAGMA wal_checkpoint(TRUNCATE)").await;
            } else {
                log.news.notify_one();
            }
        }
    };
    tokio::select! {
        () = work => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    // A connection that cannot be closed is closed with the process.
    let _ = conn.close().await;
}
