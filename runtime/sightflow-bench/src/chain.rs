//! Ten logic nodes in a row, in process: every block in an instance of its own.

use std::sync::Arc;

use anyhow::{Context, Result};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use sightflow::wiring::Blocks;
use sightflow_engine::{
    End, ImageIo, JobOutcome, JobRequest, JobRunner, Limits, ModelCatalog, Purpose, RunLimits, RunParts, RunRequest,
    Silent, compile, run_plan, validate_run,
};
use sightflow_images::Image;
use sightflow_types::error::{RunError, code};
use sightflow_types::{Digest, ImageRef};
use tokio_util::sync::CancellationToken;

use crate::measure::Times;

/// A chain of `count` filters, each passing everything on.
pub(crate) fn definition(count: usize) -> Value {
    let node = |i: usize| json!({"id": format!("n{i}"), "type": "filter", "config": {"field": "confidence", "operator": "greater_equal", "value": 0.1}});
    let mut nodes: Vec<Value> = (0..count).map(node).collect();
    nodes[0]["inputs"] = json!({"items": "$inputs.items"});
    let edge = |i: usize| json!({"source": format!("n{i}"), "sourceHandle": "passed", "target": format!("n{}", i + 1), "targetHandle": "items"});
    json!({"nodes": nodes, "edges": (0..count - 1).map(edge).collect::<Vec<_>>()})
}

pub(crate) fn run() -> Result<()> {
    let blocks = Blocks::load(None)?;
    let compiled = compile(&definition(10), &blocks.catalog, &ModelCatalog::default(), &Limits::default());
    let plan = compiled.plan.with_context(|| format!("{:?}", compiled.errors))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for (name, items) in [("10 logic nodes in process, 5 items", 5), ("10 logic nodes in process, 50 items", 50)] {
        let input = Map::from_iter([("items".to_owned(), crate::measure::detections(items))]);
        let input = validate_run(&plan, &input, &Map::new()).map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
        let parts = RunParts {
            host: blocks.host.clone(),
            jobs: Arc::new(Nothing),
            images: Arc::new(Nothing),
            observer: Arc::new(Silent),
            limits: RunLimits::default(),
        };
        let plan = plan.clone();
        // On a worker thread, as the server runs it.
        let times = runtime.block_on(runtime.spawn(async move {
            let mut times = Vec::new();
            for round in 0..1200 {
                let request = RunRequest {
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
        }))??;
        times.print(name, "bar p50 ≤ 500");
    }
    Ok(())
}

/// Logic needs neither models nor images.
struct Nothing;

fn none() -> RunError {
    RunError::new(code::INTERNAL, "this bench has neither models nor images")
}

#[async_trait]
impl JobRunner for Nothing {
    async fn run(&self, _: Vec<JobRequest>) -> Result<Vec<JobOutcome>, RunError> {
        Err(none())
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
