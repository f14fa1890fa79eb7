//! Scripted blocks and models.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use sightflow_blobs::BlobStore;
use sightflow_engine::server::StoredImages;
use sightflow_engine::{
    BlockHost, BlockRef, CallContext, CallError, CallOutcome, CallProfile, CallTrace, Catalog, CheckContext, Code,
    Compiled, DefinitionLimits, FailureKind, Granted, JobOutcome, JobRequest, JobRunner, Lanes, LogLevel, LogLine,
    ModelCatalog, ModelEntry, Observer, Package, Payload, Plan, RunLimits, RunOutcome, RunParts, RunSpec, Unrecorded,
    compile, run_plan, validate_run,
};
use sightflow_images::{Image, PixelFormat, Pixels};
use sightflow_types::capability::{Capability, HostPattern};
use sightflow_types::document::Document;
use sightflow_types::error::RunError;
use sightflow_types::manifest::{Manifest, NamedOutputs, Role};
use sightflow_types::model::{Decoder, ModelSpec};
use sightflow_types::{Digest, JobId, ModelSource, Problem, Task, TenantId};
use tokio_util::sync::CancellationToken;

use crate::blocks::pure;

/// Manifests of a few component blocks.
pub(crate) fn catalog() -> Catalog {
    Catalog::new([package("sightflow/test", semver::Version::new(0, 1, 0), Digest::from_bytes([7; 32]))])
        .expect("a valid catalogue")
}

