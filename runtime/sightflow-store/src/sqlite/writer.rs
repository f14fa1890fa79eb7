//! The one writer: many logical transactions, one commit.

use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use sightflow_types::error::panic_text;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::checkpoint::{self, Log};
use super::lock::FileLock;
use crate::clock::Time;
use crate::error::{Result, StoreError};
use crate::signal::{Signal, Signals};

/// Most logical transactions in one commit.
const GROUP_SIZE: usize = 256;
/// A group gathers for as long as the last commit took, within these bounds.
const SHORTEST_GROUP: Duration = Duration::from_millis(2);
const LONGEST_GROUP: Duration = Duration::from_millis(20);
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
    /// Runs `work` in its own savepoint and answers after the commit. An error or a panic undoes this work alone.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl for<'a> FnOnce(&'a mut Tx) -> BoxFuture<'a, Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (sender, receiver) = oneshot::channel();
        let message: Work = Box::new(move |tx| {
            Box::pin(async move {
                let result = AssertUnwindSafe(async { work(tx).await }).catch_unwind().await;
                let result = result.unwrap_or_else(|panic| Err(StoreError::Internal(panic_text(&*panic))));
                if let Err(StoreError::Internal(reason)) = &result {
                    tracing::error!(reason, "a transaction panicked; it was rolled back");
                }
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

/// Owns the writing connection and the lock on the file; ends when every handle is gone, or when it cannot go on.
pub(super) struct Writer {
    queue: mpsc::Receiver<Work>,
    tx: Tx,
    time: Arc<Time>,
    signals: broadcast::Sender<Signal>,
    failed: watch::Sender<Option<String>>,
    log: Arc<Log>,
    /// How long the last commit took, and how many transactions it had.
    last: (Duration, usize),
    // Released when the connection is closed: the last field to be dropped.
    lock: FileLock,
}

/// What a writer shares with its store.
pub(super) struct Shared {
    pub(super) time: Arc<Time>,
    pub(super) signals: broadcast::Sender<Signal>,
    pub(super) failed: watch::Sender<Option<String>>,
    pub(super) log: Arc<Log>,
}

impl Writer {
    pub(super) fn new(conn: SqliteConnection, lock: FileLock, shared: Shared) -> (WriterHandle, Self) {
        let Shared { time, signals, failed, log } = shared;
        let (sender, queue) = mpsc::channel(QUEUE_LENGTH);
        let tx = Tx { conn, now: 0, signals: Signals::default() };
        (WriterHandle(sender), Self { queue, tx, time, signals, failed, log, last: (Duration::ZERO, 0), lock })
    }

    /// Works until every handle is gone, then closes the connection and releases the file.
    pub(super) async fn run(mut self) {
        while let Some(first) = self.queue.recv().await {
            let reason = match AssertUnwindSafe(self.group(first)).catch_unwind().await {
                Ok(ControlFlow::Continue(())) => continue,
                Ok(ControlFlow::Break(reason)) => reason,
                Err(panic) => panic_text(&*panic),
            };
            tracing::error!(reason, "the store has failed; it accepts nothing more");
            self.failed.send_replace(Some(reason));
            break;
        }
        if let Err(error) = self.tx.conn.close().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "closing the database failed");
        }
        drop(self.lock);
    }

    async fn group(&mut self, first: Work) -> ControlFlow<String> {
        let started = Instant::now();
        let window = self.last.0.clamp(SHORTEST_GROUP, LONGEST_GROUP);
        self.tx.now = self.time.now().millis();

        let mut answers = Vec::new();
        let mut signals = Signals::default();
        let mut next = Some(first);
        // What stands before the next transaction: the end of the one before, in the same step.
        let mut before = "BEGIN IMMEDIATE; SAVEPOINT work";
        let mut ending = "COMMIT";
        // Work that is dropped without having run answers its caller with `Unavailable`.
        let outcome = loop {
            let Some(work) = next.take() else {
                let commit = Instant::now();
                let outcome = execute(&mut self.tx.conn, ending).await;
                self.last = (commit.elapsed(), answers.len());
                break outcome;
            };
            if let Err(error) = execute(&mut self.tx.conn, before).await {
                break Err(error);
            }
            let settled = work(&mut self.tx).await;
            answers.push(settled.answer);
            let told = std::mem::take(&mut self.tx.signals);
            (before, ending) = if settled.ok {
                signals.merge(told);
                ("RELEASE work; SAVEPOINT work", "RELEASE work; COMMIT")
            } else {
                ("ROLLBACK TO work; RELEASE work; SAVEPOINT work", "ROLLBACK TO work; RELEASE work; COMMIT")
            };
            next = self.more(started, window, answers.len()).await;
        };
        self.settle(outcome, answers, signals).await
    }

    /// The next transaction of this group: what is queued already, or what the callers of the last group, who were just
    /// answered, may be about to send.
    async fn more(&mut self, started: Instant, window: Duration, taken: usize) -> Option<Work> {
        if taken >= GROUP_SIZE || started.elapsed() >= window {
            return None;
        }
        if let Ok(work) = self.queue.try_recv() {
            return Some(work);
        }
        if taken >= self.last.1 {
            return None;
        }
        tokio::time::timeout_at((started + window).into(), self.queue.recv()).await.ok().flatten()
    }

    async fn settle(
        &mut self,
        outcome: sqlx::Result<()>,
        answers: Vec<Answer>,
        signals: Signals,
    ) -> ControlFlow<String> {
        let outcome = outcome.map_err(Arc::new);
        match &outcome {
            Ok(()) => {
                self.log.committed(answers.len());
                for signal in signals.into_signals() {
                    // Without subscribers nobody needs it.
                    let _ = self.signals.send(signal);
                }
            }
            Err(error) => {
                tracing::error!(
                    error = error as &dyn std::error::Error,
                    transactions = answers.len(),
                    "a group commit failed"
                );
                // SQLite may have rolled back by itself; then this fails and changes nothing.
                let _ = execute(&mut self.tx.conn, "ROLLBACK").await;
            }
        }
        let lost = matches!(&outcome, Err(error) if matches!(**error, sqlx::Error::WorkerCrashed));
        for answer in answers {
            answer(outcome.clone());
        }
        if lost {
            return ControlFlow::Break("the connection to the database is gone".to_owned());
        }
        if self.log.is_due() {
            checkpoint::passive(&mut self.tx.conn, &self.log).await;
        }
        ControlFlow::Continue(())
    }
}

async fn execute(conn: &mut SqliteConnection, statement: &'static str) -> sqlx::Result<()> {
    sqlx::query(statement).execute(conn).await.map(|_| ())
}
