//! The store on SQLite: one process owns the file, one writer commits for everybody, readers never wait for it.

#[macro_use]
mod row;

mod api_keys;
mod blobs;
mod block_packages;
mod checkpoint;
mod claims;
mod costs;
#[cfg(test)]
mod durability;
mod effects;
mod ending;
mod engines;
mod events;
mod executions;
mod failures;
mod jobs;
mod keys;
mod lock;
mod models;
mod narrow;
mod open;
mod private;
mod probe;
mod prune;
mod publishers;
mod quotas;
mod records;
mod replay;
mod secrets;
mod store;
mod submit;
mod tenants;
mod usage;
mod versions;
mod workers;
mod workflows;
mod writer;

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use sightflow_types::error::panic_text;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, SqliteConnection, SqlitePool};
use tokio::sync::{Mutex, broadcast, watch};
use tokio::task::JoinHandle;

use self::checkpoint::Log;
use self::lock::FileLock;
use self::probe::Probe;
use self::writer::{BoxFuture, Shared, Tx, Writer, WriterHandle};
use crate::clock::{Clock, SystemClock, Time};
use crate::error::{Result, StoreError};
use crate::signal::Signal;

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
        Self { clock: Arc::new(SystemClock::default()), readers: 4 }
    }
}

/// [`Store`](crate::Store) in one SQLite file.
pub struct SqliteStore {
    writer: Mutex<Option<WriterHandle>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    stop: watch::Sender<bool>,
    readers: SqlitePool,
    signals: broadcast::Sender<Signal>,
    failed: watch::Receiver<Option<String>>,
    time: Arc<Time>,
    log: Arc<Log>,
    probe: Probe,
}

impl SqliteStore {
    /// Opens the file, creates or migrates its schema, and takes it for this process.
    ///
    /// Members of the fleet that an earlier process registered are declared gone: their executions can be taken over and
    /// their jobs rescued at once.
    ///
    /// # Errors
    /// `Locked` when another process has the file, `Schema` when it was made by a newer program or an applied migration
    /// was changed, `Unavailable` when it cannot be opened.
    pub async fn open(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self> {
        let path = path.as_ref();
        let lock = FileLock::acquire(path)?;
        open::create(path)?;
        let connect = SqliteConnectOptions::new()
            .filename(path)
            .page_size(4096)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .pragma("journal_size_limit", "67108864")
            .pragma("cache_size", "-65536")
            // The checkpointer copies the log into the file; no commit does.
            .pragma("wal_autocheckpoint", "0")
            .busy_timeout(Duration::from_secs(5))
            .statement_cache_capacity(256);
        let mut conn = SqliteConnection::connect_with(&connect).await?;
        open::migrate(&mut conn).await?;
        let time = Arc::new(Time::new(options.clock, open::newest_time(&mut conn).await?));
        let checkpointer = SqliteConnection::connect_with(&connect).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(options.readers.max(1))
            .acquire_timeout(Duration::from_secs(5))
            .connect_with(connect.read_only(true))
            .await?;
        let (signals, _) = broadcast::channel(SIGNAL_BUFFER);
        let (fail, failed) = watch::channel(None);
        let (stop, stopped) = watch::channel(false);
        let log = Arc::new(Log::new(path));
        let copying = failing(checkpoint::run(checkpointer, log.clone(), stopped), fail.clone());
        let shared = Shared { time: time.clone(), signals: signals.clone(), failed: fail, log: log.clone() };
        let (handle, writer) = Writer::new(conn, lock, shared);
        let tasks = vec![tokio::spawn(copying), tokio::spawn(writer.run())];
        let store = Self {
            writer: Mutex::new(Some(handle)),
            tasks: Mutex::new(tasks),
            stop,
            readers,
            signals,
            failed,
            time,
            log,
            probe: Probe::new(path),
        };
        store.write(|tx| Box::pin(open::mend(tx))).await?;
        Ok(store)
    }

    /// Runs one logical transaction in the next group commit.
    async fn write<T: Send + 'static>(
        &self,
        work: impl for<'a> FnOnce(&'a mut Tx) -> BoxFuture<'a, Result<T>> + Send + 'static,
    ) -> Result<T> {
        let handle = self.writer.lock().await.clone();
        let result = handle.ok_or_else(|| StoreError::unavailable("the store is closed"))?.run(work).await;
        if let Err(error @ StoreError::Unavailable(_)) = &result {
            self.probe.saw(error);
        }
        result
    }

    async fn shut(&self) {
        *self.writer.lock().await = None;
        self.stop.send_replace(true);
        for task in std::mem::take(&mut *self.tasks.lock().await) {
            if let Err(error) = task.await {
                tracing::error!(error = &error as &dyn std::error::Error, "a task of the store ended badly");
            }
        }
        self.readers.close().await;
    }
}

