//! Signs of life: each second while jobs are held, each five seconds otherwise.

use std::sync::Arc;
use std::time::Duration;

use sightflow_store::Heartbeat;
use tokio::sync::watch;

use crate::Shared;

const BUSY: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(5);

pub(crate) async fn run(shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let mut told = None;
    loop {
        let pause = if shared.member.holding().is_empty() { IDLE } else { BUSY };
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(pause) => {}
        }
        let loaded = shared.models.loaded();
        let beat = Heartbeat {
            worker_id: shared.member.id(),
            memory_free: None,
            models: (told.as_ref() != Some(&loaded)).then(|| loaded.clone()),
            holding: shared.member.holding(),
        };
        match shared.store.heartbeat(beat).await {
            Ok(answer) if answer.alive => {
                told = Some(loaded);
                shared.member.lose(answer.lost);
            }
            Ok(_) => {
                tracing::warn!("this worker was silent too long and was declared gone; it registers anew");
                told = None;
                if let Err(error) = shared.member.register_again(&shared.store, &shared.config).await {
                    tracing::error!(error = %error, "the worker could not register; it tries again");
                }
            }
            Err(error) => tracing::warn!(error = %error, "a heartbeat failed"),
        }
    }
}
