//! A loaded model: requests in, results out.

mod engine;
mod memory;

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use sightflow_images::Pixels;
use sightflow_types::model::{ModelSpec, validate_params};

use crate::decode::{self, Outputs, Seen};
use crate::error::{PassFailure, catching};
use crate::graph::Graph;
use crate::onnx::ModelProto;
use crate::preprocess::Placement;
use crate::value::{HostData, HostTensor};
use crate::{Device, ModelError, RunFailure, RunFailureClass, SimdLevel};
use engine::Engine;
use memory::Plans;

/// An output of the graph: its name, its shape and its values; no values if they are integers.
pub type RawOutput = (String, Vec<usize>, Vec<f32>);

/// A model that is ready to run. Clones share the weights and may run at the same time on different threads.
#[derive(Clone)]
pub struct Model {
    shared: Arc<Shared>,
}

struct Shared {
    spec: ModelSpec,
    device: Device,
    /// Weights are packed for it.
    level: SimdLevel,
    engine: Engine,
    plans: Plans,
    notes: Vec<String>,
    /// Images that go through the graph at once at most.
    pass: usize,
}

/// One image and the settings of its job.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The picture; any size.
    pub image: &'a Pixels,
    /// The job's settings (an object or null), as [`sightflow_types::model::validate_params`] accepts them.
    pub params: &'a Value,
}

/// What a batch answered.
#[derive(Debug, Clone)]
pub struct BatchOutcome {
    /// One per request, in order. Ids of detections are their position in the list; the engine puts the node before.
    pub results: Vec<Result<Value, RunFailure>>,
    /// Where the time went, for the whole batch.
    pub timings: Timings,
    /// The largest number of images that went through the graph in one pass; 1 where the file fixes its batch size.
    pub batch_size: usize,
}

/// Wall-clock milliseconds of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Timings {
    /// From pixels to the input tensor.
    pub preprocess_ms: f64,
    /// The graph.
    pub inference_ms: f64,
    /// From output tensors to results.
    pub postprocess_ms: f64,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model")
            .field("task", &self.shared.spec.task)
            .field("device", &self.shared.device)
            .finish_non_exhaustive()
    }
}

impl Model {
    /// Builds a model from a file's bytes and runs it once on a blank image, so that what loads also runs.
    ///
    /// # Errors
    /// [`ModelError`]: the file is broken, uses operators that are not supported (all of them are listed), or does not
    /// fit the spec.
    pub fn load(bytes: &[u8], spec: &ModelSpec, device: Device) -> Result<Self, ModelError> {
        Self::load_at(bytes, spec, device, SimdLevel::current())
    }

    /// As [`Model::load`], with another level than the process's; for measurements and comparisons.
    ///
    /// # Errors
    /// As [`Model::load`]; a level that this CPU lacks is an error too.
    pub fn load_at(bytes: &[u8], spec: &ModelSpec, device: Device, level: SimdLevel) -> Result<Self, ModelError> {
        level.check().map_err(|error| ModelError::Backend(error.to_string()))?;
        level.scope(|| {
            let (engine, plans) = {
                // The file's own copy of the weights is gone before the trial runs.
                let graph = Graph::build(&ModelProto::parse(bytes)?)?;
                let plans = Plans::make(&graph, spec, device)?;
                let engine = catching(|| Engine::prepare(&graph, device));
                (engine.map_err(|reason| failure(device, PassFailure::from(reason)))?, plans)
            };
            let mut shared = Shared { spec: spec.clone(), device, level, engine, plans, notes: Vec::new(), pass: 1 };
            shared.try_out()?;
            Ok(Self { shared: Arc::new(shared) })
        })
    }

    /// What the model is.
    pub fn spec(&self) -> &ModelSpec {
        &self.shared.spec
    }

    /// Where it runs.
    pub fn device(&self) -> Device {
        self.shared.device
    }

    /// The vector instructions of its kernels on the CPU.
    pub fn level(&self) -> SimdLevel {
        self.shared.level
    }

    /// What a user should know about how it runs here, for example that its batch size is fixed.
    pub fn notes(&self) -> &[String] {
        &self.shared.notes
    }

