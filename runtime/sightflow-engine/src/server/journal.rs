//! Events and records of one execution, written in batches so that a logic node does not cost a transaction.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use sightflow_store::{Append, NewEvent, NodeRecord, Store, StoreError};
use sightflow_types::error::chain;
use sightflow_types::event;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::handle::Handle;
use crate::run::{Observer, Record, Report, Run};
use crate::weight::weigh;

/// Largest payload that the store takes, with room to spare.
const MAX_PAYLOAD: usize = 15 << 10;

/// Pause after the store could not write.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Between two writes: a commit costs more than the events in it.
const WRITE_EVERY: Duration = Duration::from_millis(100);

/// While nodes settle one after another, progress and their records are written this often.
const REPORT_EVERY: Duration = Duration::from_millis(250);

/// What happened and was not written yet. Whoever ends the execution takes what is left.
pub(super) struct Journal {
    store: Arc<dyn Store>,
    handle: Arc<Handle>,
    pages: Mutex<Pages>,
    wake: Notify,
}

#[derive(Default)]
struct Pages {
    events: Vec<NewEvent>,
    pins: Option<Value>,
    /// The run has something to report.
    changed: bool,
    /// When something was last written.
    wrote: Option<Instant>,
    /// When the last report was written.
    reported: Option<Instant>,
    /// A report that could not be written.
    left: Option<Report>,
}

/// What a journal has left, for the transaction that ends the execution.
pub(super) struct Rest {
    pub(super) events: Vec<NewEvent>,
    pub(super) records: Vec<NodeRecord>,
    pub(super) block_cpu_us: u64,
    pub(super) pins: Option<Value>,
}

impl Journal {
    /// `pins` and `events` go with the first write.
    pub(super) fn new(
        store: Arc<dyn Store>,
        handle: Arc<Handle>,
        pins: Option<Value>,
        events: Vec<NewEvent>,
    ) -> Arc<Self> {
        let pages = Mutex::new(Pages { pins, events, ..Pages::default() });
        Arc::new(Self { store, handle, pages, wake: Notify::new() })
    }

    /// Writes what happens in `run` until `closing` fires.
    ///
    /// # Errors
    /// `StaleLease`, which also fires the handle's `lost`.
    pub(super) async fn keep(
        &self,
        run: &Run,
        linger: Duration,
        closing: &CancellationToken,
    ) -> Result<(), StoreError> {
        loop {
            tokio::select! {
                biased;
                () = closing.cancelled() => return Ok(()),
                () = self.wake.notified() => {}
                () = self.report_due() => {}
            }
            // Let the events of quick nodes gather; and of all nodes, once the first have been told.
            let pause =
                self.lock().wrote.map_or(linger, |wrote| linger.max(WRITE_EVERY.saturating_sub(wrote.elapsed())));
            tokio::select! {
                biased;
                () = closing.cancelled() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
            match self.write(run, false).await {
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
                        () = closing.cancelled() => return Ok(()),
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
    pub(super) async fn flush(&self, run: &Run) -> Result<(), StoreError> {
        self.write(run, true).await
    }

    /// Takes what is left, with the last report.
    pub(super) fn rest(&self, last: Report) -> Rest {
        let mut pages = self.lock();
        let report = merge(pages.left.take(), last);
        let mut events = std::mem::take(&mut pages.events);
        events.push(progressed(report.progress));
        let records = report.records.into_iter().map(of_record).collect();
        Rest { events, records, block_cpu_us: report.block_cpu_us, pins: pages.pins.take() }
    }

    /// Resolves when a report that was held back may be written; never while there is none.
    async fn report_due(&self) {
        let due = {
            let pages = self.lock();
            pages.reported.filter(|_| pages.changed).map(|written| written + REPORT_EVERY)
        };
        match due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    async fn write(&self, run: &Run, all: bool) -> Result<(), StoreError> {
        let reports = {
            let mut pages = self.lock();
            let early = pages.reported.is_some_and(|written| written.elapsed() < REPORT_EVERY);
            let reports = pages.changed && (all || !early);
            pages.changed &= !reports;
            reports
        };
        // Asked for without the lock: the run tells its events under its own.
        let fresh = reports.then(|| run.report());
        let (events, report, pins) = {
            let mut pages = self.lock();
            let report = match (pages.left.take(), fresh) {
                (left, Some(fresh)) => Some(merge(left, fresh)),
                (left, None) => left,
            };
            (std::mem::take(&mut pages.events), report, pages.pins.take())
        };
        if events.is_empty() && report.is_none() && pins.is_none() {
            return Ok(());
        }
        let append = Append {
            events: events
                .iter()
                .cloned()
                .chain(report.iter().map(|report| progressed(report.progress.clone())))
                .collect(),
            records: report.iter().flat_map(|report| report.records.iter().cloned().map(of_record)).collect(),
            progress: report.as_ref().map(|report| report.progress.clone()),
            block_cpu_us: report.as_ref().map_or(0, |report| report.block_cpu_us),
            pins: pins.clone(),
        };
        let reported = append.progress.is_some();
        let written = self.store.append_events(self.handle.lease, append).await;
        let mut pages = self.lock();
        if written.is_err() {
            let newer = std::mem::replace(&mut pages.events, events);
            pages.events.extend(newer);
            pages.left = report;
            pages.pins = pages.pins.take().or(pins);
        } else {
            pages.wrote = Some(Instant::now());
            pages.reported = pages.wrote.filter(|_| reported).or(pages.reported);
        }
        written
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two reports as one. Of two records of one node and item the later stands behind the earlier.
fn merge(earlier: Option<Report>, later: Report) -> Report {
    let Some(mut earlier) = earlier else { return later };
    earlier.records.extend(later.records);
    earlier.block_cpu_us += later.block_cpu_us;
    Report { progress: later.progress, ..earlier }
}

fn progressed(progress: Value) -> NewEvent {
    NewEvent { kind: event::EXECUTION_PROGRESS.to_owned(), payload: progress }
}

fn of_record(record: Record) -> NodeRecord {
    let Record { node_id, item_path, record } = record;
    NodeRecord { node_id, item_path, record }
}

impl Observer for Journal {
    fn listens(&self) -> bool {
        true
    }

    fn event(&self, kind: &'static str, payload: Value) {
        // Text is at most six times as long as what it says, so most payloads need not be written to be measured.
        let small = weigh(&payload) < MAX_PAYLOAD as u64 / 6;
        let payload = if small || payload.to_string().len() <= MAX_PAYLOAD {
            payload
        } else {
            json!({"node_id": payload.get("node_id"), "item": payload.get("item"), "truncated": true})
        };
        self.lock().events.push(NewEvent { kind: kind.to_owned(), payload });
        self.wake.notify_one();
    }

    fn changed(&self) {
        self.lock().changed = true;
        self.wake.notify_one();
    }
}