/// The same blocks as a package of this name and release.
pub(crate) fn package(name: &str, version: semver::Version, digest: Digest) -> Package {
    let port = |name: &str, kind: &str| json!({"name": name, "kind": kind, "required": true});
    let config = |properties: Value| json!({"type": "object", "additionalProperties": false, "properties": properties});
    let block = |name: &str, inputs: Value, outputs: Value, config: Value| json!({"name": name, "title": name, "description": name, "category": "logic", "inputs": inputs, "outputs": outputs, "config": config});
    let outward = |name: &str| {
        let keys = ["stuck", "retry", "late"].map(|key| (key.to_owned(), json!({"type": "boolean", "default": false})));
        let outputs = json!([port("value", "any"), port("image", "image")]);
        block(name, json!([port("value", "any")]), outputs, config(keys.into_iter().collect::<Map<_, _>>().into()))
    };
    let manifests = json!([
        block(
            "condition",
            json!([port("value", "any")]),
            json!([port("result", "boolean"), port("passed", "boolean"),
                {"name": "true_output", "kind": "any", "exclusive": true, "aliases": ["true", "then"]},
                {"name": "false_output", "kind": "any", "exclusive": true, "aliases": ["false"]}]),
            config(
                json!({"field": {"type": "string"}, "value": {}, "operator": {"type": "string", "x-value-aliases": {">": "greater_than"}}})
            )
        ),
        block(
            "echo",
            json!([{"name": "value", "kind": "any", "required": true}, {"name": "extra", "kind": "any"}]),
            json!([port("value", "any")]),
            config(
                json!({"text": {"type": "string", "default": "none"}, "factor": {"type": "integer", "minimum": 1, "maximum": 9, "default": 1, "x-aliases": ["times"]},
                          "style": {"enum": ["rectangle", "rounded"], "default": "rectangle"}})
            )
        ),
        block("fail", json!([port("value", "any")]), json!([port("value", "any")]), config(json!({}))),
        block("again", json!([port("value", "any")]), json!([port("value", "any")]), config(json!({}))),
        block("boom", json!([port("value", "any")]), json!([port("value", "any")]), config(json!({}))),
        block("nap", json!([port("value", "any")]), json!([port("value", "any")]), config(json!({}))),
        block("slow", json!([port("value", "any")]), json!([port("value", "any")]), config(json!({}))),
        block(
            "fail_if",
            json!([port("value", "any")]),
            json!([port("value", "any")]),
            config(json!({"is": {"type": "number", "default": 0}}))
        ),
        block(
            "add",
            json!([port("value", "any"), {"name": "extra", "kind": "any"}]),
            json!([port("value", "number")]),
            config(json!({"by": {"type": "number", "default": 0}}))
        ),
        block(
            "digit",
            json!([port("value", "any"), {"name": "extra", "kind": "any"}]),
            json!([port("value", "number")]),
            config(json!({}))
        ),
        block("range", json!([port("value", "any")]), json!([port("items", "array")]), config(json!({}))),
        block("speak", json!([port("value", "any")]), json!([port("value", "any")]), config(json!({}))),
        block(
            "paint",
            json!([{"name": "image", "kind": "image"}]),
            json!([port("image", "image"), port("alive", "number")]),
            config(json!({"width": {"type": "integer"}}))
        ),
        block("stuck", json!([port("value", "any")]), json!([port("value", "any")]), config(json!({}))),
        outward("ask"),
        outward("post"),
        block(
            "number",
            json!([]),
            json!([port("number", "number")]),
            config(json!({"is": {"type": "number", "default": 0}}))
        ),
        block(
            "list",
            json!([{"name": "items", "kind": "any", "many": true, "required": true}]),
            json!([port("items", "array")]),
            config(json!({}))
        ),
        block(
            "switch",
            json!([port("value", "any")]),
            json!([{"name": "default", "kind": "any", "exclusive": true, "aliases": ["else"]}]),
            config(
                json!({"cases": {"type": "array", "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "value": {}}}}})
            )
        ),
        block(
            "draw_boxes",
            json!([port("image", "image"), port("detections", "detections")]),
            json!([port("image", "image"), port("count", "number")]),
            config(
                json!({"line_width": {"type": "integer", "default": 2, "x-aliases": ["thickness"]}, "show_labels": {"type": "boolean", "default": true}, "show_confidence": {"type": "boolean", "default": true}})
            )
        ),
    ]);
    let mut manifests: Vec<Manifest> = serde_json::from_value(manifests).expect("valid manifests");
    for manifest in &mut manifests {
        match manifest.name.as_str() {
            "draw_boxes" => manifest.role = Some(Role::DrawDetections),
            "ask" | "post" => {
                manifest.capabilities = vec![host()];
                manifest.effect = manifest.name == "post";
            }
            "switch" => manifest.named_outputs = Some(NamedOutputs { key: "cases".into(), field: "name".into() }),
            _ => {}
        }
    }
    let granted = Granted { capabilities: vec![host()], ceiling: [HostPattern::ANY].into() };
    Package { name: name.to_owned(), version, digest, manifests, code: Code::default(), granted }
}

fn host() -> Capability {
    "http:api.example.com".parse().expect("a capability")
}

pub(crate) fn models() -> ModelCatalog {
    let spec = |task, labels: &[&str]| {
        ModelSpec::new(
            task,
            [416, 416],
            Decoder::Softmax { output: "out".into() },
            labels.iter().map(|label| (*label).to_owned()).collect(),
        )
    };
    let entry = |id: &str, spec, available| ModelEntry {
        id: id.into(),
        source: ModelSource::Pretrained,
        digest: None,
        available,
        spec,
    };
    ModelCatalog::new([
        entry("finder", spec(Task::Detection, &["cat", "dog"]), true),
        entry("sorter", spec(Task::Classification, &["cat", "dog"]), true),
        entry("broken", spec(Task::Detection, &["cat"]), false),
    ])
}

pub(crate) fn compiled(definition: &Value) -> Compiled {
    compile(definition, &catalog(), &models(), &DefinitionLimits::default())
}

pub(crate) fn plan(definition: &Value) -> Arc<Plan> {
    plan_within(definition, &DefinitionLimits::default())
}

pub(crate) fn plan_within(definition: &Value, limits: &DefinitionLimits) -> Arc<Plan> {
    let compiled = compile(definition, &catalog(), &models(), limits);
    assert_eq!(compiled.errors, [], "the definition is valid");
    compiled.plan.expect("a plan")
}

/// Blocks as Rust functions; counts calls by node.
#[derive(Default)]
pub(crate) struct Host {
    pub(crate) calls: Mutex<HashMap<String, u32>>,
    /// What `slow` was given once: node and value.
    slow: Mutex<HashSet<String>>,
    /// Nodes with the packages that their blocks were of, in the order of the calls.
    pub(crate) packages: Mutex<Vec<(String, Digest)>>,
    pub(crate) painted: Arc<Painted>,
    /// How many calls shared an instance, in the order of these.
    pub(crate) together: Mutex<Vec<usize>>,
}

/// The pixels that `paint` has made, and whether somebody still holds them.
#[derive(Default)]
pub(crate) struct Painted(Mutex<Vec<Weak<Pixels>>>);

impl Painted {
    pub(crate) fn alive(&self) -> usize {
        self.0.lock().unwrap().iter().filter(|pixels| pixels.strong_count() > 0).count()
    }

    /// A picture of this width, or one that is wider each time.
    fn paint(&self, width: Option<u64>) -> Image {
        let mut all = self.0.lock().unwrap();
        let width = width.unwrap_or(4 + all.len() as u64) as u32;
        let pixels = Pixels::filled(width, 4, PixelFormat::Rgba8, &[1, 2, 3, 4]).expect("pixels");
        let pixels = Arc::new(pixels);
        all.push(Arc::downgrade(&pixels));
        Image::from_pixels(pixels)
    }
}

#[async_trait]
impl BlockHost for Host {
    fn call(
        &self,
        block: &BlockRef,
        config: &str,
        payload: Payload,
        context: CallContext,
    ) -> Result<CallOutcome, CallError> {
        let count = {
            let mut calls = self.calls.lock().unwrap();
            let count = calls.entry(context.node_id.clone()).or_default();
            *count += 1;
            *count
        };
        let digest = block.digest.expect("a component's package");
        self.packages.lock().unwrap().push((context.node_id.clone(), digest));
        let inputs: Map<String, Value> = serde_json::from_str(&payload.document).expect("a document");
        let config: Value = serde_json::from_str(config).expect("a configuration");
        let value = inputs.get("value").cloned().unwrap_or_default();
        if let Some(answer) = pure(&block.name, &config, &inputs) {
            return answer.map(|answer| outcome(&answer, payload.images));
        }
        let answer = match block.name.as_str() {
            "draw_boxes" => {
                let detections = inputs["detections"].as_array().map_or(0, Vec::len);
                json!({"image": inputs["image"], "count": detections})
            }
            "stuck" => return Err(stuck(&context)),
            "ask" | "post" if count == 1 && config["stuck"] == true => return Err(stuck(&context)),
            "ask" | "post" if count == 1 && config["retry"] == true => {
                let error = CallError::new("E-BLOCK-FAILED", "busy");
                return Err(CallError { kind: FailureKind::Retry, ..error });
            }
            "ask" | "post" if count == 1 && config["late"] == true => {
                return Err(CallError::new("E-TIMEOUT", "the call ran out of time"));
            }
            "ask" | "post" => {
                let answer = json!({"value": format!("answer {count}"), "image": {"$image": 0}});
                return Ok(outcome(&answer, vec![self.painted.paint(None)]));
            }
            "boom" => panic!("the host has a bug"),
            "paint" => {
                let alive = self.painted.alive();
                drop(payload);
                let answer = json!({"image": {"$image": 0}, "alive": alive});
                return Ok(outcome(&answer, vec![self.painted.paint(config["width"].as_u64())]));
            }
            "speak" => {
                return Ok(CallOutcome { trace: spoken(), ..outcome(&json!({"value": value}), payload.images) });
            }
            "again" if count < 3 => {
                let error = CallError::new("E-BLOCK-FAILED", "once more, please");
                return Err(CallError { kind: FailureKind::Retry, trace: Box::new(spoken()), ..error });
            }
            "again" => json!({"value": "at last"}),
            "slow" => {
                if self.slow.lock().unwrap().insert(format!("{} {value}", context.node_id)) {
                    let error = CallError::new("E-BLOCK-FAILED", "not yet");
                    return Err(CallError { kind: FailureKind::Retry, ..error });
                }
                json!({"value": value})
            }
            _ => return Err(CallError::new("E-BLOCK-FAILED", "it always fails")),
        };
        Ok(outcome(&answer, payload.images))
    }

    fn shares(&self, block: &BlockRef) -> bool {
        ["add", "fail_if"].contains(&block.name.as_str())
    }

    fn call_many(
        &self,
        block: &BlockRef,
        config: &str,
        payloads: Vec<Payload>,
        context: CallContext,
    ) -> Result<Vec<Result<CallOutcome, CallError>>, CallError> {
        self.together.lock().unwrap().push(payloads.len());
        if payloads.iter().any(|payload| payload.document.contains(":13")) {
            return Err(CallError::new("E-BLOCK-CPU", "together they take too long"));
        }
        Ok(payloads.into_iter().map(|payload| self.call(block, config, payload, context.clone())).collect())
    }

    async fn check(
        &self,
        block: &BlockRef,
        config: &Value,
        _: &CheckContext,
        _: Instant,
    ) -> Result<Vec<Problem>, CallError> {
        let wrong =
            block.name == "condition" && config["operator"].as_str().is_some_and(|operator| operator != "greater_than");
        Ok(if wrong {
            vec![Problem::new("E-OPERATOR", "/config/operator", "unknown operator").suggest(Some(">="))]
        } else {
            Vec::new()
        })
    }
}

fn outcome(answer: &Value, images: Vec<Image>) -> CallOutcome {
    let document = Document::check(answer.to_string(), images.len()).expect("a valid answer");
    CallOutcome { document, images, ..CallOutcome::default() }
}

/// A block that never comes back by itself.
fn stuck(context: &CallContext) -> CallError {
    let until = context.timeout.map(|limit| Instant::now() + limit);
    while !context.cancel.is_cancelled() {
        if until.is_some_and(|until| until <= Instant::now()) {
            return CallError::new("E-TIMEOUT", "the call ran out of time");
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    CallError { kind: FailureKind::Cancelled, ..CallError::new("E-CANCELLED", "the call was taken back") }
}

fn spoken() -> CallTrace {
    let line = LogLine { level: LogLevel::Warn, message: "a dark picture".to_owned() };
    CallTrace {
        logs: vec![line],
        dropped: 2,
        profile: CallProfile { cpu_us: 40, host_cpu_us: 2, ..Default::default() },
    }
}

/// A model that finds a cat and a dog in every image.
#[derive(Default)]
pub(crate) struct Jobs {
    pub(crate) seen: Mutex<Vec<JobRequest>>,
    pub(crate) fail: bool,
    pub(crate) painted: Arc<Painted>,
    /// How many jobs were enqueued together.
    pub(crate) rounds: Mutex<Vec<usize>>,
    /// Painted pixels that were held while the jobs ran.
    pub(crate) alive: Mutex<Vec<usize>>,
}

#[async_trait]
impl JobRunner for Jobs {
    async fn enqueue(&self, jobs: Vec<JobRequest>) -> Result<Vec<(JobId, Option<JobOutcome>)>, RunError> {
        self.rounds.lock().unwrap().push(jobs.len());
        self.seen.lock().unwrap().extend(jobs.iter().cloned());
        self.alive.lock().unwrap().push(self.painted.alive());
        let outcome = |job: JobRequest| {
            let item = |id: i64, name: &str, confidence: f64| json!({"class_id": id, "class_name": name, "confidence": confidence, "bbox": {"x1": 0.1, "y1": 0.1, "x2": 0.5, "y2": 0.5}});
            let result = match job.task {
                Task::Detection => json!({"detections": [item(0, "cat", 0.9), item(1, "dog", 0.6)]}),
                _ => json!({"predictions": [item(0, "cat", 0.9), item(1, "dog", 0.1)]}),
            };
            let result = if self.fail { Err(RunError::new("E-JOB-FAILED", "no luck")) } else { Ok(result) };
            let metadata = json!({"device": "script", "cached": true});
            JobOutcome { result, metadata, queue_ms: Some(1), compute_ms: Some(2), attempts: 1 }
        };
        Ok(jobs.into_iter().map(|job| (JobId::new(), Some(outcome(job)))).collect())
    }

    async fn news(&self) {
        std::future::pending::<()>().await;
    }

    async fn ended(&self, _: Vec<JobId>) -> Result<Vec<(JobId, JobOutcome)>, RunError> {
        Ok(Vec::new())
    }
}

/// Keeps the names of events with the nodes, and their items, that they are about.
#[derive(Default)]
pub(crate) struct Diary(pub(crate) Mutex<Vec<String>>);

impl Observer for Diary {
    fn listens(&self) -> bool {
        true
    }
    fn event(&self, kind: &'static str, payload: Value) {
        let about = ["node_id", "item"].iter().filter_map(|key| payload[*key].as_str());
        self.0.lock().unwrap().push([kind].into_iter().chain(about).collect::<Vec<_>>().join(" "));
    }
    fn changed(&self) {}
}

/// The records of nodes as a whole, by node.
pub(crate) fn metrics(outcome: &RunOutcome) -> Value {
    let nodes = outcome.report.records.iter().filter(|record| record.item_path.is_empty());
    nodes.map(|record| (record.node_id.clone(), record.record.clone())).collect::<Map<_, _>>().into()
}

/// A run under way: what it is given and what it leaves behind.
pub(crate) struct Stage {
    pub(crate) blobs: BlobStore,
    pub(crate) host: Arc<Host>,
    pub(crate) jobs: Arc<Jobs>,
    pub(crate) diary: Arc<Diary>,
    pub(crate) cancel: CancellationToken,
    pub(crate) deadline: Option<tokio::time::Instant>,
    pub(crate) limits: RunLimits,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let host = Arc::new(Host::default());
        Self {
            blobs: BlobStore::in_memory(),
            jobs: Arc::new(Jobs { painted: Arc::clone(&host.painted), ..Jobs::default() }),
            host,
            diary: Arc::default(),
            cancel: CancellationToken::new(),
            deadline: None,
            limits: RunLimits::default(),
        }
    }

    pub(crate) async fn run(&self, definition: Value, input: Value, parameters: Value) -> RunOutcome {
        self.run_plan(plan(&definition), input, parameters).await
    }

    pub(crate) async fn run_plan(&self, plan: Arc<Plan>, input: Value, parameters: Value) -> RunOutcome {
        let object = |value: Value| value.as_object().cloned().unwrap_or_default();
        let input = validate_run(&plan, &object(input), &object(parameters)).expect("a valid input");
        let parts = RunParts {
            host: Arc::clone(&self.host) as Arc<dyn BlockHost>,
            jobs: Arc::clone(&self.jobs) as Arc<dyn JobRunner>,
            effects: Arc::new(Unrecorded),
            images: Arc::new(StoredImages::unrecorded(self.blobs.clone())),
            observer: Arc::clone(&self.diary) as Arc<dyn Observer>,
            limits: self.limits.clone(),
            lanes: Lanes::default(),
        };
        let request = RunSpec {
            tenant: TenantId::BUILT_IN,
            plan,
            input,
            execution_id: None,
            context: Value::Null,
            cancel: self.cancel.clone(),
            deadline: self.deadline,
        };
        run_plan(&parts, request).await
    }
}