    /// Runs a batch on the calling thread; blocks until all is done.
    ///
    /// Images may have different sizes and requests different settings. A request that cannot be processed fails alone.
    /// If a pass through the graph fails, all requests that took part fail with the same error; the caller may try them
    /// one by one.
    pub fn run(&self, requests: &[Request<'_>]) -> BatchOutcome {
        self.run_unless(requests, &|_| false)
    }

    /// As [`Model::run`]; `cancelled` says of a request, by its position, whether nobody wants its result any more.
    ///
    /// It is asked before each pass, where cancelled requests are left out, and before each step of the graph, where the
    /// pass ends once all requests in it are cancelled. Such requests fail with [`RunFailureClass::Cancelled`]. It is asked
    /// often, so it should be cheap: an atomic flag, a clock.
    pub fn run_unless(&self, requests: &[Request<'_>], cancelled: &dyn Fn(usize) -> bool) -> BatchOutcome {
        Batch::new(&self.shared, requests, cancelled).run()
    }

    /// Runs the graph alone on prepared images, in as many passes as a batch of them takes, and returns every output as
    /// name, shape and values; for measurements and comparisons with other runtimes.
    ///
    /// `images` are in the order images, rows, columns, channels.
    ///
    /// # Errors
    /// What the backend said.
    pub fn run_raw(&self, images: &[f32]) -> Result<Vec<RawOutput>, String> {
        let length = self.shared.input_length();
        let mut all: Vec<RawOutput> = Vec::new();
        for images in images.chunks(self.shared.pass * length) {
            let outputs = self.shared.infer(images.to_vec(), images.len() / length, &|| false);
            let outputs = outputs.map_err(|failure| RunFailure::from(failure).message)?;
            for (index, (name, HostTensor { shape, data })) in outputs.tensors.into_iter().enumerate() {
                let values = match data {
                    HostData::Float(values) => values,
                    HostData::Int(_) => Vec::new(),
                };
                match all.get_mut(index) {
                    Some((_, all_shape, all_values)) => {
                        if let (Some(all), Some(more)) = (all_shape.first_mut(), shape.first()) {
                            *all += more;
                        }
                        all_values.extend(values);
                    }
                    None => all.push((name, shape, values)),
                }
            }
        }
        Ok(all)
    }

    /// An image as the model's input, in the order rows, columns, channels; for measurements and comparisons.
    pub fn prepare(&self, image: &Pixels) -> Vec<f32> {
        let mut input = vec![0.0; self.shared.input_length()];
        let view = crate::preprocess::View::whole(image);
        self.shared.placement(view).fill(image, &self.shared.spec, &mut input);
        input
    }
}

impl Shared {
    /// Elements of one image in the input tensor.
    fn input_length(&self) -> usize {
        let [width, height] = self.spec.input_size();
        width as usize * height as usize * 3
    }

    fn placement(&self, view: crate::preprocess::View) -> Placement {
        Placement::new(view, self.spec.preprocess.resize, self.spec.input_size())
    }

    fn infer(&self, input: Vec<f32>, count: usize, cancelled: &dyn Fn() -> bool) -> Result<Outputs, PassFailure> {
        let [width, height] = self.spec.input_size();
        let size = [count, height as usize, width as usize];
        let layout = self.spec.inputs.image.layout;
        let _memory = self.plans.reserve(count)?;
        let tensors = self.level.scope(|| catching(|| self.engine.run(input, size, layout, cancelled)))?;
        Ok(Outputs { tensors })
    }

    /// One blank image must come out as a result; two must give the same twice, or images go through one by one.
    fn try_out(&mut self) -> Result<(), ModelError> {
        let length = self.input_length();
        let go_on = || false;
        let one = self.infer(vec![0.0; length], 1, &go_on).map_err(|reason| failure(self.device, reason))?;
        let [width, height] = self.spec.input_size();
        let blank = Pixels::filled(width, height, sightflow_images::PixelFormat::Gray8, &[0]);
        let blank = blank.map_err(|error| ModelError::Mismatch(error.to_string()))?;
        let placement = self.placement(crate::preprocess::View::whole(&blank));
        let seen = Seen { outputs: &one, index: 0, placement };
        // A blank image may well have a zero vector; only outputs of another form than the spec says are an error.
        if let Err(failure) = decode::decode(&self.spec, &Value::Null, &blank, &[seen])
            && failure.class == RunFailureClass::Model
        {
            return Err(ModelError::Mismatch(failure.message));
        }
        let free = self.spec.inputs.image.dynamic_batch
            && self.infer(vec![0.0; 2 * length], 2, &go_on).is_ok_and(|two| {
                two.tensors.iter().zip(&one.tensors).all(|((_, two), (_, one))| {
                    two.shape.first() == Some(&2) && two.shape.get(1..) == one.shape.get(1..)
                })
            });
        if free {
            self.pass = self.plans.most();
        } else {
            self.notes.push("the batch size is fixed at 1: images run one after the other".to_owned());
        }
        Ok(())
    }
}

/// A batch on its way through.
struct Batch<'a> {
    model: &'a Shared,
    requests: &'a [Request<'a>],
    cancelled: &'a dyn Fn(usize) -> bool,
    /// What failed so far.
    failures: Vec<Option<RunFailure>>,
    /// Views of all requests that have not failed, each with its request.
    views: Vec<(usize, Placement)>,
    timings: Timings,
}

