//! Loops: what an item costs, over a component, over a model, nested, and from few to many.

mod stored;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use serde_json::{Map, Value, json};
use sightflow::wiring::Blocks;
use sightflow_blobs::BlobStore;
use sightflow_engine::server::StoredImages;
use sightflow_engine::{
    DefinitionLimits, End, JobOutcome, JobRequest, JobRunner, Lanes, ModelCatalog, ModelEntry, Plan, RunLimits,
    RunParts, RunSpec, Silent, Unrecorded, compile, run_plan, validate_run,
};
use sightflow_images::{EncodeFormat, Image, PixelFormat, Pixels, encode};
use sightflow_types::error::RunError;
use sightflow_types::model::{Decoder, ModelSpec};
use sightflow_types::{JobId, ModelSource, Task, TenantId};
use tokio_util::sync::CancellationToken;

use crate::measure::{detections, process_cpu};

pub(crate) fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let blocks = Blocks::load(None, None)?;
    runtime.block_on(async {
        let bench = Bench::new(&blocks).await?;
        bench.measure("500 items over `crop`", crop(), 500).await?;
        bench.measure("500 items over a scripted model", model(), 500).await?;
        bench.measure("4 loops deep, 5×5×5×4 items over `filter`", nest(), 5).await?;
        println!("\ncost of an item, body `filter` (bar: flat)");
        for items in [10, 100, 500, 1000, 5000] {
            bench.measure("", filter(), items).await?;
        }
        stored::run(&blocks, model()).await
    })
}

/// Runs in this process, without a database.
struct Bench<'b> {
    blocks: &'b Blocks,
    blobs: BlobStore,
    photo: Value,
}

impl<'b> Bench<'b> {
    async fn new(blocks: &'b Blocks) -> Result<Self> {
        let blobs = BlobStore::in_memory();
        let photo = blobs.put(encode(&photo()?, EncodeFormat::Png)?).await?;
        Ok(Self { blocks, blobs, photo: json!(photo) })
    }

    async fn measure(&self, name: &str, definition: Value, items: usize) -> Result<()> {
        let plan = plan(self.blocks, &definition)?;
        let jobs = Arc::new(Scripted::default());
        let rounds = if items > 1000 { 3 } else { 10 };
        let (mut best, mut cpu) = (Duration::MAX, Duration::ZERO);
        for _ in 0..rounds {
            let before = process_cpu("self")?;
            let time = self.once(&plan, &jobs, items).await?;
            best = best.min(time);
            cpu += process_cpu("self")? - before;
        }
        let per_item = |time: Duration| time.as_secs_f64() * 1e6 / items as f64;
        let (asked, made) = (jobs.rounds.load(Ordering::Relaxed), jobs.jobs.load(Ordering::Relaxed));
        let of_jobs =
            if asked > 0 { format!("  {:.1} jobs a round", made as f64 / asked as f64) } else { String::new() };
        println!(
            "{name:44} items {items:>5}  wall {:>8.2} ms  CPU {:>8.2} ms  {:>7.1} µs an item{of_jobs}",
            best.as_secs_f64() * 1e3,
            cpu.as_secs_f64() * 1e3 / f64::from(rounds),
            per_item(best),
        );
        Ok(())
    }

    async fn once(&self, plan: &Arc<Plan>, jobs: &Arc<Scripted>, items: usize) -> Result<Duration> {
        let mut input = Map::from_iter([("items".to_owned(), detections(items))]);
        if !plan.image_inputs().is_empty() {
            input.insert("image".to_owned(), self.photo.clone());
        }
        let input = validate_run(plan, &input, &Map::new()).map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
        let parts = RunParts {
            host: self.blocks.host.clone(),
            jobs: Arc::clone(jobs) as Arc<dyn JobRunner>,
            effects: Arc::new(Unrecorded),
            images: Arc::new(StoredImages::unrecorded(self.blobs.clone())),
            observer: Arc::new(Silent),
            limits: RunLimits::default(),
            lanes: Lanes::default(),
        };
        let request = RunSpec {
            tenant: TenantId::BUILT_IN,
            plan: Arc::clone(plan),
            input,
            execution_id: None,
            context: Value::Null,
            cancel: CancellationToken::new(),
            deadline: None,
        };
        let start = Instant::now();
        let outcome = run_plan(&parts, request).await;
        ensure!(outcome.end == End::Completed, "{:?}", outcome.end);
        let found = outcome.outputs["all"].as_array().map_or(0, Vec::len);
        ensure!(found == items, "{found} results for {items} items");
        Ok(start.elapsed())
    }
}

/// A picture of 640×480 pixels, all a little different.
pub(crate) fn photo() -> Result<Image> {
    let data = (0..640_u32 * 480 * 3).map(|at| (at % 251) as u8).collect();
    Ok(Image::from_pixels(Pixels::new(640, 480, PixelFormat::Rgb8, data)?))
}

fn plan(blocks: &Blocks, definition: &Value) -> Result<Arc<Plan>> {
    let compiled = compile(definition, &blocks.catalog(), &ModelCatalog::new([finder()]), &DefinitionLimits::default());
    compiled.plan.with_context(|| format!("{:?}", compiled.errors))
}

