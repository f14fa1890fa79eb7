//! Records of nodes and items; what a run cost.

use serde_json::{Value, json};
use sightflow_store::{
    Append, Cost, Execution, ExecutionFilter, ExecutionLease, FinishedExecution, JobResult, NodeRecord, PageRequest,
    StoreError, UsageBy, UsageQuery, definition_digest,
};

use crate::harness::{Backend, TENANT, World, completed, record, result_of};

async fn append<B: Backend>(world: &World<B>, lease: ExecutionLease, records: Vec<NodeRecord>) {
    world.store.append_events(lease, Append { records, ..Append::default() }).await.expect("append");
}

async fn get<B: Backend>(world: &World<B>, lease: ExecutionLease) -> Execution {
    world.store.execution(TENANT, lease.execution_id).await.expect("get")
}

pub(crate) async fn records_take_the_place_of_former_ones<B: Backend>(world: &mut World<B>) {
    let run = world.running().await;
    let lease = run.lease();
    assert_eq!(run.definition_digest, definition_digest(&json!({"version": "1.0", "nodes": [], "edges": []})));
    assert_eq!(get(world, lease).await.node_metrics, json!({}));
    let error = json!({"code": "E-X", "item": null});
    let first = vec![
        record("a", "", json!({"status": "running", "duration_ms": null})),
        record("b", "", json!({"status": "failed", "error": error})),
        record("b", "0", json!({"status": "completed"})),
        record("7", "", json!({"status": "completed"})),
    ];
    append(world, lease, first).await;
    let b = json!({"status": "failed", "error": error});
    let metrics = |a: Value| json!({"a": a, "b": b, "7": {"status": "completed"}});
    assert_eq!(get(world, lease).await.node_metrics, metrics(json!({"status": "running"})), "items stand apart");
    append(world, lease, vec![record("a", "", json!({"status": "completed", "duration_ms": 3}))]).await;
    append(world, lease, Vec::new()).await;
    let second = json!({"status": "completed", "duration_ms": 3});
    assert_eq!(get(world, lease).await.node_metrics, metrics(second.clone()));
    let end = FinishedExecution { records: vec![record("b", "0", json!({"status": "failed"}))], ..completed() };
    world.store.finish(lease, end).await.expect("finish");
    assert_eq!(get(world, lease).await.node_metrics, metrics(second), "what did not change stays");
    let item = world.store.node_record(TENANT, lease.execution_id, "b", "0").await.expect("read");
    assert_eq!(item, Some(record("b", "0", json!({"status": "failed"}))));
    for (node, item) in [("b", "1"), ("c", ""), ("a", "0")] {
        let nothing = world.store.node_record(TENANT, lease.execution_id, node, item).await.expect("read");
        assert_eq!(nothing, None, "{node} {item}");
    }
    let page = world.store.executions(TENANT, ExecutionFilter::default(), PageRequest::default()).await.expect("list");
    assert_eq!(page.items[0].node_metrics, json!({}), "lists are without");
}

pub(crate) async fn items_come_in_the_order_of_their_indexes<B: Backend>(world: &mut World<B>) {
    let lease = world.running().await.lease();
    let flat = (0..12).rev().map(|n| record("flat", &n.to_string(), json!({"n": n})));
    let nested = ["1/0", "0/10", "10/0", "0/9", "0/2/1"].map(|path| record("nested", path, json!({})));
    append(world, lease, flat.chain(nested).chain([record("flat", "", json!({"items": {"total": 12}}))]).collect())
        .await;
    let (store, id) = (&world.store, lease.execution_id);
    let paths = async |node: &str, after: Option<&str>, limit: u32| {
        let page = store.node_items(TENANT, id, node, after, limit).await.expect("items");
        (page.items.iter().map(|item| item.item_path.clone()).collect::<Vec<_>>().join(" "), page.next)
    };
    for (node, after, limit, expected, next) in [
        ("flat", None, 5, "0 1 2 3 4", Some("4")),
        ("flat", Some("4"), 5, "5 6 7 8 9", Some("9")),
        ("flat", Some("9"), 5, "10 11", None),
        ("flat", Some("9"), 2, "10 11", None),
        ("flat", Some("11"), 5, "", None),
        ("flat", None, 0, "0", Some("0")),
        ("nested", None, 100, "0/2/1 0/9 0/10 1/0 10/0", None),
        ("nested", Some("0/9"), 1, "0/10", Some("0/10")),
        ("other", None, 5, "", None),
    ] {
        let expected = (expected.to_owned(), next.map(str::to_owned));
        assert_eq!(paths(node, after, limit).await, expected, "{node} after {after:?}");
    }
    let page = store.node_items(TENANT, id, "flat", Some("10"), 1).await.expect("items");
    assert_eq!(page.items, [record("flat", "11", json!({"n": 11}))]);
    for (node, count) in [("flat", 12), ("nested", 5), ("other", 0)] {
        assert_eq!(store.count_node_items(TENANT, id, node).await.expect("count"), count, "{node}");
    }
}