impl<'a> Batch<'a> {
    fn new(model: &'a Shared, requests: &'a [Request<'a>], cancelled: &'a dyn Fn(usize) -> bool) -> Self {
        let failures = vec![None; requests.len()];
        Self { model, requests, cancelled, failures, views: Vec::new(), timings: Timings::default() }
    }

    fn run(mut self) -> BatchOutcome {
        for (index, request) in self.requests.iter().enumerate() {
            match check_params(&self.model.spec, request.params) {
                Ok(()) => {
                    let views = decode::views(&self.model.spec, request.params, request.image);
                    self.views.extend(views.into_iter().map(|view| (index, self.model.placement(view))));
                }
                Err(failure) => self.failures[index] = Some(failure),
            }
        }
        // One per view; which pass it was in, and where.
        let mut passes = Vec::new();
        let mut batch_size = 0;
        let mut open = std::mem::take(&mut self.views);
        while !open.is_empty() {
            self.leave_out_cancelled(&mut open);
            let views: Vec<_> = open.drain(..open.len().min(self.model.pass)).collect();
            batch_size = batch_size.max(views.len());
            if !views.is_empty()
                && let Some(outputs) = self.pass(&views)
            {
                passes.push((outputs, views));
            }
        }
        let started = Instant::now();
        let results = (0..self.requests.len()).map(|index| self.result(index, &passes)).collect();
        self.timings.postprocess_ms = milliseconds(started);
        BatchOutcome { results, timings: self.timings, batch_size }
    }

    fn leave_out_cancelled(&mut self, open: &mut Vec<(usize, Placement)>) {
        open.retain(|(request, _)| {
            let cancelled = (self.cancelled)(*request);
            if cancelled {
                self.failures[*request].get_or_insert_with(RunFailure::cancelled);
            }
            !cancelled
        });
    }

    /// Sends some views through the graph.
    fn pass(&mut self, views: &[(usize, Placement)]) -> Option<Outputs> {
        let started = Instant::now();
        let length = self.model.input_length();
        let mut input = vec![0.0; views.len() * length];
        for ((request, placement), out) in views.iter().zip(input.chunks_exact_mut(length)) {
            let image = self.requests[*request].image;
            let filled = catching(|| {
                placement.fill(image, &self.model.spec, out);
                Ok(())
            });
            if let Err::<(), String>(message) = filled {
                self.failures[*request] = Some(RunFailure::new(RunFailureClass::Poison, "bad_image", message));
            }
        }
        self.timings.preprocess_ms += milliseconds(started);
        let started = Instant::now();
        let all_cancelled = || views.iter().all(|(request, _)| (self.cancelled)(*request));
        let outputs = self.model.infer(input, views.len(), &all_cancelled);
        self.timings.inference_ms += milliseconds(started);
        outputs
            .map_err(|failure| {
                let failure = RunFailure::from(failure);
                for (request, _) in views {
                    self.failures[*request].get_or_insert_with(|| failure.clone());
                }
            })
            .ok()
    }

    fn result(&self, index: usize, passes: &[(Outputs, Vec<(usize, Placement)>)]) -> Result<Value, RunFailure> {
        if let Some(failure) = &self.failures[index] {
            return Err(failure.clone());
        }
        let mut seen = Vec::new();
        for (outputs, views) in passes {
            for (place, (request, placement)) in views.iter().enumerate() {
                if *request == index {
                    seen.push(Seen { outputs, index: place, placement: *placement });
                }
            }
        }
        let Request { image, params } = self.requests[index];
        let mut result = Err(RunFailure::new(RunFailureClass::Model, "inference", "postprocessing failed"));
        let caught = catching(|| {
            result = decode::decode(&self.model.spec, params, image, &seen);
            Ok(())
        });
        caught.map_err(|message: String| RunFailure::new(RunFailureClass::Model, "inference", message))?;
        result
    }
}

/// On the CPU nothing but memory can be another time's luck: shapes were checked before.
fn failure(device: Device, failure: PassFailure) -> ModelError {
    match failure {
        PassFailure::Memory(reason) => ModelError::Backend(reason),
        PassFailure::Step(reason) if device == Device::Cpu => ModelError::Unrunnable(reason),
        PassFailure::Step(reason) => ModelError::Backend(reason),
        PassFailure::Cancelled => ModelError::Backend("the trial was cancelled".to_owned()),
    }
}

fn check_params(spec: &ModelSpec, params: &Value) -> Result<(), RunFailure> {
    let problems = validate_params(spec, params);
    if problems.is_empty() {
        return Ok(());
    }
    let messages: Vec<_> = problems.into_iter().map(|problem| problem.message).collect();
    Err(RunFailure::new(RunFailureClass::Poison, "bad_params", messages.join("; ")))
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests;
