//! Runs through the store alone: what a submit costs under load, and what a whole run leaves behind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, json};
use sightflow_store::{
    FinishedExecution, NewBlob, NewEvent, NewExecution, NewWorker, NodeRecord, RunSource, SqliteOptions, SqliteStore,
    Store, WorkerRole,
};
use sightflow_types::{Digest, ExecutionMode, TenantId, WorkerId};

use crate::measure::process_cpu;

type Failure = anyhow::Error;

pub(super) async fn run() -> anyhow::Result<()> {
    let (runs, clients) = (2_000_u32, 50_u32);
    let directory = tempfile::TempDir::new()?;
    for (what, pictures) in [("logic", false), ("one new picture each", true)] {
        let path = directory.path().join(if pictures { "pictures.db" } else { "logic.db" });
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path, SqliteOptions::default()).await?);
        let empty = store_size(&path)?;
        let before = (store.statistics(), process_cpu("self")?, Instant::now());
        let mut waits = submit_all(&store, runs, clients, pictures).await?;
        let (commits, cpu_time, wall) =
            (store.statistics().commits - before.0.commits, process_cpu("self")? - before.1, before.2.elapsed());
        waits.sort_unstable();
        let at = |share: usize| waits[(waits.len() - 1) * share / 100].as_secs_f64() * 1e3;
        let each = cpu_time.as_secs_f64() * 1e3 / f64::from(runs);
        println!(
            "{what}: {runs} submits, {clients} clients: {:.0}/s, {each:.2} ms CPU, {:.2} commits each, p50 {:.1} ms, p99 {:.1} ms",
            f64::from(runs) / wall.as_secs_f64(),
            commits as f64 / f64::from(runs),
            at(50),
            at(99),
        );
        let before = (store.statistics(), process_cpu("self")?);
        finish_all(&store, runs).await?;
        let each = (process_cpu("self")? - before.1).as_secs_f64() * 1e3 / f64::from(runs);
        println!(
            "  start and finish with 20 events, 64 at a time: {each:.2} ms CPU, {} commits",
            store.statistics().commits - before.0.commits
        );
        // Closing copies all of the log into the file.
        store.close().await;
        println!("  {} bytes a run in the file", (store_size(&path)? - empty) / u64::from(runs));
    }
    Ok(())
}

fn store_size(path: &std::path::Path) -> Result<u64, Failure> {
    Ok(std::fs::metadata(path)?.len())
}

fn new_run(store: &dyn Store, picture: Option<Digest>) -> NewExecution {
    let new_blobs = picture.map(|digest| NewBlob {
        digest,
        size: 68_000,
        media_type: "image/jpeg".into(),
        width: Some(640),
        height: Some(480),
        stored_at: store.now(),
    });
    NewExecution {
        queue_quota: None,
        tenant_id: TenantId::BUILT_IN,
        source: RunSource::Inline(json!({"version": "1.0", "nodes": [{"id": "a", "type": "filter"}], "edges": []})),
        mode: ExecutionMode::Async,
        priority: 5,
        input: Map::from_iter([("image".to_owned(), json!({"digest": picture}))]),
        parameters: Map::new(),
        metadata: json!({}),
        timeout_seconds: 300,
        max_retries: 3,
        traceparent: None,
        input_blobs: Vec::new(),
        new_blobs: new_blobs.into_iter().collect(),
        idempotency: None,
    }
}

/// Submits from several clients, each one after the other; how long each took.
async fn submit_all(store: &Arc<dyn Store>, runs: u32, clients: u32, pictures: bool) -> Result<Vec<Duration>, Failure> {
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..clients {
        let store = store.clone();
        tasks.spawn(async move {
            let mut waits = Vec::new();
            for n in (client..runs).step_by(clients as usize) {
                let mut bytes = [0; 32];
                bytes[..4].copy_from_slice(&n.to_le_bytes());
                let new = new_run(store.as_ref(), pictures.then_some(Digest::from_bytes(bytes)));
                let started = Instant::now();
                store.submit(new).await?;
                waits.push(started.elapsed());
            }
            Ok::<_, Failure>(waits)
        });
    }
    let mut waits = Vec::new();
    while let Some(done) = tasks.join_next().await {
        waits.extend(done??);
    }
    Ok(waits)
}

/// Walks everything that waits, 64 runs at a time.
async fn finish_all(store: &Arc<dyn Store>, runs: u32) -> Result<(), Failure> {
    let new = NewWorker {
        id: WorkerId::new(),
        role: WorkerRole::Engine,
        name: "bench".into(),
        version: "0".into(),
        labels: json!({}),
        models: json!([]),
        device: None,
        memory_total: None,
    };
    let engine = store.register_worker(new).await?.id;
    let mut left = runs;
    while left > 0 {
        let started = store.start_executions(engine, 64).await?;
        left -= u32::try_from(started.len())?;
        let mut tasks = tokio::task::JoinSet::new();
        for run in started {
            let store = store.clone();
            tasks.spawn(async move {
                let event =
                    NewEvent { kind: "node.completed".into(), payload: json!({"node_id": "a", "duration_ms": 3}) };
                let end = FinishedExecution {
                    error: None,
                    outputs: json!({"count": 3}),
                    records: vec![NodeRecord {
                        node_id: "a".into(),
                        item_path: String::new(),
                        record: json!({"status": "completed", "duration_ms": 3}),
                    }],
                    block_cpu_us: 0,
                    progress: json!({"percent": 100}),
                    output_blobs: Vec::new(),
                    events: vec![event; 20],
                    pins: Some(json!({"blocks": {"filter": "sha256:0000000000000000"}})),
                };
                store.finish(run.lease(), end).await
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
    }
    Ok(())
}
