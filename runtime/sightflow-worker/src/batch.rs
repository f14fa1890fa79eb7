//! One claimed batch: images and model in, results and failures out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use sightflow_blobs::BlobError;
use sightflow_images::{Image, Pixels};
use sightflow_models::{FailureClass as RunClass, Model, Request, RunFailure, Timings};
use sightflow_store::{ClaimedJob, FailureClass, Job, JobFailure, JobLease, JobResult, breaker_hold_ms};
use sightflow_types::error::code;
use sightflow_types::model::ModelSpec;
use sightflow_types::{Digest, ImageRef};

use crate::Shared;
use crate::compute::ComputeThread;
use crate::model_cache::ModelKey;

const MAX_RESULT_BYTES: usize = 1 << 20;

/// What a batch gave: one entry for each job, in one of the two lists.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) results: Vec<JobResult>,
    pub(crate) failures: Vec<JobFailure>,
}

/// Runs claimed jobs of one model id. Jobs that were taken away meanwhile are left out.
pub(crate) async fn run(shared: &Shared, thread: &ComputeThread, claimed: Vec<ClaimedJob>) -> Report {
    let mut report = Report::default();
    // One id can stand for two digests while a model is being replaced.
    let mut by_digest: BTreeMap<Option<Digest>, Vec<ClaimedJob>> = BTreeMap::new();
    for job in claimed {
        if !shared.member.has_lost(job.job.id) {
            by_digest.entry(job.job.model_digest).or_default().push(job);
        }
    }
    for jobs in by_digest.into_values() {
        let loading = Instant::now();
        match model_of(shared, thread, &jobs[0].job).await {
            Ok((model, digest, loaded)) => {
                let load_ms = if loaded { millis(loading) } else { 0 };
                let run = BatchRun { shared, thread, model, digest, loaded, load_ms };
                run.chunks(jobs, &mut report).await;
            }
            Err(failure) => report.failures.extend(jobs.iter().map(|job| failure.for_job(job.lease(), jobs.len()))),
        }
    }
    report
}

/// Why a job failed, before it is known which job.
struct Failure {
    class: FailureClass,
    code: &'static str,
    message: String,
    hold_ms: Option<i64>,
}

impl Failure {
    fn for_job(&self, lease: JobLease, batch_size: usize) -> JobFailure {
        JobFailure {
            lease,
            class: self.class,
            code: self.code.to_owned(),
            message: self.message.clone(),
            batch_size: batch_size as u32,
            hold_ms: self.hold_ms,
        }
    }
}

/// The model that a job names, loaded; and whether it was loaded just now.
async fn model_of(shared: &Shared, thread: &ComputeThread, job: &Job) -> Result<(Model, Digest, bool), Failure> {
    let transient =
        |message: String| Failure { class: FailureClass::Transient, code: code::JOB_FAILED, message, hold_ms: None };
    let row = shared.store.model(job.tenant_id, &job.model_id).await.map_err(|error| match error {
        sightflow_store::StoreError::NotFound(_) => {
            unavailable(shared, None, format!("the model `{}` is no longer registered", job.model_id))
        }
        error => transient(error.to_string()),
    })?;
    let Some(digest) = row.digest.filter(|digest| job.model_digest.is_none_or(|pinned| pinned == *digest)) else {
        let message =
            format!("the weights of `{}` are not those that the execution started with; run it again", job.model_id);
        return Err(unavailable(shared, None, message));
    };
    let key = (job.model_id.clone(), digest);
    let failed_before = shared.models.failures_in_a_row(&key) > 0;
    let loaded = shared.models.get_or_load(&key, async || {
        let spec: ModelSpec = serde_json::from_value(row.spec.clone())
            .map_err(|error| format!("its specification cannot be read: {error}"))?;
        let bytes = shared.blobs.get(&digest).await.map_err(|error| format!("its weights cannot be read: {error}"))?;
        let (size, device) = (bytes.len() as u64, shared.config.device);
        let model = thread.run(move || Model::load(&bytes, &spec, device)).await;
        let model = model.map_err(|panicked| panicked.to_string())?.map_err(|error| error.to_string())?;
        tracing::info!(model.id = key.0, model.digest = %digest, device = %device, "model loaded");
        Ok((model, size))
    });
    match loaded.await {
        Ok((model, fresh)) => {
            if failed_before && let Err(error) = shared.store.close_breaker(&key.0).await {
                tracing::warn!(error = %error, "the model works again, but its breaker could not be closed");
            }
            Ok((model, digest, fresh))
        }
        Err::<_, String>(reason) => {
            Err(unavailable(shared, Some(&key), format!("the model `{}` does not load: {reason}", key.0)))
        }
    }
}

fn unavailable(shared: &Shared, key: Option<&ModelKey>, message: String) -> Failure {
    tracing::warn!(reason = message, "model unavailable");
    // What loading may cure is held; what is gone for good is not.
    let hold_ms = key.map(|key| breaker_hold_ms(shared.models.failures_in_a_row(key)));
    Failure { class: FailureClass::Model, code: code::MODEL_UNAVAILABLE, message, hold_ms }
}

/// A job whose image could be decoded.
struct Ready {
    job: ClaimedJob,
    pixels: Arc<Pixels>,
}

struct BatchRun<'a> {
    shared: &'a Shared,
    thread: &'a ComputeThread,
    model: Model,
    digest: Digest,
    loaded: bool,
    load_ms: u64,
}

