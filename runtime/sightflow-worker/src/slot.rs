//! One slot: claim, run, report, and again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sightflow_models::Device;
use sightflow_store::{ClaimRequest, ClaimedJob, JobLease, StoreError};
use sightflow_supervisor::caught;
use sightflow_types::error::chain;

use crate::Shared;
use crate::batch::{self, Held, Report};
use crate::compute::ComputeThread;
use crate::persist::{AFTER_ERROR, persist};

/// The leases that a slot holds, for its next life if this one panics.
pub(crate) type Left = Arc<Mutex<Vec<JobLease>>>;

/// Works until the stop. Every claim is awaited: a claim happens also when nobody waits for it any more, and what was
/// claimed would then wait for a rescue.
pub(crate) async fn run(shared: Arc<Shared>, number: usize, left: Left) {
    let former = std::mem::take(&mut *left.lock().unwrap_or_else(PoisonError::into_inner));
    release(&shared, former).await;
    let alone = shared.config.device == Device::Cpu;
    let thread = match ComputeThread::start(format!("compute-{number}"), alone) {
        Ok(thread) => thread,
        Err(error) => return tracing::error!(error = chain(&error), "no compute thread could be started"),
    };
    let mut news = shared.news.subscribe();
    let mut held = Vec::new();
    while !shared.stop.is_cancelled() && thread.is_alive() {
        if held.is_empty() {
            let idle = Idle::new(&shared.idle);
            // Seen before the look, so that nothing falls between look and wait.
            news.mark_unchanged();
            held = match look(&shared).await {
                Ok(claimed) => hold(&shared, &left, claimed),
                Err(error) => {
                    tracing::warn!(error = chain(&error), "claiming failed; trying again");
                    pause(&shared).await;
                    continue;
                }
            };
            if held.is_empty() {
                tokio::select! {
                    () = shared.stop.cancelled() => {}
                    _ = news.changed() => {}
                }
            }
            drop(idle);
            continue;
        }
        shared.config.faults.at("worker.slot");
        held = hold(&shared, &left, work(&shared, &thread, held).await);
    }
    release(&shared, held.iter().map(Held::lease).collect()).await;
}

/// Runs a batch and reports it; claims the next one of the same model, if there is one.
async fn work(shared: &Shared, thread: &ComputeThread, held: Vec<Held>) -> Vec<ClaimedJob> {
    let model_id = held[0].job.job.model_id.clone();
    let leases: Vec<JobLease> = held.iter().map(Held::lease).collect();
    let report = match caught(batch::run(shared, thread, held)).await {
        Ok(report) => report,
        Err(panicked) => {
            tracing::error!(error = chain(&panicked), model.id = model_id, "a batch panicked");
            Report::broken(&leases)
        }
    };
    release(shared, report.returned).await;
    // The next claim rides along only while the worker goes on.
    let next = (!shared.stop.is_cancelled() && thread.is_alive()).then(|| request(shared, model_id, shared.idle()));
    if !report.failures.is_empty() {
        persist(shared, "failures", || shared.store.fail_jobs(shared.member.id(), report.failures.clone())).await;
    }
    let claimed = match (report.results.is_empty(), next) {
        (true, _) => Vec::new(),
        (false, Some(next)) => {
            let complete = || shared.store.complete_and_claim(shared.member.id(), report.results.clone(), next.clone());
            persist(shared, "results", complete).await.map(|(_, claimed)| claimed).unwrap_or_default()
        }
        (false, None) => {
            persist(shared, "results", || shared.store.complete_jobs(shared.member.id(), report.results.clone())).await;
            Vec::new()
        }
    };
    shared.member.let_go(&leases);
    claimed
}

/// Hands jobs back that were not computed; they lose no attempt.
async fn release(shared: &Shared, leases: Vec<JobLease>) {
    if leases.is_empty() {
        return;
    }
    persist(shared, "hand-back", || shared.store.release_jobs(shared.member.id(), leases.clone())).await;
    shared.member.let_go(&leases);
}

async fn pause(shared: &Shared) {
    tokio::select! {
        () = shared.stop.cancelled() => {}
        () = tokio::time::sleep(AFTER_ERROR) => {}
    }
}

/// From here on a claim is known: to the heartbeats, and to the slot's next life.
fn hold(shared: &Shared, left: &Left, claimed: Vec<ClaimedJob>) -> Vec<Held> {
    *left.lock().unwrap_or_else(PoisonError::into_inner) = claimed.iter().map(ClaimedJob::lease).collect();
    claimed.into_iter().map(|job| Held { lost: shared.member.hold(&job), job }).collect()
}

fn request(shared: &Shared, model_id: String, others_idle: usize) -> ClaimRequest {
    ClaimRequest {
        // A model that must be loaded first keeps its jobs waiting; they begin when it is there.
        begin: shared.models.is_warm(&model_id),
        model_id,
        // Another slot is free: leave it its share.
        max_count: if others_idle > 0 { 1 } else { shared.config.max_batch.max(1) },
        pixel_budget: shared.config.pixel_budget,
        capped_tenants: Vec::new(),
    }
}

/// Claims from the most urgent model that has something left.
async fn look(shared: &Shared) -> Result<Vec<ClaimedJob>, StoreError> {
    let mut heads = shared.store.job_heads().await?;
    // Urgent first; among equals what is loaded, then what waits longest.
    heads.sort_by_key(|head| (head.rank, !shared.models.is_warm(&head.model_id), head.queued_at));
    for head in heads {
        let request = request(shared, head.model_id, shared.idle().saturating_sub(1));
        let claimed = shared.store.claim_jobs(shared.member.id(), request).await?;
        if !claimed.is_empty() {
            return Ok(claimed);
        }
    }
    Ok(Vec::new())
}

/// Counts a slot as idle while it lives.
struct Idle<'a>(&'a AtomicUsize);

impl<'a> Idle<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
