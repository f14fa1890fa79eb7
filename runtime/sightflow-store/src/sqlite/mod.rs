//! The store on SQLite: one process owns the file, one writer commits for everybody, readers never wait for it.

mod blobs;
mod claims;
mod engines;
mod events;
mod executions;
mod failures;
mod jobs;
mod lock;
mod models;
mod row;
mod store;
mod workers;
mod workflows;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sightflow_types::Timestamp;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, SqliteConnection, SqlitePool};
use tokio::sync::{Mutex, broadcast};
use tokio::task::JoinHandle;

use self::lock::FileLock;
use self::writer::{BoxFuture, Tx, Writer, WriterHandle};
use crate::clock::{Clock, SystemClock};
use crate::error::{Result, StoreError};
use crate::signal::Signal;

/// Every migration, in order, with its checksum. Append only.
static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/sqlite");

/// Hints that a slow receiver may lag behind before it has to look at everything.
const SIGNAL_BUFFER: usize = 1024;

/// How to open the store.
#[derive(Clone)]
pub struct SqliteOptions {
    /// Decides about leases, retries and deadlines.
    pub clock: Arc<dyn Clock>,
    /// Connections for reads.
    pub readers: u32,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), readers: 4 }
    }
}

/// [`Store`](crate::Store) in one SQLite file.
pub struct SqliteStore {
    writer: Mutex<Option<WriterHandle>>,
    task: Mutex<Option<JoinHandle<()>>>,
    readers: SqlitePool,
    signals: broadcast::Sender<Signal>,
    clock: Arc<dyn Clock>,
    last_now: Arc<AtomicI64>,
}

impl SqliteStore {
    /// Opens the file, creates or migrates its schema, and takes it for this process.
    ///
    /// Members of the fleet that an earlier process registered are declared gone: their executions can be taken over and
    /// their jobs rescued at once.
    ///
    /// Errors: `Locked` when another process has the file, `Schema` when it was made by a newer program or an applied
    /// migration was changed, `Unavailable` when it cannot be opened.
    pub async fn open(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self> {
        let path = path.as_ref();
        let lock = FileLock::acquire(path)?;
        let connect = SqliteConnectOptions::new()
            .filename(path)
            .page_size(8192)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .pragma("journal_size_limit", "67108864")
            .pragma("cache_size", "-65536")
            .busy_timeout(Duration::from_secs(5))
            .statement_cache_capacity(256);
        let mut conn = SqliteConnection::connect_with(&connect.clone().create_if_missing(true)).await?;
        migrate(&mut conn).await?;
        let last: Option<i64> = sqlx::query_scalar(
            "SELECT max(coalesce((SELECT max(heartbeat_at) FROM wf_workers), 0), coalesce((SELECT max(created_at) FROM wf_executions), 0))",
        )
        .fetch_one(&mut conn)
        .await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(options.readers.max(1))
            .acquire_timeout(Duration::from_secs(5))
            .connect_with(connect.read_only(true))
            .await?;
        let (signals, _) = broadcast::channel(SIGNAL_BUFFER);
        let last_now = Arc::new(AtomicI64::new(last.unwrap_or_default()));
        let (handle, writer) = Writer::new(conn, lock, options.clock.clone(), last_now.clone(), signals.clone());
        let task = tokio::spawn(writer.run());
        let store = Self {
            writer: Mutex::new(Some(handle)),
            task: Mutex::new(Some(task)),
            readers,
            signals,
            clock: options.clock,
            last_now,
        };
        store.write(|tx| Box::pin(workers::all_gone(tx))).await?;
        Ok(store)
    }

    /// Runs one logical transaction in the next group commit.
    async fn write<T: Send + 'static>(
        &self,
        work: impl for<'a> FnOnce(&'a mut Tx) -> BoxFuture<'a, Result<T>> + Send + 'static,
    ) -> Result<T> {
        let handle = self.writer.lock().await.clone();
        handle.ok_or_else(|| StoreError::unavailable("the store is closed"))?.run(work).await
    }

    fn time(&self) -> Timestamp {
        Timestamp::from_millis(self.clock.now().millis().max(self.last_now.load(Ordering::Relaxed)))
    }

    async fn shut(&self) {
        *self.writer.lock().await = None;
        if let Some(task) = self.task.lock().await.take()
            && let Err(error) = task.await
        {
            tracing::error!(error = &error as &dyn std::error::Error, "the writer ended badly");
        }
        self.readers.close().await;
    }
}

async fn migrate(conn: &mut SqliteConnection) -> Result<()> {
    // `run` on a connection makes a future that is not Send; this is what it calls.
    MIGRATIONS.run_direct(None, conn, false).await.map_err(|error| match error {
        MigrateError::VersionMissing(version) => {
            StoreError::Schema(format!("migration {version} is not known here; it was made by a newer program"))
        }
        MigrateError::VersionMismatch(version) => {
            StoreError::Schema(format!("migration {version} was changed after it had been applied"))
        }
        MigrateError::Execute(error) => error.into(),
        other => StoreError::Schema(other.to_string()),
    })
}