impl BatchRun<'_> {
    /// Runs the jobs in as few batches as their own bounds allow.
    async fn chunks(&self, jobs: Vec<ClaimedJob>, report: &mut Report) {
        let decoding = Instant::now();
        let mut ready = Vec::with_capacity(jobs.len());
        for job in jobs {
            match self.pixels(&job.job).await {
                Ok(pixels) => ready.push(Ready { job, pixels }),
                Err(failure) => report.failures.push(failure.for_job(job.lease(), 1)),
            }
        }
        let decode_ms = millis(decoding);
        while !ready.is_empty() {
            let bound = |jobs: &[Ready]| {
                jobs.iter().filter_map(|ready| ready.job.job.max_batch).min().unwrap_or(u32::MAX).max(1) as usize
            };
            let count = (1..=ready.len()).rev().find(|count| *count <= bound(&ready[..*count])).unwrap_or(1);
            let rest = ready.split_off(count);
            self.batch(ready, decode_ms, report).await;
            ready = rest;
        }
    }

    async fn pixels(&self, job: &Job) -> Result<Arc<Pixels>, Failure> {
        let failure = |class, code, message| Failure { class, code, message, hold_ms: None };
        let image: ImageRef = serde_json::from_value(job.input.clone()).map_err(|error| {
            failure(FailureClass::Poison, code::INTERNAL, format!("the job's input cannot be read: {error}"))
        })?;
        let bytes = self.shared.blobs.get(&image.digest).await.map_err(|error| match error {
            BlobError::NotFound(_) => {
                failure(FailureClass::Poison, code::IMAGE, format!("the image {} is gone", image.digest))
            }
            error => failure(FailureClass::Transient, code::IMAGE, format!("the image cannot be read: {error}")),
        })?;
        let decoded =
            self.thread.run(move || Image::from_reference(bytes, &image)?.view().map(|view| view.to_pixels())).await;
        match decoded {
            Ok(Ok(pixels)) => Ok(pixels),
            Ok(Err(error)) => Err(failure(FailureClass::Poison, code::IMAGE, error.to_string())),
            Err(panicked) => Err(failure(FailureClass::Poison, code::IMAGE, panicked.to_string())),
        }
    }

    /// Runs a batch; one that fails as a whole is split in two, down to single jobs.
    async fn batch(&self, jobs: Vec<Ready>, decode_ms: u64, report: &mut Report) {
        let mut open = vec![jobs];
        while let Some(mut jobs) = open.pop() {
            let computing = Instant::now();
            let model = self.model.clone();
            let inputs: Vec<(Arc<Pixels>, Value)> =
                jobs.iter().map(|ready| (Arc::clone(&ready.pixels), ready.job.job.params.clone())).collect();
            let outcome = self.thread.run(move || {
                let requests: Vec<_> = inputs.iter().map(|(image, params)| Request { image, params }).collect();
                model.run(&requests)
            });
            let (results, timings) = match outcome.await {
                Ok(outcome) => (outcome.results, outcome.timings),
                Err(panicked) => {
                    let failure =
                        RunFailure { class: RunClass::Poison, code: "inference", message: panicked.to_string() };
                    (vec![Err(failure); jobs.len()], Timings::default())
                }
            };
            if jobs.len() > 1 && results.iter().all(Result::is_err) {
                let half = jobs.split_off(jobs.len() / 2);
                open.extend([half, jobs]);
                continue;
            }
            let (compute_ms, batch_size) = (millis(computing) + decode_ms, jobs.len());
            for (ready, result) in jobs.iter().zip(results) {
                let lease = ready.job.lease();
                match result.and_then(fitting) {
                    Ok(result) => report.results.push(JobResult {
                        lease,
                        result,
                        metadata: self.metadata(&ready.job.job, decode_ms, timings, batch_size),
                        load_ms: self.load_ms,
                        compute_ms,
                        batch_size: batch_size as u32,
                    }),
                    Err(failure) => report.failures.push(of_run(&failure).for_job(lease, batch_size)),
                }
            }
        }
    }

    fn metadata(&self, job: &Job, decode_ms: u64, timings: Timings, batch_size: usize) -> Value {
        let tenths = |ms: f64| (ms * 10.0).round() / 10.0;
        json!({
            "device": self.shared.config.device.to_string(), "model_digest": self.digest, "cached": !self.loaded,
            "load_ms": self.load_ms, "queue_ms": job.queue_ms, "decode_ms": decode_ms,
            "preprocess_ms": tenths(timings.preprocess_ms), "inference_ms": tenths(timings.inference_ms),
            "postprocess_ms": tenths(timings.postprocess_ms), "batch_size": batch_size, "worker": self.shared.config.name,
        })
    }
}

/// The store takes at most 1 MiB for a result, and refuses the whole batch over one that is larger.
fn fitting(result: Value) -> Result<Value, RunFailure> {
    match result.to_string().len() {
        0..MAX_RESULT_BYTES => Ok(result),
        bytes => Err(RunFailure {
            class: RunClass::Poison,
            code: "result_too_large",
            message: format!(
                "the result has {bytes} bytes, {MAX_RESULT_BYTES} are recorded at most; lower `max_detections`"
            ),
        }),
    }
}

fn of_run(failure: &RunFailure) -> Failure {
    let class = match failure.class {
        RunClass::Transient => FailureClass::Transient,
        RunClass::OutOfMemory => FailureClass::Oom,
        // The model loaded and ran others: alone with this image it is the image that cannot be processed.
        RunClass::Poison | RunClass::Model => FailureClass::Poison,
    };
    Failure { class, code: code::JOB_FAILED, message: format!("{}: {}", failure.code, failure.message), hold_ms: None }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
