//! One slot: claim, run, report, and again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sightflow_models::Device;
use sightflow_store::{ClaimRequest, ClaimedJob, Signal, StoreError};
use tokio::sync::broadcast::Receiver;
use tokio::sync::watch;

use crate::Shared;
use crate::batch::{self, Report};
use crate::compute::ComputeThread;

/// Pause after the store refused to answer.
const AFTER_ERROR: Duration = Duration::from_secs(1);
/// Looking without a hint: hints can be lost between processes.
const FALLBACK: Duration = Duration::from_secs(30);

pub(crate) async fn run(shared: Arc<Shared>, number: usize, mut stopped: watch::Receiver<bool>) {
    let alone = shared.config.device == Device::Cpu;
    let thread = match ComputeThread::start(format!("compute-{number}"), alone) {
        Ok(thread) => thread,
        Err(error) => {
            tracing::error!(error = %error, "no compute thread could be started; this slot stays closed");
            return;
        }
    };
    // Subscribed before the first look, so that nothing falls between look and wait.
    let mut signals = shared.store.subscribe();
    let mut claimed = Vec::new();
    while !*stopped.borrow() {
        if claimed.is_empty() {
            shared.idle.fetch_add(1, Ordering::Relaxed);
            let waited = tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => Ok(Vec::new()),
                claim = wait_for_jobs(&shared, &mut signals) => claim,
            };
            shared.idle.fetch_sub(1, Ordering::Relaxed);
            claimed = match waited {
                Ok(jobs) => jobs,
                Err(error) => {
                    tracing::warn!(error = %error, "claiming failed; trying again");
                    tokio::time::sleep(AFTER_ERROR).await;
                    continue;
                }
            };
            continue;
        }
        let model_id = claimed[0].job.model_id.clone();
        let jobs: Vec<_> = claimed.iter().map(|claimed| claimed.job.id).collect();
        shared.member.hold(jobs.iter().copied());
        let report = batch::run(&shared, &thread, std::mem::take(&mut claimed)).await;
        // The next claim rides along only while the worker goes on.
        let next = (!*stopped.borrow()).then(|| request(&shared, model_id));
        claimed = record(&shared, report, next).await;
        shared.member.let_go(jobs.into_iter());
    }
}

/// Writes what a batch gave; claims the next one of the same model in the same transaction.
async fn record(shared: &Shared, report: Report, next: Option<ClaimRequest>) -> Vec<ClaimedJob> {
    let worker = shared.member.id();
    if !report.failures.is_empty()
        && let Err(error) = shared.store.fail_jobs(worker, report.failures).await
    {
        tracing::error!(error = %error, "failures could not be recorded; their leases will run out");
    }
    let answer = match (report.results.is_empty(), next) {
        (true, _) => return Vec::new(),
        (false, Some(next)) => shared.store.complete_and_claim(worker, report.results, next).await,
        (false, None) => {
            shared.store.complete_jobs(worker, report.results).await.map(|recorded| (recorded, Vec::new()))
        }
    };
    match answer {
        Ok((_, claimed)) => claimed,
        Err(error) => {
            tracing::error!(error = %error, "results could not be recorded; their leases will run out");
            Vec::new()
        }
    }
}

fn request(shared: &Shared, model_id: String) -> ClaimRequest {
    // Another slot is free: leave it its share.
    let share = shared.idle.load(Ordering::Relaxed) > 0;
    ClaimRequest {
        model_id,
        max_count: if share { 1 } else { shared.config.max_batch.max(1) },
        pixel_budget: shared.config.pixel_budget,
        capped_tenants: Vec::new(),
        begin: true,
    }
}

/// Looks for jobs, then waits for a hint, until there are some.
async fn wait_for_jobs(shared: &Shared, signals: &mut Receiver<Signal>) -> Result<Vec<ClaimedJob>, StoreError> {
    loop {
        let mut heads = shared.store.job_heads().await?;
        // Urgent first; among equals what is loaded, then what waits longest.
        heads.sort_by_key(|head| (head.rank, !shared.models.is_warm(&head.model_id), head.queued_at));
        for head in heads {
            shared.idle.fetch_sub(1, Ordering::Relaxed);
            let request = request(shared, head.model_id);
            shared.idle.fetch_add(1, Ordering::Relaxed);
            let claimed = shared.store.claim_jobs(shared.member.id(), request).await?;
            if !claimed.is_empty() {
                return Ok(claimed);
            }
        }
        // A closed channel means that the store is gone; the next look says so.
        let _ = tokio::time::timeout(FALLBACK, jobs_ready(signals)).await;
    }
}

async fn jobs_ready(signals: &mut Receiver<Signal>) {
    // Anything but another kind of news is a reason to look: jobs, a lag, a closed channel.
    while matches!(signals.recv().await, Ok(signal) if !matches!(signal, Signal::JobsReady(_))) {}
}
