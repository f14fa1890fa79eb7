//! One claimed batch: images and model in, results and failures out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use sightflow_blobs::BlobError;
use sightflow_images::{Image, Pixels};
use sightflow_models::{Model, Request, RunFailure, RunFailureClass, Timings};
use sightflow_store::{ClaimedJob, FailureClass, Job, JobFailure, JobLease, JobResult, breaker_hold_ms};
use sightflow_supervisor::Panicked;
use sightflow_types::error::{chain, code};
use sightflow_types::model::ModelSpec;
use sightflow_types::{Digest, ImageRef};

use crate::Shared;
use crate::compute::ComputeThread;
use crate::member::{Computing, Lost};
use crate::model_cache::ModelKey;
use crate::persist::persist;

const MAX_RESULT_BYTES: usize = 1 << 20;

/// A claimed job, and whether it is still wanted.
pub(crate) struct Held {
    pub(crate) job: ClaimedJob,
    pub(crate) lost: Lost,
}

impl Held {
    pub(crate) fn lease(&self) -> JobLease {
        self.job.lease()
    }
}

/// What a batch gave: one entry for each job that is still wanted, in one of the lists.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) results: Vec<JobResult>,
    pub(crate) failures: Vec<JobFailure>,
    /// Not computed: the worker stops.
    pub(crate) returned: Vec<JobLease>,
}

impl Report {
    /// The worker's own code failed; the same jobs would make it fail again.
    pub(crate) fn broken(leases: &[JobLease]) -> Self {
        let failure = Failure {
            class: FailureClass::Poison,
            code: code::INTERNAL,
            message: "the worker failed with this job; its log has the reason".to_owned(),
            hold_ms: None,
        };
        Self { failures: leases.iter().map(|lease| failure.for_job(*lease, leases.len())).collect(), ..Self::default() }
    }
}

/// Runs claimed jobs of one model id. Jobs that were taken away meanwhile are left out.
pub(crate) async fn run(shared: &Shared, thread: &ComputeThread, claimed: Vec<Held>) -> Report {
    let mut report = Report::default();
    // One id can stand for two digests while a model is being replaced.
    let mut by_digest: BTreeMap<Option<Digest>, Vec<Held>> = BTreeMap::new();
    for held in claimed {
        by_digest.entry(held.job.job.model_digest).or_default().push(held);
    }
    for mut jobs in by_digest.into_values() {
        let loading = Instant::now();
        let model = tokio::select! {
            model = model_of(shared, thread, &jobs[0].job.job) => model,
            // Loading goes on by itself; nobody needs to wait for it.
            () = shared.stop.cancelled() => {
                report.returned.extend(jobs.iter().map(Held::lease));
                continue;
            }
        };
        let (model, digest, loaded) = match model {
            Ok(found) => found,
            Err(failure) => {
                report.failures.extend(jobs.iter().map(|held| failure.for_job(held.lease(), jobs.len())));
                continue;
            }
        };
        let load_ms = if loaded { millis(loading) } else { 0 };
        jobs.retain(|held| !held.lost.is_set());
        let computing = tokio::select! {
            computing = shared.member.alone(jobs.iter().map(|held| held.job.job.id).collect()) => Arc::new(computing),
            () = shared.stop.cancelled() => {
                report.returned.extend(jobs.iter().map(Held::lease));
                continue;
            }
        };
        let jobs = begin(shared, jobs, &mut report).await;
        let run = BatchRun { shared, thread, computing, model, digest, loaded, load_ms };
        run.chunks(jobs, &mut report).await;
    }
    report
}