/// An old lease writes neither records nor costs.
pub(crate) async fn stale_leases_record_nothing<B: Backend>(world: &mut World<B>) {
    let engine = world.engine().await;
    world.submit().await;
    let old = world.store.start_executions(engine, 1).await.expect("start").remove(0).lease();
    world.store.hand_back(old).await.expect("hand back");
    let new = world.store.start_executions(engine, 1).await.expect("start").remove(0).lease();
    let records = || vec![record("a", "", json!({"by": "old"})), record("a", "0", json!({}))];
    let late = Append { records: records(), block_cpu_us: 9, ..Append::default() };
    let refused = world.store.append_events(old, late.clone()).await;
    assert!(matches!(refused, Err(StoreError::StaleLease)), "{refused:?}");
    let refused = world.store.finish(old, FinishedExecution { records: records(), ..completed() }).await;
    assert!(matches!(refused, Err(StoreError::StaleLease)), "{refused:?}");
    assert_eq!(world.count("SELECT count(*) FROM wf_node_records").await, 0);
    append(world, new, vec![record("a", "", json!({"by": "new"}))]).await;
    world.store.cancel(TENANT, new.execution_id).await.expect("cancel");
    let refused = world.store.append_events(new, late).await;
    assert!(matches!(refused, Err(StoreError::StaleLease)), "{refused:?}");
    let ended = get(world, new).await;
    assert_eq!((ended.node_metrics, ended.cost.block_cpu_us), (json!({"a": {"by": "new"}}), Some(0)));
    world.store.delete_execution(TENANT, new.execution_id).await.expect("delete");
    assert_eq!(world.count("SELECT count(*) FROM wf_node_records").await, 0, "records go with their execution");
}

/// What was used is known by hour, workflow, model and block, and stays when the executions go.
pub(crate) async fn usage_outlives_what_used_it<B: Backend>(world: &mut World<B>) {
    let worker = world.worker().await;
    let mut ended = Vec::new();
    for (device, compute_ms, batch_size) in [("cpu", 10, 4), ("cuda:0", 100, 8)] {
        let (lease, _) = world.with_jobs(1).await;
        let claimed = world.claim(worker, 1).await;
        let metadata = json!({"device": device});
        let result = JobResult { metadata, compute_ms, batch_size, ..result_of(&claimed[0]) };
        world.store.complete_jobs(worker, vec![result]).await.expect("complete");
        let record = |node: &str, item: &str, us: u64| NodeRecord {
            node_id: node.into(),
            item_path: item.into(),
            record: json!({"type": "crop", "block_cpu_us": us}),
        };
        // That of the node holds those of its items.
        let records = vec![record("a", "", 30), record("a", "0", 10), record("a", "1", 20), record("b", "", 7)];
        world.store.finish(lease, FinishedExecution { records, ..completed() }).await.expect("finish");
        ended.push(lease.execution_id);
        world.clock.advance(3_600_000);
    }
    let now = world.store.now();
    let used = async |by, from_ms: i64| {
        let query = UsageQuery { from: now.plus_millis(from_ms), to: now, by };
        world.store.usage(TENANT, query).await.expect("usage")
    };
    let day = -24 * 3_600_000;
    let all = async || {
        let mut all = Vec::new();
        for by in UsageBy::ALL {
            all.push(used(*by, day).await);
        }
        all
    };
    let before = all().await;
    let [hours, days, workflows, models, blocks] = &before[..] else { panic!("five groupings") };
    assert_eq!(
        hours.iter().map(|hour| (hour.executions, hour.jobs, hour.block_cpu_us)).collect::<Vec<_>>(),
        [(1, 1, 37); 2]
    );
    assert_eq!((hours[0].worker_cpu_us, hours[0].gpu_us), (2_500, 0));
    assert_eq!((hours[1].worker_cpu_us, hours[1].gpu_us), (0, 12_500));
    assert!((1..=2).contains(&days.len()) && days.iter().map(|day| day.executions).sum::<u64>() == 2, "{days:?}");
    assert_eq!((workflows.len(), workflows[0].executions, workflows[0].gpu_us), (1, 2, 12_500));
    assert_eq!((models.len(), models[0].jobs, models[0].executions, models[0].block_cpu_us), (1, 2, 0, 0));
    assert_eq!((blocks.len(), blocks[0].key.as_str(), blocks[0].block_cpu_us, blocks[0].jobs), (1, "crop", 74, 0));
    world.store.delete_execution(TENANT, ended[0]).await.expect("delete");
    assert_eq!(all().await, before, "one is gone, and what it used is not");
    world.store.delete_execution(TENANT, ended[1]).await.expect("delete");
    assert_eq!(all().await, before);
    assert_eq!(used(UsageBy::Hour, 0).await, [], "an empty range");
    let query = UsageQuery { from: now.plus_millis(day), to: now, by: UsageBy::Hour };
    assert_eq!(world.store.usage(sightflow_types::TenantId::new(), query).await.expect("another's"), []);
}

