//! Inference jobs through the store: enqueued once, waited for by wake-ups, answered from their rows.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use sightflow_store::{Job, NewJob, Store, StoreError};
use sightflow_types::error::{RunError, chain, code};
use sightflow_types::{JobId, JobStatus};
use tracing::warn;

use super::hub::Handle;
use crate::run::{JobOutcome, JobRequest, JobRunner};

/// Pause after the store could not answer.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct StoreJobs {
    store: Arc<dyn Store>,
    handle: Arc<Handle>,
    timeout_ms: u32,
}

impl StoreJobs {
    pub(super) fn new(store: Arc<dyn Store>, handle: Arc<Handle>, timeout_ms: u32) -> Self {
        Self { store, handle, timeout_ms }
    }

    /// Asks the store until it can answer: one that is away for a while costs no execution. The walk's own end stops this.
    async fn ask<T, F: Future<Output = Result<T, StoreError>>>(&self, question: impl Fn() -> F) -> Result<T, RunError> {
        loop {
            match question().await {
                Ok(answer) => return Ok(answer),
                Err(failure @ StoreError::Unavailable(_)) => {
                    warn!(execution.id = %self.handle.lease.execution_id, error = chain(&failure), "the job queue cannot be asked; trying again");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(failure) => {
                    // A lost lease stops the whole walk; the error itself is never recorded.
                    if matches!(failure, StoreError::StaleLease) {
                        self.handle.lost.cancel();
                    }
                    return Err(RunError::new(code::INTERNAL, format!("the job queue failed: {failure}")));
                }
            }
        }
    }
}

#[async_trait]
impl JobRunner for StoreJobs {
    async fn run(&self, requests: Vec<JobRequest>) -> Result<Vec<JobOutcome>, RunError> {
        // Listen first, so that nothing between the enqueue and the wait is missed.
        let mut news = self.handle.news.subscribe();
        let new = requests.into_iter().map(|request| NewJob {
            pixels: u64::from(request.input.width) * u64::from(request.input.height),
            input: serde_json::to_value(&request.input).unwrap_or_default(),
            node_id: request.node_id,
            item_path: request.item_path,
            task: request.task,
            model_id: request.model_id,
            model_source: request.model_source,
            model_digest: request.model_digest,
            params: request.params,
            vt: 0,
            timeout_ms: self.timeout_ms,
        });
        let new: Vec<NewJob> = new.collect();
        let lease = self.handle.lease;
        // Enqueued twice, a job is there once.
        let mut jobs = self.ask(|| self.store.enqueue_jobs(lease, new.clone())).await?;
        while !jobs.iter().all(|job| job.status.is_terminal()) {
            if news.changed().await.is_err() {
                return Err(RunError::new(code::INTERNAL, "the engine stopped listening"));
            }
            let open: Vec<JobId> = jobs.iter().filter(|job| !job.status.is_terminal()).map(|job| job.id).collect();
            for ended in self.ask(|| self.store.ended_jobs(open.clone())).await? {
                if let Some(job) = jobs.iter_mut().find(|job| job.id == ended.id) {
                    *job = ended;
                }
            }
        }
        Ok(jobs.into_iter().map(outcome).collect())
    }
}

fn outcome(job: Job) -> JobOutcome {
    let result = match (job.status, job.result) {
        (JobStatus::Completed, Some(result)) => Ok(result),
        (JobStatus::Cancelled, _) => Err(RunError::new(code::CANCELLED, "its inference job was cancelled")),
        (JobStatus::Completed, None) => {
            Err(RunError::new(code::JOB_FAILED, "its inference job ended without a result"))
        }
        _ => {
            let kind = job.error_code.as_deref().unwrap_or(code::JOB_FAILED);
            Err(RunError::new(kind, job.error_message.unwrap_or_else(|| "its inference job failed".to_owned())))
        }
    };
    let mut metadata = job.metadata;
    if let (Value::Object(object), Some(digest)) = (&mut metadata, job.model_digest) {
        object.entry("model_digest").or_insert_with(|| Value::String(digest.to_string()));
    }
    JobOutcome {
        job_id: Some(job.id),
        result,
        metadata,
        queue_ms: job.queue_ms,
        compute_ms: job.compute_ms,
        attempts: job.attempt,
    }
}