/// Runs a task of the store. If it panics, the store has failed.
async fn failing(task: impl Future<Output = ()>, failed: watch::Sender<Option<String>>) {
    if let Err(panic) = AssertUnwindSafe(task).catch_unwind().await {
        let reason = panic_text(&*panic);
        tracing::error!(reason, "a task of the store panicked; the store has failed");
        failed.send_replace(Some(reason));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use sightflow_types::Timestamp;

    use super::*;
    use crate::Store;

    async fn insert(tx: &mut Tx, name: &'static str) -> Result<()> {
        sqlx::query("INSERT INTO wf_counters (name, value) VALUES (?1, 1)").bind(name).execute(&mut tx.conn).await?;
        Ok(())
    }

    async fn names(store: &SqliteStore) -> Vec<String> {
        sqlx::query_scalar("SELECT name FROM wf_counters WHERE value = 1 ORDER BY name")
            .fetch_all(&store.readers)
            .await
            .expect("names")
    }

    #[tokio::test]
    async fn a_panic_harms_no_neighbour() {
        let directory = tempfile::tempdir().expect("directory");
        let store = SqliteStore::open(directory.path().join("a.db"), SqliteOptions::default()).await.expect("open");
        let panics = store.write::<()>(|tx| {
            Box::pin(async move {
                insert(tx, "lost").await?;
                panic!("out of cheese")
            })
        });
        let before = store.write(|tx| Box::pin(insert(tx, "before")));
        let after = store.write(|tx| Box::pin(insert(tx, "after")));
        let (before, panicked, after) = tokio::join!(before, panics, after);
        assert!(before.is_ok() && after.is_ok(), "{before:?} {after:?}");
        assert!(matches!(&panicked, Err(StoreError::Internal(why)) if why == "out of cheese"), "{panicked:?}");
        assert!(
            store.write::<()>(|_| panic!("before the first await")).await.is_err(),
            "a closure that panics is a panic too"
        );
        assert_eq!(names(&store).await, ["after", "before"]);
        store.ping().await.expect("the writer goes on");
    }

    /// Panics when it is told to, inside the writer's own work.
    #[derive(Default)]
    struct Broken(SystemClock, AtomicBool);

    impl Clock for Broken {
        fn now(&self) -> Timestamp {
            assert!(!self.1.load(Ordering::SeqCst), "the clock is broken");
            self.0.now()
        }

        fn elapsed(&self) -> Duration {
            self.0.elapsed()
        }
    }

    #[tokio::test]
    async fn a_writer_that_cannot_go_on_is_announced() {
        let directory = tempfile::tempdir().expect("directory");
        let clock = Arc::new(Broken::default());
        let options = SqliteOptions { clock: clock.clone(), ..SqliteOptions::default() };
        let store = SqliteStore::open(directory.path().join("a.db"), options).await.expect("open");
        let failed = store.failed();
        clock.1.store(true, Ordering::SeqCst);
        let lost = store.write(|tx| Box::pin(insert(tx, "lost"))).await;
        assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
        assert_eq!(failed.await, "the clock is broken");
        let next = store.ping().await;
        assert!(matches!(next, Err(StoreError::Unavailable(_))), "{next:?}");
        store.close().await;
    }

    #[tokio::test]
    async fn a_task_that_panics_is_announced() {
        let (fail, failed) = watch::channel(None);
        failing(async { panic!("the log is broken") }, fail.clone()).await;
        assert_eq!(failed.borrow().as_deref(), Some("the log is broken"));
        failing(async {}, fail).await;
        assert_eq!(failed.borrow().as_deref(), Some("the log is broken"), "an end in good order says nothing");
    }
}
