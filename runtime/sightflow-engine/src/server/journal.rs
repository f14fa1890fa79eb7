//! Events of one execution, written in batches so that a logic node does not cost a transaction.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use sightflow_store::{Append, NewEvent, Progress, Store, StoreError};
use sightflow_types::event;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::hub::Handle;
use crate::run::Observer;

/// Largest payload that the store takes, with room to spare.
const MAX_PAYLOAD: usize = 15 << 10;

/// Pause after the store could not write.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Journal {
    store: Arc<dyn Store>,
    handle: Arc<Handle>,
    pages: Mutex<Pages>,
    wake: Notify,
    closing: CancellationToken,
    writer: Mutex<Option<tokio::task::JoinHandle<Result<(), StoreError>>>>,
}

#[derive(Default)]
struct Pages {
    events: Vec<NewEvent>,
    metrics: Map<String, Value>,
    progress: Option<Value>,
}

impl Journal {
    pub(super) fn start(store: Arc<dyn Store>, handle: Arc<Handle>, linger: Duration) -> Arc<Self> {
        let journal = Arc::new(Self {
            store,
            handle,
            pages: Mutex::new(Pages::default()),
            wake: Notify::new(),
            closing: CancellationToken::new(),
            writer: Mutex::new(None),
        });
        let writer = tokio::spawn(Arc::clone(&journal).write_until_closed(linger));
        *journal.writer.lock().unwrap_or_else(PoisonError::into_inner) = Some(writer);
        journal
    }

    /// Writes what is left and ends the writer.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        self.closing.cancel();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        match writer {
            Some(writer) => writer.await.unwrap_or(Ok(())),
            None => Ok(()),
        }
    }

    async fn write_until_closed(self: Arc<Self>, linger: Duration) -> Result<(), StoreError> {
        loop {
            let closing = tokio::select! {
                biased;
                () = self.closing.cancelled() => true,
                () = self.wake.notified() => {
                    // Let the events of quick nodes gather.
                    tokio::select! {
                        () = self.closing.cancelled() => true,
                        () = tokio::time::sleep(linger) => false,
                    }
                }
            };
            match self.write().await {
                Ok(()) => {}
                Err(StoreError::StaleLease) => {
                    self.handle.lost.cancel();
                    return Err(StoreError::StaleLease);
                }
                // Nothing was recorded; the batch was put back for the next time.
                Err(failure) if closing => return Err(failure),
                Err(failure) => {
                    tracing::warn!(execution.id = %self.handle.lease.execution_id, error = %failure, "events wait to be written");
                    self.wake.notify_one();
                    tokio::select! {
                        () = self.closing.cancelled() => {}
                        () = tokio::time::sleep(RETRY_PAUSE) => {}
                    }
                }
            }
            if closing {
                return Ok(());
            }
        }
    }

    async fn write(&self) -> Result<(), StoreError> {
        let (mut events, progress) = {
            let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
            let progress = pages
                .progress
                .take()
                .map(|progress| Progress { progress, node_metrics: Value::Object(pages.metrics.clone()) });
            (std::mem::take(&mut pages.events), progress)
        };
        if events.is_empty() && progress.is_none() {
            return Ok(());
        }
        let kept = events.clone();
        if let Some(progress) = &progress {
            events.push(NewEvent { kind: event::EXECUTION_PROGRESS.to_owned(), payload: progress.progress.clone() });
        }
        let backup = progress.as_ref().map(|progress| progress.progress.clone());
        let written = self.store.append_events(self.handle.lease, Append { events, progress, pins: None }).await;
        if written.is_err() {
            let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
            let newer = std::mem::replace(&mut pages.events, kept);
            pages.events.extend(newer);
            pages.progress = pages.progress.take().or(backup);
        }
        written
    }
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
        self.pages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .events
            .push(NewEvent { kind: kind.to_owned(), payload });
        self.wake.notify_one();
    }

    fn node(&self, node_id: &str, metrics: Value) {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).metrics.insert(node_id.to_owned(), metrics);
    }

    fn progress(&self, progress: Value) {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).progress = Some(progress);
        self.wake.notify_one();
    }
}
