//! Signs of life, and what their answers tell: jobs that are lost, and leases that no slot knows.

use std::collections::HashSet;
use std::sync::Arc;

use sightflow_store::{Heartbeat, JobLease};
use sightflow_types::error::chain;

use crate::Shared;

/// Signs of life come this much more often while jobs are held.
const BUSY: u32 = 5;

pub(crate) async fn run(shared: Arc<Shared>) {
    let (mut told, mut unknown) = (None, HashSet::new());
    loop {
        let idle = shared.member.holding().is_empty() && unknown.is_empty();
        let pause = if idle { shared.config.heartbeat } else { shared.config.heartbeat / BUSY };
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
                let seen = answer.not_begun.into_iter().filter(|lease| !shared.member.holds(*lease)).collect();
                give_back(&shared, unknown.intersection(&seen).copied().collect()).await;
                unknown = seen;
            }
            Ok(_) => {
                tracing::warn!("this worker was silent too long and was declared gone; it registers anew");
                (told, unknown) = (None, HashSet::new());
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

/// Gives back what is leased here and no slot knows, seen twice in a row: the first time the answer to its claim may be on
/// its way. If it comes after all, what is computed under these leases is stale.
async fn give_back(shared: &Shared, leases: Vec<JobLease>) {
    if leases.is_empty() {
        return;
    }
    match shared.store.release_jobs(shared.member.id(), leases).await {
        Ok(jobs) => tracing::warn!(jobs = jobs.len(), "jobs given back: they were leased here and no slot knew them"),
        Err(error) => tracing::warn!(error = chain(&error), "cannot give jobs back; it is tried again"),
    }
}
