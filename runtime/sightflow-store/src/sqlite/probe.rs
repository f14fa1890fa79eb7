//! Whether the store can write, asked often and answered at most once a second by the disk.

use std::time::{Duration, Instant};

use sightflow_types::error::chain;
use tokio::sync::Mutex;

use super::SqliteStore;
use crate::error::{Result, StoreError};

/// An answer serves for this long.
const FRESH: Duration = Duration::from_secs(1);

/// The last answer: when, and why not if it could not write.
#[derive(Default)]
pub(super) struct Probe(Mutex<Option<(Instant, std::result::Result<(), String>)>>);

pub(super) async fn ping(store: &SqliteStore) -> Result<()> {
    // Who asks while another probe is under way waits for its answer.
    let mut last = store.probe.0.lock().await;
    if let Some((at, answer)) = &*last
        && at.elapsed() < FRESH
    {
        return answer.clone().map_err(StoreError::unavailable);
    }
    let written = store
        .write(|tx| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO wf_probe (id, at) VALUES (1, ?1) ON CONFLICT (id) DO UPDATE SET at = excluded.at",
                )
                .bind(tx.now)
                .execute(&mut tx.conn)
                .await?;
                Ok(())
            })
        })
        .await;
    let answer = written.as_ref().copied().map_err(|error| chain(error));
    *last = Some((Instant::now(), answer));
    written
}
