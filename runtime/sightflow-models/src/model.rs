//! A loaded model: requests in, results out.

use serde_json::Value;
use sightflow_images::Pixels;
use sightflow_types::model::ModelSpec;

use crate::{Device, FailureClass, ModelError, RunFailure};

/// A model that is ready to run. Clones share the weights.
#[derive(Clone)]
pub struct Model {
    spec: ModelSpec,
    device: Device,
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
    /// One per request, in order. Ids inside are the position in the list; the engine puts the node before them.
    pub results: Vec<Result<Value, RunFailure>>,
    /// Where the time went, for the whole batch.
    pub timings: Timings,
    /// Images that went through the graph in one pass: the number of requests, or 1 where the file fixes its batch size.
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

impl Model {
    /// Builds a model from a file's bytes.
    ///
    /// # Errors
    /// [`ModelError`]: the file is broken, uses operators that are not supported (all of them are listed), or does not
    /// fit the spec.
    pub fn load(bytes: &[u8], spec: &ModelSpec, device: Device) -> Result<Self, ModelError> {
        crate::onnx::ModelProto::parse(bytes)?;
        Ok(Self { spec: spec.clone(), device })
    }

    /// What the model is.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Where it runs.
    pub fn device(&self) -> Device {
        self.device
    }

    /// What a user should know about how it runs here, for example that its batch size is fixed.
    pub fn notes(&self) -> &[String] {
        &[]
    }

    /// Runs a batch on the calling thread; blocks until all is done.
    ///
    /// A request that cannot be processed fails alone. If the pass through the graph fails, all requests that took part
    /// fail with the same error; the caller may try them one by one.
    pub fn run(&self, requests: &[Request<'_>]) -> BatchOutcome {
        let failure = RunFailure::new(FailureClass::Model, "inference", "being written");
        BatchOutcome {
            results: requests.iter().map(|_| Err(failure.clone())).collect(),
            timings: Timings::default(),
            batch_size: 1,
        }
    }
}
