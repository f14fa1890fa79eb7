//! Events of one execution, written in batches so that a logic node does not cost a transaction.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use sightflow_store::{Append, NewEvent, NodeRecord, Store, StoreError};
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

/// While nodes settle one after another, progress and their records are written this often.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

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
    /// Records that were not written yet, by node.
    fresh: BTreeMap<String, Value>,
    /// Records as they were written last, by node.
    written: BTreeMap<String, Value>,
    progress: Option<Value>,
    pins: Option<Value>,
    /// When progress was last written.
    progressed: Option<Instant>,
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
                () = self.progress_due() => {}
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

    /// Takes the events, pins and records that are left, for the transaction that ends the execution; `last` are the records
    /// of all nodes.
    pub(super) fn rest(&self, last: Map<String, Value>) -> (Vec<NewEvent>, Option<Value>, Vec<NodeRecord>) {
        let mut pages = self.lock();
        let mut events = std::mem::take(&mut pages.events);
        events.extend(pages.progress.take().map(progressed));
        let changed = last.into_iter().filter(|(node, record)| pages.written.get(node) != Some(record));
        let changed = changed.map(|(node, record)| of_node(node, record)).collect();
        (events, pages.pins.take(), changed)
    }

    /// Resolves when progress that was held back may be written; never while there is none.
    async fn progress_due(&self) {
        let due = {
            let pages = self.lock();
            pages.progress.as_ref().and(pages.progressed).map(|written| written + PROGRESS_EVERY)
        };
        match due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    async fn write(&self, all: bool) -> Result<(), StoreError> {
        let (events, fresh, progress, pins) = {
            let mut pages = self.lock();
            let early = pages.progressed.is_some_and(|written| written.elapsed() < PROGRESS_EVERY);
            let held_back = early && !all;
            let progress = if held_back { None } else { pages.progress.take() };
            let fresh = if held_back { BTreeMap::new() } else { std::mem::take(&mut pages.fresh) };
            (std::mem::take(&mut pages.events), fresh, progress, pages.pins.take())
        };
        if events.is_empty() && fresh.is_empty() && progress.is_none() && pins.is_none() {
            return Ok(());
        }
        let append = Append {
            events: events.iter().cloned().chain(progress.clone().map(progressed)).collect(),
            records: fresh.iter().map(|(node, record)| of_node(node.clone(), record.clone())).collect(),
            progress: progress.clone(),
            block_cpu_us: 0,
            pins: pins.clone(),
        };
        let written = self.store.append_events(self.handle.lease, append).await;
        let mut pages = self.lock();
        if written.is_err() {
            let newer = std::mem::replace(&mut pages.events, events);
            pages.events.extend(newer);
            for (node, record) in fresh {
                pages.fresh.entry(node).or_insert(record);
            }
            pages.progress = pages.progress.take().or(progress);
            pages.pins = pages.pins.take().or(pins);
        } else {
            pages.written.extend(fresh);
            if progress.is_some() {
                pages.progressed = Some(Instant::now());
            }
        }
        written
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of_node(node_id: String, record: Value) -> NodeRecord {
    NodeRecord { node_id, item_path: String::new(), record }
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
        self.lock().fresh.insert(node_id.to_owned(), metrics);
    }

    fn progress(&self, progress: Value) {
        self.lock().progress = Some(progress);
        self.wake.notify_one();
    }
}
