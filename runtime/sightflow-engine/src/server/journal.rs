//! Events of one execution, written in batches so that a logic node does not cost a transaction.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use sightflow_store::{Append, NewEvent, Progress, Store, StoreError};
use sightflow_types::error::chain;
use sightflow_types::event;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::hub::Handle;
use crate::run::Observer;

/// Largest payload that the store takes, with room to spare.
const MAX_PAYLOAD: usize = 15 << 10;

/// Pause after the store could not write.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The store takes the record of every node at once, so while nodes settle one after another they are written this often.
const METRICS_EVERY: Duration = Duration::from_millis(250);

/// What happened and was not written yet. Whoever ends the execution takes what is left.
pub(super) struct Journal {
    store: Arc<dyn Store>,
    handle: Arc<Handle>,
    pages: Mutex<Pages>,
    wake: Notify,
    closing: CancellationToken,
}

#[derive(Default)]
struct Pages {
    events: Vec<NewEvent>,
    metrics: Map<String, Value>,
    progress: Option<Value>,
    pins: Option<Value>,
    /// When metrics were last written.
    written: Option<Instant>,
}

impl Journal {
    /// `pins` and `events` go with the first write.
    pub(super) fn new(
        store: Arc<dyn Store>,
        handle: Arc<Handle>,
        pins: Option<Value>,
        events: Vec<NewEvent>,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            handle,
            pages: Mutex::new(Pages { pins, events, ..Pages::default() }),
            wake: Notify::new(),
            closing: CancellationToken::new(),
        })
    }

    /// Ends [`Journal::keep`]; what was not written stays for [`Journal::rest`].
    pub(super) fn close(&self) {
        self.closing.cancel();
    }

    /// Writes what happens until the journal is closed.
    ///
    /// # Errors
    /// `StaleLease`, which also fires the handle's `lost`.
    pub(super) async fn keep(&self, linger: Duration) -> Result<(), StoreError> {
        loop {
            tokio::select! {
                biased;
                () = self.closing.cancelled() => return Ok(()),
                () = self.wake.notified() => {}
                () = self.metrics_due() => {}
            }
            // Let the events of quick nodes gather.
            tokio::select! {
                biased;
                () = self.closing.cancelled() => return Ok(()),
                () = tokio::time::sleep(linger) => {}
            }
            match self.write(false).await {
                Ok(()) => {}
                Err(StoreError::StaleLease) => {
                    self.handle.lost.cancel();
                    return Err(StoreError::StaleLease);
                }
                // Nothing was recorded; the batch was put back for the next time.
                Err(failure) => {
                    tracing::warn!(execution.id = %self.handle.lease.execution_id, error = chain(&failure), "events wait to be written");
                    self.wake.notify_one();
                    tokio::select! {
                        () = self.closing.cancelled() => return Ok(()),
                        () = tokio::time::sleep(RETRY_PAUSE) => {}
                    }
                }
            }
        }
    }

    /// Writes everything that is left.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn flush(&self) -> Result<(), StoreError> {
        self.write(true).await
    }

    /// Takes the events and pins that are left, for the transaction that ends the execution.
    pub(super) fn rest(&self) -> (Vec<NewEvent>, Option<Value>) {
        let mut pages = self.lock();
        let mut events = std::mem::take(&mut pages.events);
        events.extend(pages.progress.take().map(progressed));
        (events, pages.pins.take())
    }

    /// Resolves when metrics that were held back may be written; never while there are none.
    async fn metrics_due(&self) {
        let due = {
            let pages = self.lock();
            pages.progress.as_ref().and(pages.written).map(|written| written + METRICS_EVERY)
        };
        match due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    async fn write(&self, all: bool) -> Result<(), StoreError> {
        let append = {
            let mut pages = self.lock();
            let fresh = pages.written.is_some_and(|written| written.elapsed() < METRICS_EVERY);
            let progress = if fresh && !all { None } else { pages.progress.take() };
            let progress =
                progress.map(|progress| Progress { progress, node_metrics: Value::Object(pages.metrics.clone()) });
            Append { events: std::mem::take(&mut pages.events), progress, pins: pages.pins.take() }
        };
        if append.events.is_empty() && append.progress.is_none() && append.pins.is_none() {
            return Ok(());
        }
        let (events, pins) = (append.events.clone(), append.pins.clone());
        let progress = append.progress.as_ref().map(|progress| progress.progress.clone());
        let mut append = append;
        append.events.extend(progress.clone().map(progressed));
        let written = self.store.append_events(self.handle.lease, append).await;
        let mut pages = self.lock();
        if written.is_err() {
            let newer = std::mem::replace(&mut pages.events, events);
            pages.events.extend(newer);
            pages.progress = pages.progress.take().or(progress);
            pages.pins = pages.pins.take().or(pins);
        } else if progress.is_some() {
            pages.written = Some(Instant::now());
        }
        written
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn progressed(progress: Value) -> NewEvent {
    NewEvent { kind: event::EXECUTION_PROGRESS.to_owned(), payload: progress }
}

impl Observer for Journal {
    fn listens(&self) -> bool {
        true
    }

    fn event(&self, kind: &'static str, payload: Value) {
        let payload = if payload.to_string().len() > MAX_PAYLOAD {
            json!({"node_id": payload.get("node_id"), "truncated": true})
        } else {
            payload
        };
        self.lock().events.push(NewEvent { kind: kind.to_owned(), payload });
        self.wake.notify_one();
    }

    fn node(&self, node_id: &str, metrics: Value) {
        self.lock().metrics.insert(node_id.to_owned(), metrics);
    }

    fn progress(&self, progress: Value) {
        self.lock().progress = Some(progress);
        self.wake.notify_one();
    }
}