/// Times of blocks add up, also over engines; those of jobs are counted at the end, each its share of its batch.
pub(crate) async fn costs_add_up<B: Backend>(world: &mut World<B>) {
    let cost = |block, worker, gpu| Cost { block_cpu_us: Some(block), worker_cpu_ms: worker, gpu_ms: gpu };
    let waiting = world.submit().await.id;
    assert_eq!(world.store.cancel(TENANT, waiting).await.expect("cancel").cost, cost(0, Some(0), Some(0)));
    /// Device, compute time of the batch, jobs in it.
    type Done = (Option<&'static str>, u64, u32);
    let cases: [(&[Done], Cost); 5] = [
        (&[], cost(2_007, Some(0), Some(0))),
        (&[(Some("cpu"), 10, 4), (Some("cpu"), 7, 2)], cost(2_007, Some(6), Some(0))),
        (&[(Some("cuda:0"), 100, 8), (Some("cpu"), 7, 1)], cost(2_007, Some(7), Some(13))),
        (&[(Some("cpu"), 10, 1), (None, 7, 1)], cost(2_007, None, None)),
        (&[(Some("cpu"), 10, 0)], cost(2_007, None, None)),
    ];
    let worker = world.worker().await;
    for (jobs, expected) in cases {
        let (lease, _) = world.with_jobs(2).await;
        world.store.append_events(lease, Append { block_cpu_us: 7, ..Append::default() }).await.expect("append");
        for &(device, compute_ms, batch_size) in jobs {
            let claimed = world.claim(worker, 1).await;
            let metadata = device.map_or_else(|| json!({}), |device| json!({"device": device}));
            let result = JobResult { metadata, compute_ms, batch_size, ..result_of(&claimed[0]) };
            assert_eq!(world.store.complete_jobs(worker, vec![result]).await.expect("complete").len(), 1);
        }
        world.store.finish(lease, completed()).await.expect("finish");
        assert_eq!(get(world, lease).await.cost, expected, "{jobs:?}");
    }
    let (lease, _) = world.with_jobs(2).await;
    let claimed = world.claim(worker, 1).await;
    let result = JobResult { metadata: json!({"device": "cpu"}), ..result_of(&claimed[0]) };
    world.store.complete_jobs(worker, vec![result]).await.expect("complete");
    let ended = world.store.cancel(TENANT, lease.execution_id).await.expect("cancel");
    assert_eq!(ended.cost, cost(0, Some(4), Some(0)), "a cancelled run has cost what it has");
    let page = world.store.executions(TENANT, ExecutionFilter::default(), PageRequest::default()).await.expect("list");
    assert_eq!(page.items[0].cost, ended.cost, "lists say it, too");
}
