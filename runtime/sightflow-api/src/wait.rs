//! Waiting for news of an execution: by the store's signals, not by asking again and again.

use std::time::Duration;

use sightflow_store::{Execution, Follower, SharedStore};
use sightflow_types::{ExecutionId, TenantId, event};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::ApiError;
use crate::state::ApiState;

/// Signals about one execution. Subscribe, then read the store, then [`News::next`].
pub(crate) struct News {
    follower: Follower,
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
        Self { follower: state.followers.follow(id), draining: state.draining() }
    }

    /// Until there may be something new.
    pub(crate) async fn next(&mut self) -> Woken {
        if *self.draining.borrow() {
            return Woken::Stopping;
        }
        tokio::select! {
            more = self.follower.changed() => if more { Woken::News } else { Woken::Stopping },
            // An error means that the state is gone: the server has stopped.
            _ = self.draining.changed() => Woken::Stopping,
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
