//! Signs of life: each second while jobs are held, each five seconds otherwise.

use std::sync::Arc;
use std::time::Duration;

use sightflow_store::Heartbeat;
use sightflow_types::error::chain;

use crate::Shared;

const BUSY: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(5);

pub(crate) async fn run(shared: Arc<Shared>) {
    let mut told = None;
    loop {
        let pause = if shared.member.holding().is_empty() { IDLE } else { BUSY };
        tokio::select! {
            biased;
            () = shared.gone.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        shared.config.faults.at("worker.heartbeat");
        let loaded = shared.models.loaded();
        let beat = Heartbeat {
            worker_id: shared.member.id(),
            memory_free: None,
            models: (told.as_ref() != Some(&loaded)).then(|| loaded.clone()),
            holding: shared.member.holding(),
        };
        match shared.store.heartbeat(beat).await {
            Ok(answer) if answer.alive => {
                shared.health.beat();
                told = Some(loaded);
                shared.member.lose(&answer.lost);
            }
            Ok(_) => {
                tracing::warn!("this worker was silent too long and was declared gone; it registers anew");
                told = None;
                match shared.member.register_again(&shared.store, &shared.config).await {
                    Ok(()) => shared.health.beat(),
                    Err(error) => {
                        tracing::error!(error = chain(&error), "the worker could not register; it tries again");
                    }
                }
            }
            Err(error) => tracing::warn!(error = chain(&error), "a heartbeat failed"),
        }
    }
}