/// Counts the attempts of jobs that only waited for their model; leaves out those that are not ours any more.
async fn begin(shared: &Shared, jobs: Vec<Held>, report: &mut Report) -> Vec<Held> {
    let waited: Vec<JobLease> = jobs.iter().filter(|held| held.job.deadline_at.is_none()).map(Held::lease).collect();
    if waited.is_empty() {
        return jobs;
    }
    let begin = || shared.store.begin_jobs(shared.member.id(), waited.clone());
    let Some(begun) = persist(shared, "the start of jobs", begin).await else {
        // Nothing may be computed: the attempt would not count.
        report.returned.extend(jobs.iter().map(Held::lease));
        return Vec::new();
    };
    jobs.into_iter().filter(|held| held.job.deadline_at.is_some() || begun.contains(&held.job.job.id)).collect()
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
        error => transient(chain(&error)),
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
            .map_err(|error| Refusal::for_good(format!("its specification cannot be read: {error}")))?;
        let bytes = shared.blobs.get(&digest).await;
        let bytes =
            bytes.map_err(|error| Refusal::for_now(format!("its weights cannot be read: {}", chain(&error))))?;
        let (size, device) = (bytes.len() as u64, shared.config.device);
        let faults = shared.config.faults.clone();
        let model = thread.run(move || {
            faults.at("worker.load");
            Model::load(&bytes, &spec, device)
        });
        let model = model.await.map_err(|panicked| Refusal::for_now(panicked.to_string()))?;
        let model = model.map_err(|error| Refusal { permanent: error.permanent(), reason: chain(&error) })?;
        tracing::info!(model.id = key.0, model.digest = %digest, device = %device, "model loaded");
        Ok((model, size))
    });
    match loaded.await {
        Ok((model, fresh)) => {
            if failed_before && let Err(error) = shared.store.close_breaker(&key.0).await {
                tracing::warn!(error = chain(&error), "the model works again, but its breaker could not be closed");
            }
            Ok((model, digest, fresh))
        }
        Err::<_, Refusal>(refusal) => {
            let message = format!("the model `{}` does not load: {}", key.0, refusal.reason);
            // The same file gives the same answer; waiting does not help.
            Err(unavailable(shared, Some(&key).filter(|_| !refusal.permanent), message))
        }
    }
}

/// Why a model does not load.
struct Refusal {
    reason: String,
    permanent: bool,
}

impl Refusal {
    fn for_now(reason: String) -> Self {
        Self { reason, permanent: false }
    }

    fn for_good(reason: String) -> Self {
        Self { reason, permanent: true }
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
    held: Held,
    pixels: Arc<Pixels>,
}

struct BatchRun<'a> {
    shared: &'a Shared,
    thread: &'a ComputeThread,
    /// Lives as long as a thread works on these jobs, even when nobody waits for it.
    computing: Arc<Computing>,
    model: Model,
    digest: Digest,
    loaded: bool,
    load_ms: u64,
}

