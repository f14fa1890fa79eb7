//! Inference jobs through the store: enqueued together, waited for by news, answered from their rows.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use sightflow_store::{Job, NewJob, Store};
use sightflow_types::error::{RunError, code};
use sightflow_types::{JobId, JobStatus};

use super::asking::ask;
use super::handle::Handle;
use crate::run::{JobOutcome, JobRequest, JobRunner};

const JOBS: &str = "the job queue";

pub(super) struct StoreJobs {
    store: Arc<dyn Store>,
    handle: Arc<Handle>,
    timeout_ms: u32,
}

impl StoreJobs {
    pub(super) fn new(store: Arc<dyn Store>, handle: Arc<Handle>, timeout_ms: u32) -> Self {
        Self { store, handle, timeout_ms }
    }
}

#[async_trait]
impl JobRunner for StoreJobs {
    async fn enqueue(&self, requests: Vec<JobRequest>) -> Result<Vec<(JobId, Option<JobOutcome>)>, RunError> {
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
        let jobs = ask(&self.handle, JOBS, || self.store.enqueue_jobs(lease, new.clone())).await?;
        Ok(jobs.into_iter().map(|job| (job.id, job.status.is_terminal().then(|| outcome(job)))).collect())
    }

    async fn news(&self) {
        self.handle.news().await;
    }

    async fn ended(&self, open: Vec<JobId>) -> Result<Vec<(JobId, JobOutcome)>, RunError> {
        let asked = self.handle.take_news(open);
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        // Dropped half-way, the news is not lost.
        let mut guard = PutBack { handle: &self.handle, jobs: asked.clone() };
        let jobs = ask(&self.handle, JOBS, || self.store.ended_jobs(asked.clone())).await?;
        guard.jobs.clear();
        Ok(jobs.into_iter().map(|job| (job.id, outcome(job))).collect())
    }
}

struct PutBack<'h> {
    handle: &'h Handle,
    jobs: Vec<JobId>,
}

impl Drop for PutBack<'_> {
    fn drop(&mut self) {
        if !self.jobs.is_empty() {
            self.handle.put_back(std::mem::take(&mut self.jobs));
        }
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
    JobOutcome { result, metadata, queue_ms: job.queue_ms, compute_ms: job.compute_ms, attempts: job.attempt }
}
