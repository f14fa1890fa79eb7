//! Waiting for news of an execution: by the store's signals, not by asking again and again.

use std::time::Duration;

use sightflow_store::{Execution, SharedStore, Signal};
use sightflow_types::{ExecutionId, TenantId, event};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

use crate::error::ApiError;
use crate::state::ApiState;

/// Signals about one execution. Subscribe, then read the store, then [`News::next`].
pub(crate) struct News {
    id: ExecutionId,
    signals: broadcast::Receiver<Signal>,
    draining: watch::Receiver<bool>,
}

/// Why a wait ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// Read the store again.
    News,
    /// The server stops; nothing more will come over this connection.
    Stopping,
}

impl News {
    pub(crate) fn of(state: &ApiState, id: ExecutionId) -> Self {
        Self { id, signals: state.store.subscribe(), draining: state.draining() }
    }

    /// Until there may be something new.
    pub(crate) async fn next(&mut self) -> Woken {
        if *self.draining.borrow() {
            return Woken::Stopping;
        }
        loop {
            tokio::select! {
                signal = self.signals.recv() => match signal {
                    Ok(Signal::ExecutionNews(ids) | Signal::Cancelled(ids)) if ids.contains(&self.id) => return Woken::News,
                    Ok(_) => {}
                    // Hints were missed; one of them may have been ours.
                    Err(RecvError::Lagged(_)) => return Woken::News,
                    Err(RecvError::Closed) => return Woken::Stopping,
                },
                // An error means that the state is gone: the server has stopped.
                _ = self.draining.changed() => return Woken::Stopping,
            }
        }
    }
}

/// The execution when it has ended, or as it is after `patience`.
pub(crate) async fn until_terminal(
    state: &ApiState,
    tenant: TenantId,
    id: ExecutionId,
    patience: Duration,
) -> Result<Execution, ApiError> {
    let deadline = Instant::now() + patience;
    let mut news = News::of(state, id);
    let execution = state.store.execution(tenant, id).await?;
    if execution.status.is_terminal() || patience.is_zero() {
        return Ok(execution);
    }
    let mut seq = execution.event_seq;
    while let Ok(Woken::News) = tokio::time::timeout_at(deadline, news.next()).await {
        if ended(&state.store, tenant, id, &mut seq).await? {
            break;
        }
    }
    Ok(state.store.execution(tenant, id).await?)
}

/// Whether the events after `seq` hold the terminal one.
async fn ended(store: &SharedStore, tenant: TenantId, id: ExecutionId, seq: &mut i64) -> Result<bool, ApiError> {
    loop {
        let events = store.events_after(tenant, id, *seq, 1000).await?;
        let Some(last) = events.last() else { return Ok(false) };
        *seq = last.seq;
        if events.iter().any(|event| event::is_terminal(&event.kind)) {
            return Ok(true);
        }
    }
}
