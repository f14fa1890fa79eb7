//! Waiting for news of an execution: by the store's signals, not by asking again and again.

use std::time::Duration;

use sightflow_store::{Execution, Follower};
use sightflow_types::{ExecutionId, TenantId};
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
    while let Ok(Woken::News) = tokio::time::timeout_at(deadline, news.next()).await {
        if state.store.execution_status(tenant, id).await?.is_terminal() {
            break;
        }
    }
    Ok(state.store.execution(tenant, id).await?)
}