/// A model that only answers.
fn finder() -> ModelEntry {
    let spec = ModelSpec::new(
        Task::Detection,
        [416, 416],
        Decoder::Softmax { output: "out".into() },
        vec!["cat".to_owned(), "dog".to_owned()],
    );
    ModelEntry { id: "finder".into(), source: ModelSource::Pretrained, digest: None, available: true, spec }
}

/// A `foreach` over the run's items; its body ends in a port that `collect` takes.
fn looped(body: &[Value], last: &str) -> Value {
    let mut nodes = vec![
        json!({"id": "each", "type": "foreach", "inputs": {"items": "$inputs.items"}}),
        json!({"id": "all", "type": "collect"}),
    ];
    nodes.extend(body.iter().cloned());
    json!({"nodes": nodes, "edges": [wire(last, "all")], "outputs": [{"name": "all", "source": "$nodes.all.results"}]})
}

/// An edge from `node.port` into a `collect`.
fn wire(from: &str, collect: &str) -> Value {
    let (source, port) = from.split_once('.').unwrap_or_default();
    json!({"source": source, "sourceHandle": port, "target": collect, "targetHandle": "item"})
}

fn crop() -> Value {
    let inputs = json!({"image": "$nodes.photo.image", "detection": "$nodes.each.item"});
    let crop = json!({"id": "crop", "type": "crop", "inputs": inputs});
    looped(&[json!({"id": "photo", "type": "image_input"}), crop], "crop.crops")
}

/// Each item asks the model about the same picture, with a threshold of its own.
fn model() -> Value {
    let config = json!({"model_id": "finder", "confidence": "{{ nodes.each.item.confidence / 4 }}"});
    let find = json!({"id": "find", "type": "detection", "config": config, "inputs": {"image": "$nodes.photo.image"}});
    looped(&[json!({"id": "photo", "type": "image_input"}), find], "find.detections")
}

fn filter() -> Value {
    looped(&[keep("each")], "keep.passed")
}

/// A filter of a list that holds one item.
fn keep(each: &str) -> Value {
    let config = json!({"field": "confidence", "operator": "greater_equal", "value": 0.1});
    json!({"id": "keep", "type": "filter", "inputs": {"items": [format!("$nodes.{each}.item")]}, "config": config})
}

/// Loops of 5, 5 and 4 items inside of the run's.
fn nest() -> Value {
    let list = |count: usize| Value::Array((0..count).map(|n| json!({"confidence": 0.5, "n": n})).collect());
    let mut nodes = vec![
        json!({"id": "each", "type": "foreach", "inputs": {"items": "$inputs.items"}}),
        json!({"id": "all", "type": "collect"}),
        keep("l3"),
    ];
    let mut edges = Vec::new();
    for (depth, count) in [(1, 5), (2, 5), (3, 4)] {
        let outer = if depth == 1 { "each".to_owned() } else { format!("l{}", depth - 1) };
        nodes.push(json!({"id": format!("l{depth}"), "type": "foreach", "inputs": {"items": list(count), "context": format!("$nodes.{outer}.index")}}));
        nodes.push(json!({"id": format!("c{depth}"), "type": "collect"}));
        let inner = if depth == 3 { "keep.passed".to_owned() } else { format!("c{}.results", depth + 1) };
        edges.push(wire(&inner, &format!("c{depth}")));
    }
    edges.push(wire("c1.results", "all"));
    json!({"nodes": nodes, "edges": edges, "outputs": [{"name": "all", "source": "$nodes.all.results"}]})
}

/// Answers every job at once.
#[derive(Default)]
struct Scripted {
    rounds: AtomicUsize,
    jobs: AtomicUsize,
    ready: Mutex<Vec<(JobId, JobOutcome)>>,
}

#[async_trait]
impl JobRunner for Scripted {
    async fn enqueue(&self, jobs: Vec<JobRequest>) -> Result<Vec<(JobId, Option<JobOutcome>)>, RunError> {
        self.rounds.fetch_add(1, Ordering::Relaxed);
        self.jobs.fetch_add(jobs.len(), Ordering::Relaxed);
        let ids: Vec<JobId> = jobs.iter().map(|_| JobId::new()).collect();
        let outcome = || JobOutcome {
            result: Ok(
                json!({"detections": [{"class_id": 0, "class_name": "cat", "confidence": 0.9, "bbox": {"x1": 0.1, "y1": 0.1, "x2": 0.5, "y2": 0.5}}]}),
            ),
            metadata: json!({"device": "script"}),
            queue_ms: Some(0),
            compute_ms: Some(0),
            attempts: 1,
        };
        self.ready
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .extend(ids.iter().map(|id| (*id, outcome())));
        Ok(ids.into_iter().map(|id| (id, None)).collect())
    }

    async fn news(&self) {
        if self.ready.lock().unwrap_or_else(std::sync::PoisonError::into_inner).is_empty() {
            std::future::pending::<()>().await;
        }
    }

    async fn ended(&self, _: Vec<JobId>) -> Result<Vec<(JobId, JobOutcome)>, RunError> {
        Ok(std::mem::take(&mut *self.ready.lock().unwrap_or_else(std::sync::PoisonError::into_inner)))
    }
}
