//! The one writer: many logical transactions, one commit.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use sqlx::{Connection, SqliteConnection};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::lock::FileLock;
use crate::clock::Clock;
use crate::error::{Result, StoreError};
use crate::signal::{Signal, Signals};

/// Most logical transactions in one commit.
const GROUP_SIZE: usize = 256;
/// A group that has worked this long commits, though more is queued.
const GROUP_TIME: Duration = Duration::from_millis(2);
/// Callers beyond this many wait before they queue.
const QUEUE_LENGTH: usize = 4096;

pub(super) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a logical transaction works with.
pub(super) struct Tx {
    /// The writing connection, inside a savepoint.
    pub(super) conn: SqliteConnection,
    /// The time of this group commit, ms since the epoch. Never goes backwards.
    pub(super) now: i64,
    /// What to tell after the commit.
    pub(super) signals: Signals,
}

type CommitError = Arc<sqlx::Error>;
type Answer = Box<dyn FnOnce(std::result::Result<(), CommitError>) + Send>;

/// A logical transaction that ran and waits for the commit.
struct Settled {
    ok: bool,
    answer: Answer,
}

type Work = Box<dyn for<'a> FnOnce(&'a mut Tx) -> BoxFuture<'a, Settled> + Send>;

/// The writer's door: cheap to clone, closes when the last clone is gone.
#[derive(Clone)]
pub(super) struct WriterHandle(mpsc::Sender<Work>);

impl WriterHandle {
    /// Runs `work` in its own savepoint and answers after the commit. An error undoes this work alone.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl for<'a> FnOnce(&'a mut Tx) -> BoxFuture<'a, Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        let message: Work = Box::new(move |tx| {
            Box::pin(async move {
                let result = work(tx).await;
                let ok = result.is_ok();
                let answer: Answer = Box::new(move |committed| {
                    let result = result.and_then(|value| match committed {
                        Ok(()) => Ok(value),
                        Err(error) => Err(StoreError::unavailable(error)),
                    });
                    // A caller that went away does not need its answer.
                    let _ = sender.send(result);
                });
                Settled { ok, answer }
            })
        });
        self.0.send(message).await.map_err(|_| StoreError::unavailable("the store is closed"))?;
        receiver.await.map_err(|_| StoreError::unavailable("the transaction could not be committed"))?
    }
}

/// Owns the writing connection and the lock on the file; ends when every handle is gone.
pub(super) struct Writer {
    queue: mpsc::Receiver<Work>,
    tx: Tx,
    clock: Arc<dyn Clock>,
    last_now: Arc<AtomicI64>,
    signals: broadcast::Sender<Signal>,
    // Released when the connection is closed: the last field to be dropped.
    lock: FileLock,
}

impl Writer {
    pub(super) fn new(
        conn: SqliteConnection,
        lock: FileLock,
        clock: Arc<dyn Clock>,
        last_now: Arc<AtomicI64>,
        signals: broadcast::Sender<Signal>,
    ) -> (WriterHandle, Self) {
        let (sender, queue) = mpsc::channel(QUEUE_LENGTH);
        let tx = Tx { conn, now: 0, signals: Signals::default() };
        (WriterHandle(sender), Self { queue, tx, clock, last_now, signals, lock })
    }

    /// Works until every handle is gone, then closes the connection and releases the file.
    pub(super) async fn run(mut self) {
        while let Some(first) = self.queue.recv().await {
            self.group(first).await;
        }
        if let Err(error) = self.tx.conn.close().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "closing the database failed");
        }
        drop(self.lock);
    }

    async fn group(&mut self, first: Work) {
        let started = Instant::now();
        self.tx.now = self.clock.now().millis().max(self.last_now.load(Ordering::Relaxed));
        self.last_now.store(self.tx.now, Ordering::Relaxed);

        let mut answers = Vec::new();
        let mut signals = Signals::default();
        let mut outcome = execute(&mut self.tx.conn, "BEGIN IMMEDIATE").await;
        let mut next = Some(first);
        // Work that is dropped without having run answers its caller with `Unavailable`.
        while let (Ok(()), Some(work)) = (&outcome, next.take()) {
            outcome = self.savepoint(work, &mut answers, &mut signals).await;
            if answers.len() < GROUP_SIZE && started.elapsed() < GROUP_TIME && outcome.is_ok() {
                next = self.queue.try_recv().ok();
            }
        }
        let outcome = match outcome {
            Ok(()) => execute(&mut self.tx.conn, "COMMIT").await,
            Err(error) => Err(error),
        };
        let outcome = outcome.map_err(Arc::new);
        if let Err(error) = &outcome {
            tracing::error!(
                error = error as &dyn std::error::Error,
                transactions = answers.len(),
                "a group commit failed"
            );
            // SQLite may have rolled back by itself; then this fails and changes nothing.
            let _ = execute(&mut self.tx.conn, "ROLLBACK").await;
        } else {
            for signal in signals.into_signals() {
                // Without subscribers nobody needs it.
                let _ = self.signals.send(signal);
            }
        }
        for answer in answers {
            answer(outcome.clone());
        }
    }

    /// Runs one logical transaction; an error here means that the whole group is lost.
    async fn savepoint(&mut self, work: Work, answers: &mut Vec<Answer>, signals: &mut Signals) -> sqlx::Result<()> {
        execute(&mut self.tx.conn, "SAVEPOINT work").await?;
        let settled = work(&mut self.tx).await;
        answers.push(settled.answer);
        let told = std::mem::take(&mut self.tx.signals);
        if settled.ok {
            signals.merge(told);
        } else {
            execute(&mut self.tx.conn, "ROLLBACK TO work").await?;
        }
        execute(&mut self.tx.conn, "RELEASE work").await
    }
}

async fn execute(conn: &mut SqliteConnection, statement: &'static str) -> sqlx::Result<()> {
    sqlx::query(statement).execute(conn).await.map(|_| ())
}
