//! Logic nodes in a row, in process: every block in an instance of its own.

use std::sync::Arc;

use anyhow::{Context, Result};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use sightflow::wiring::Blocks;
use sightflow_engine::{
    Catalog, DefinitionLimits, End, ImageIo, JobOutcome, JobRequest, JobRunner, Lanes, ModelCatalog, Purpose,
    RunLimits, RunParts, RunSpec, Silent, Unrecorded, compile, run_plan, validate_run,
};
use sightflow_images::Image;
use sightflow_sandbox::{CallConditions, GuestPayload, Sandbox, SandboxConfig};
use sightflow_types::error::{RunError, code};
use sightflow_types::{Digest, ImageRef, JobId, TenantId};
use tokio_util::sync::CancellationToken;

use crate::blocks::package_of;
use crate::measure::{Times, detections, micros, repeat};

/// A chain of `count` filters, each passing everything on.
pub(crate) fn definition(count: usize) -> Value {
    let node = |i: usize| json!({"id": format!("n{i}"), "type": "filter", "config": {"field": "confidence", "operator": "greater_equal", "value": 0.1}});
    let mut nodes: Vec<Value> = (0..count).map(node).collect();
    nodes[0]["inputs"] = json!({"items": "$inputs.items"});
    let edge = |i: usize| json!({"source": format!("n{i}"), "sourceHandle": "passed", "target": format!("n{}", i + 1), "targetHandle": "items"});
    json!({"nodes": nodes, "edges": (0..count - 1).map(edge).collect::<Vec<_>>()})
}

pub(crate) fn run() -> Result<()> {
    let blocks = Blocks::load(None, None)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for (nodes, items, bar) in
        [(10, 5, "bar p50 ≤ 500"), (10, 50, "bar p50 ≤ 2000"), (100, 5, "bar: linear"), (100, 50, "")]
    {
        let bare = bare(&blocks.catalog(), nodes, items)?;
        bare.print(&format!("{nodes} bare component calls, {items} items"), "");
        let walked = walked(&blocks, &runtime, nodes, items)?;
        walked.print(&format!("{nodes} logic nodes in process, {items} items"), bar);
        println!(
            "{:46} {:.2} (bar ≤ 2.0)",
            "  of the bare calls",
            micros(walked.quantile(0.5)) / micros(bare.quantile(0.5))
        );
    }
    Ok(())
}

/// The same blocks with the same values, called one after the other by one thread: no graph, no records.
fn bare(catalog: &Catalog, nodes: usize, items: usize) -> Result<Times> {
    let sandbox = Sandbox::new(&SandboxConfig::default())?;
    let packages = sightflow_first_party::load(&sandbox)?;
    let package = package_of(&packages, "filter")?;
    let plan = compile(&definition(1), catalog, &ModelCatalog::default(), &DefinitionLimits::default()).plan;
    let config =
        plan.and_then(|plan| plan.nodes[0].config.text.clone()).context("a filter with a fixed configuration")?;
    let document = json!({"items": detections(items)}).to_string();
    let context = CallConditions::default();
    repeat(200, 1000, || {
        for _ in 0..nodes {
            let payload = GuestPayload { document: document.clone(), images: Vec::new() };
            sandbox.call_blocking(package, "filter", &config, payload, &context)?;
        }
        Ok(())
    })
}

/// The run of a plan, as the server walks it.
fn walked(blocks: &Blocks, runtime: &tokio::runtime::Runtime, nodes: usize, items: usize) -> Result<Times> {
    let compiled =
        compile(&definition(nodes), &blocks.catalog(), &ModelCatalog::default(), &DefinitionLimits::default());
    let plan = compiled.plan.with_context(|| format!("{:?}", compiled.errors))?;
    let input = Map::from_iter([("items".to_owned(), detections(items))]);
    let input = validate_run(&plan, &input, &Map::new()).map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
    let parts = RunParts {
        host: blocks.host.clone(),
        jobs: Arc::new(Nothing),
        effects: Arc::new(Unrecorded),
        images: Arc::new(Nothing),
        observer: Arc::new(Silent),
        limits: RunLimits::default(),
        lanes: Lanes::default(),
    };
    // On a worker thread, as the server runs it.
    runtime.block_on(runtime.spawn(async move {
        let mut times = Vec::new();
        for round in 0..1200 {
            let request = RunSpec {
                tenant: TenantId::BUILT_IN,
                plan: plan.clone(),
                input: input.clone(),
                execution_id: None,
                context: Value::Null,
                cancel: CancellationToken::new(),
                deadline: None,
            };
            let start = std::time::Instant::now();
            let outcome = run_plan(&parts, request).await;
            let time = start.elapsed();
            anyhow::ensure!(outcome.end == End::Completed, "{:?}", outcome.end);
            if round >= 200 {
                times.push(time);
            }
        }
        Ok(Times::new(times))
    }))?
}

/// Logic needs neither models nor images.
struct Nothing;

fn none() -> RunError {
    RunError::new(code::INTERNAL, "this bench has neither models nor images")
}

#[async_trait]
impl JobRunner for Nothing {
    async fn enqueue(&self, _: Vec<JobRequest>) -> Result<Vec<(JobId, Option<JobOutcome>)>, RunError> {
        Err(none())
    }

    async fn news(&self) {
        std::future::pending::<()>().await;
    }

    async fn ended(&self, _: Vec<JobId>) -> Result<Vec<(JobId, JobOutcome)>, RunError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl ImageIo for Nothing {
    async fn load(&self, _: &Digest) -> Result<Bytes, RunError> {
        Err(none())
    }

    async fn store(&self, _: &Image, _: Purpose) -> Result<ImageRef, RunError> {
        Err(none())
    }

    async fn fetch(&self, _: &str, _: &str) -> Result<(Bytes, Digest), RunError> {
        Err(none())
    }
}