impl BatchRun<'_> {
    /// Runs the jobs in as few batches as their own bounds allow.
    async fn chunks(&self, jobs: Vec<Held>, report: &mut Report) {
        let decoding = Instant::now();
        let mut ready = Vec::with_capacity(jobs.len());
        for held in jobs {
            if held.lost.is_set() {
                continue;
            }
            match self.pixels(&held.job.job).await {
                Ok(pixels) => ready.push(Ready { held, pixels }),
                Err(failure) => report.failures.push(failure.for_job(held.lease(), 1)),
            }
        }
        let decode_ms = millis(decoding);
        while !ready.is_empty() {
            let bound = |jobs: &[Ready]| {
                jobs.iter().filter_map(|ready| ready.held.job.job.max_batch).min().unwrap_or(u32::MAX).max(1) as usize
            };
            let count = (1..=ready.len()).rev().find(|count| *count <= bound(&ready[..*count])).unwrap_or(1);
            let rest = ready.split_off(count);
            self.batch(ready, decode_ms, report).await;
            ready = rest;
        }
    }

    /// Runs pixel work or a model on the thread; the jobs count as computed until it is done.
    async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Panicked> {
        let computing = Arc::clone(&self.computing);
        let work = move || {
            let done = work();
            drop(computing);
            done
        };
        self.thread.run(work).await
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
            error => {
                failure(FailureClass::Transient, code::IMAGE, format!("the image cannot be read: {}", chain(&error)))
            }
        })?;
        let faults = self.shared.config.faults.clone();
        let decode = move || {
            faults.at("worker.decode");
            Image::from_reference(bytes, &image)?.pixels()
        };
        let decoded = self.compute(decode).await;
        match decoded {
            Ok(Ok(pixels)) => Ok(pixels),
            // The process was short of memory: the image is not at fault.
            Ok(Err(error)) if error.is_of_the_caller() => {
                Err(failure(FailureClass::Transient, code::IMAGE, error.to_string()))
            }
            Ok(Err(error)) => Err(failure(FailureClass::Poison, code::IMAGE, error.to_string())),
            Err(panicked) => {
                tracing::error!(error = chain(&panicked), job.id = %job.id, "decoding a job's image panicked");
                Err(failure(FailureClass::Poison, code::IMAGE, "the image cannot be decoded".to_owned()))
            }
        }
    }

    /// Runs a batch; one that fails as a whole is split in two, down to single jobs.
    async fn batch(&self, jobs: Vec<Ready>, decode_ms: u64, report: &mut Report) {
        let mut open = vec![jobs];
        while let Some(mut jobs) = open.pop() {
            jobs.retain(|ready| !ready.held.lost.is_set());
            if jobs.is_empty() {
                continue;
            }
            let started = Instant::now();
            let (results, timings) = self.pass(&jobs).await;
            if jobs.len() > 1 && results.iter().all(Result::is_err) {
                let half = jobs.split_off(jobs.len() / 2);
                open.extend([half, jobs]);
                continue;
            }
            let (compute_ms, batch_size) = (millis(started) + decode_ms, jobs.len());
            for (ready, result) in jobs.iter().zip(results) {
                // Not ours to report any more.
                if ready.held.lost.is_set() {
                    continue;
                }
                let lease = ready.held.lease();
                match result.and_then(fitting) {
                    Ok(result) => report.results.push(JobResult {
                        lease,
                        result,
                        metadata: self.metadata(&ready.held.job.job, decode_ms, timings, batch_size),
                        load_ms: self.load_ms,
                        compute_ms,
                        batch_size: batch_size as u32,
                    }),
                    Err(failure) => report.failures.push(of_run(&failure).for_job(lease, batch_size)),
                }
            }
        }
    }

    /// One pass of the model over some jobs; it stops between steps once nobody wants any of them.
    async fn pass(&self, jobs: &[Ready]) -> (Vec<Result<Value, RunFailure>>, Timings) {
        let model = self.model.clone();
        let faults = self.shared.config.faults.clone();
        let inputs: Vec<(Arc<Pixels>, Value)> =
            jobs.iter().map(|ready| (Arc::clone(&ready.pixels), ready.held.job.job.params.clone())).collect();
        let lost: Vec<Lost> = jobs.iter().map(|ready| ready.held.lost.clone()).collect();
        let outcome = self.compute(move || {
            faults.at("worker.compute");
            let requests: Vec<_> = inputs.iter().map(|(image, params)| Request { image, params }).collect();
            let outcome = model.run_unless(&requests, &|index| lost[index].is_set());
            let cancelled = |result: &Result<_, RunFailure>| {
                result.as_ref().is_err_and(|failure| failure.class == RunFailureClass::Cancelled)
            };
            faults.at(if outcome.results.iter().all(cancelled) { "worker.stopped" } else { "worker.computed" });
            outcome
        });
        match outcome.await {
            Ok(outcome) => (outcome.results, outcome.timings),
            Err(panicked) => {
                tracing::error!(error = chain(&panicked), model.digest = %self.digest, "a computation panicked");
                let failure =
                    RunFailure { class: RunFailureClass::Poison, code: "inference", message: panicked.to_string() };
                (vec![Err(failure); jobs.len()], Timings::default())
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
            class: RunFailureClass::Poison,
            code: "result_too_large",
            message: format!(
                "the result has {bytes} bytes, {MAX_RESULT_BYTES} are recorded at most; lower `max_detections`"
            ),
        }),
    }
}

fn of_run(failure: &RunFailure) -> Failure {
    let class = match failure.class {
        // Whoever cancelled has taken the job away; a result would come too late.
        RunFailureClass::Transient | RunFailureClass::Cancelled => FailureClass::Transient,
        RunFailureClass::OutOfMemory => FailureClass::Oom,
        // The model loaded and ran others: alone with this image it is the image that cannot be processed.
        RunFailureClass::Poison | RunFailureClass::Model => FailureClass::Poison,
    };
    Failure { class, code: code::JOB_FAILED, message: format!("{}: {}", failure.code, failure.message), hold_ms: None }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
