//! Runs of plans with scripted blocks and models.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use sightflow_engine::{DefinitionLimits, End, RunOutcome};
use sightflow_images::{EncodeFormat, Image, PixelFormat, Pixels, encode};
use sightflow_memory::{MemoryPool, Use};
use tokio_util::sync::CancellationToken;

use crate::script::{Jobs, Stage, metrics, plan_within};

fn number(id: &str, value: f64) -> Value {
    json!({"id": id, "type": "number", "config": {"is": value}})
}

fn wire(source: &str, target: &str) -> Value {
    let (source, from) = source.split_once('.').unwrap_or((source, ""));
    let (target, to) = target.split_once('.').unwrap_or((target, "value"));
    json!({"source": source, "sourceHandle": from, "target": target, "targetHandle": to})
}

fn status(outcome: &RunOutcome, node: &str) -> String {
    metrics(outcome)[node]["status"].as_str().unwrap_or_default().to_owned()
}

fn failed(outcome: &RunOutcome) -> (String, Option<String>) {
    match &outcome.end {
        End::Failed(error) => (error.code.clone(), error.node_id.clone()),
        other => (format!("{other:?}"), None),
    }
}

/// n → condition(> 0) → yes | no → join.
fn branches(value: f64) -> Value {
    json!({
        "nodes": [number("n", value), {"id": "c", "type": "condition", "config": {"value": 0}}, {"id": "yes", "type": "echo", "config": {"text": "was positive"}},
                  {"id": "no", "type": "echo", "config": {"text": "was not"}}, {"id": "after_no", "type": "echo"}, {"id": "join", "type": "echo"}],
        "edges": [wire("n", "c"), {"source": "c", "condition": "true", "target": "yes", "targetHandle": "value"},
                  {"source": "c", "condition": "false", "target": "no", "targetHandle": "value"}, wire("no.value", "after_no"),
                  wire("yes.value", "join"), wire("after_no.value", "join")],
        "outputs": [{"name": "joined", "source": "$nodes.join.value"}, {"name": "no", "source": "$nodes.no.value"}],
    })
}

#[tokio::test]
async fn a_branch_not_taken_is_skipped_and_the_join_runs() {
    for (value, joined, skipped) in [(3.0, "was positive", vec!["no", "after_no"]), (-3.0, "was not", vec!["yes"])] {
        let outcome = Stage::new().run(branches(value), json!({}), json!({})).await;
        assert_eq!(outcome.end, End::Completed);
        assert_eq!(outcome.outputs["joined"], joined);
        assert_eq!(outcome.outputs["no"].is_null(), value > 0.0);
        for node in skipped {
            assert_eq!(status(&outcome, node), "skipped", "{node}");
            assert!(metrics(&outcome)[node]["skip_reason"].as_str().unwrap().contains("absent"), "{node}");
        }
        assert_eq!(status(&outcome, "join"), "completed");
    }
}

#[tokio::test]
async fn a_reference_to_a_branch_is_as_an_edge_to_it() {
    // All ports of `paint` are optional, so only the rule for what refers to nothing skips it.
    let definition = |image: &str| {
        json!({
            "nodes": [number("n", 3.0), {"id": "c", "type": "condition", "config": {"value": 0}}, {"id": "no", "type": "paint"},
                      {"id": "by_edge", "type": "paint"}, {"id": "by_reference", "type": "paint", "inputs": {"image": image}}],
            "edges": [wire("n", "c"), {"source": "c", "condition": "false", "target": "no", "targetHandle": "image"}, wire("no.image", "by_edge.image")],
        })
    };
    for (image, expected) in [("$nodes.no.image", "skipped"), ("$inputs.none", "completed")] {
        let outcome = Stage::new().run(definition(image), json!({}), json!({})).await;
        assert_eq!(
            (status(&outcome, "by_edge"), status(&outcome, "by_reference")),
            ("skipped".into(), expected.into())
        );
    }
}

#[tokio::test]
async fn references_and_expressions_resolve_when_the_node_runs() {
    let definition = json!({
        "nodes": [number("n", 4.0), {"id": "e", "type": "echo", "inputs": {"value": "{{ nodes.n.number * params.factor }}"}},
                  {"id": "t", "type": "echo", "inputs": {"value": "$nodes.e.value"}, "config": {"text": "n is {{ nodes.n.number | int }} of $5"}},
                  {"id": "d", "type": "echo", "inputs": {"value": "$$literal"}}],
        "parameters": [{"name": "factor", "type": "number", "default": 2}],
        "outputs": [{"name": "product", "source": "$nodes.e.value"}, {"name": "text", "source": "$nodes.t.value"}, {"name": "length", "source": "$nodes.t.value.length"},
                    {"name": "literal", "source": "$nodes.d.value"}, {"name": "all", "source": "$nodes.n.*"}],
    });
    let outcome = Stage::new().run(definition, json!({}), json!({"factor": "3"})).await;
    assert_eq!(outcome.end, End::Completed);
    let expected =
        json!({"product": 12.0, "text": "n is 4 of $5", "length": 12, "literal": "$literal", "all": {"number": 4.0}});
    assert_eq!(outcome.outputs, expected);
}

#[tokio::test]
async fn a_template_is_checked_against_the_schema_when_it_resolves() {
    let definition = |factor: &str| json!({"nodes": [{"id": "e", "type": "echo", "inputs": {"value": 1}, "config": {"factor": factor}}], "parameters": [{"name": "p", "type": "integer"}]});
    let run = |factor: &'static str, parameters: Value| async move {
        Stage::new().run(definition(factor), json!({}), parameters).await
    };
    assert_eq!(run("{{ params.p }}", json!({"p": 9})).await.end, End::Completed);
    assert_eq!(failed(&run("{{ params.p }}", json!({"p": 10})).await), ("E-BAD-CONFIG".into(), Some("e".into())));
    // Absent: the key's default applies.
    assert_eq!(run("$params.p", json!({})).await.end, End::Completed);
    assert_eq!(failed(&run("{{ range(100000) | sum }}", json!({})).await).1, Some("e".into()));
}

#[tokio::test]
async fn a_failure_fails_the_run_and_keeps_what_resolved() {
    let definition = |on_error: &str| {
        json!({
            "nodes": [number("n", 1.0), {"id": "f", "type": "fail", "on_error": on_error}, {"id": "after", "type": "echo"}],
            "edges": [wire("n", "f"), wire("f.value", "after")],
            "outputs": [{"name": "n", "source": "$nodes.n.number"}, {"name": "after", "source": "$nodes.after.value"}],
        })
    };
    let stage = Stage::new();
    let outcome = stage.run(definition("fail"), json!({}), json!({})).await;
    assert_eq!(failed(&outcome), ("E-BLOCK-FAILED".into(), Some("f".into())));
    assert_eq!(outcome.outputs, json!({"n": 1.0, "after": null}));
    assert_eq!((status(&outcome, "f"), status(&outcome, "after")), ("failed".into(), "cancelled".into()));
    assert_eq!(stage.diary.0.lock().unwrap().last().unwrap(), "node.failed f");

    let outcome = Stage::new().run(definition("continue"), json!({}), json!({})).await;
    assert_eq!(outcome.end, End::Completed);
    assert_eq!((status(&outcome, "f"), status(&outcome, "after")), ("failed".into(), "skipped".into()));
    assert_eq!(metrics(&outcome)["f"]["error"]["code"], "E-BLOCK-FAILED");
}

#[tokio::test(start_paused = true)]
async fn a_node_is_repeated_as_often_as_it_may_if_its_block_asks() {
    let definition = |block: &str, max: u32| json!({"nodes": [{"id": "f", "type": block, "inputs": {"value": 1}, "retry": {"max": max, "backoff_ms": 1000}}]});
    let started = tokio::time::Instant::now();
    let outcome = Stage::new().run(definition("again", 2), json!({}), json!({})).await;
    assert_eq!((outcome.end.clone(), outcome.outputs["f"]["value"].clone()), (End::Completed, json!("at last")));
    assert_eq!(metrics(&outcome)["f"]["attempts"], 3);
    assert_eq!(started.elapsed(), Duration::from_secs(3));
    // What was logged in an attempt that failed is there, too.
    assert_eq!(metrics(&outcome)["f"]["logs"].as_array().map(Vec::len), Some(2));
    let outcome = Stage::new().run(definition("again", 1), json!({}), json!({})).await;
    assert_eq!(failed(&outcome).0, "E-BLOCK-FAILED");
    // The same inputs would fail in the same way.
    let stage = Stage::new();
    let outcome = stage.run(definition("fail", 5), json!({}), json!({})).await;
    assert_eq!((failed(&outcome).0.as_str(), stage.host.calls.lock().unwrap()["f"]), ("E-BLOCK-FAILED", 1));
}

#[tokio::test]
async fn a_panic_fails_its_node_and_keeps_what_resolved() {
    let definition = |on_error: &str| {
        json!({
            "nodes": [number("n", 1.0), {"id": "b", "type": "boom", "on_error": on_error, "retry": {"max": 3}}],
            "edges": [wire("n", "b")],
            "outputs": [{"name": "n", "source": "$nodes.n.number"}],
        })
    };
    let stage = Stage::new();
    let outcome = stage.run(definition("fail"), json!({}), json!({})).await;
    assert_eq!(failed(&outcome), ("E-INTERNAL".into(), Some("b".into())));
    assert_eq!((outcome.outputs, stage.host.calls.lock().unwrap()["b"]), (json!({"n": 1.0}), 1));
    assert_eq!(Stage::new().run(definition("continue"), json!({}), json!({})).await.end, End::Completed);
}

#[tokio::test]
async fn logs_and_time_of_a_block_are_in_its_nodes_record() {
    let definition = json!({"nodes": [number("n", 1.0), {"id": "s", "type": "speak"}], "edges": [wire("n", "s")]});
    let outcome = Stage::new().run(definition, json!({}), json!({})).await;
    let record = &metrics(&outcome)["s"];
    assert_eq!(record["logs"], json!([{"level": "warn", "message": "a dark picture"}]));
    assert_eq!((record["logs_dropped"].clone(), record["block_cpu_us"].clone()), (json!(2), json!(42)));
}

#[tokio::test]
async fn time_runs_out_for_nodes_and_for_runs() {
    let definition = |extra: Value| {
        let mut stuck = json!({"id": "s", "type": "stuck", "inputs": {"value": 1}});
        stuck.as_object_mut().unwrap().extend(extra.as_object().cloned().unwrap_or_default());
        json!({"nodes": [number("n", 1.0), stuck]})
    };
    let outcome = Stage::new().run(definition(json!({"timeout_ms": 50})), json!({}), json!({})).await;
    assert_eq!(failed(&outcome), ("E-TIMEOUT".into(), Some("s".into())));
    let mut stage = Stage::new();
    stage.deadline = Some(tokio::time::Instant::now() + Duration::from_millis(50));
    let outcome = stage.run(definition(json!({})), json!({}), json!({})).await;
    assert_eq!(failed(&outcome), ("E-TIMEOUT".into(), None));
    assert_eq!(outcome.outputs["n"], json!({"number": 1.0}));
    assert_eq!(status(&outcome, "s"), "cancelled");
}

#[tokio::test]
async fn a_cancelled_run_stops() {
    let stage = Stage::new();
    let cancel = stage.cancel.clone();
    let definition = json!({"nodes": [{"id": "s", "type": "stuck", "inputs": {"value": 1}}]});
    let (outcome, ()) = tokio::join!(stage.run(definition, json!({}), json!({})), async move {
        tokio::task::yield_now().await;
        cancel.cancel();
    });
    assert_eq!(outcome.end, End::Stopped);
}

#[tokio::test]
async fn many_ports_take_a_list_in_edge_order() {
    let definition = json!({
        "nodes": [{"id": "l", "type": "list"}, number("a", 1.0), number("b", 2.0), {"id": "c", "type": "condition", "config": {"value": 5}}],
        "edges": [wire("b", "l.items"), wire("a", "c"), {"source": "c", "condition": "true", "target": "l", "targetHandle": "items"}, wire("a", "l.items")],
    });
    let outcome = Stage::new().run(definition, json!({}), json!({})).await;
    assert_eq!(outcome.outputs["l"]["items"], json!([2.0, 1.0]));
}

async fn picture(stage: &Stage, width: u32, height: u32) -> Value {
    let data = (0..width * height * 3).map(|at| (at % 251) as u8).collect();
    let image = Image::from_pixels(Pixels::new(width, height, PixelFormat::Rgb8, data).expect("pixels"));
    let bytes: Bytes = encode(&image, EncodeFormat::Png).expect("encodable");
    json!(stage.blobs.put(bytes).await.expect("stored"))
}

#[tokio::test]
async fn detections_are_numbered_renamed_and_drawn() {
    let stage = Stage::new();
    let image = picture(&stage, 40, 30).await;
    let definition = json!({
        "nodes": [{"id": "photo", "type": "image_input"}, {"id": "find", "type": "detection", "config": {"model_id": "finder", "class_mapping": "cat:kitten", "draw_boxes": true, "confidence": 0.4}}],
        "edges": [{"source": "photo", "target": "find"}],
    });
    let outcome = stage.run(definition, json!({"image": image}), json!({})).await;
    assert_eq!(outcome.end, End::Completed, "{:?}", metrics(&outcome));
    let found = &outcome.outputs["find"];
    assert_eq!(found["detections"][0]["id"], "find/0");
    assert_eq!(found["detections"][0]["original_class_name"], "cat");
    assert_eq!(found["class_counts"], json!({"kitten": 1, "dog": 1}));
    assert_eq!((found["count"].clone(), outcome.outputs["count"].clone()), (json!(2), json!(2)));
    assert_eq!(found["annotated_image"]["$image"]["width"], 40);
    assert_eq!(found["metadata"]["device"], "script");
    assert_eq!(outcome.output_blobs.len(), 1);
    let jobs = stage.jobs.seen.lock().unwrap();
    assert_eq!((jobs[0].params["confidence"].clone(), jobs[0].params.get("draw_boxes")), (json!(0.4), None));
    assert_eq!((jobs[0].input.width, jobs[0].input.height), (40, 30));
}

#[tokio::test]
async fn two_images_are_two_images() {
    let stage = Stage::new();
    let (before, after) = (picture(&stage, 20, 10).await, picture(&stage, 64, 48).await);
    let definition = json!({
        "nodes": [{"id": "before", "type": "image_input"}, {"id": "b", "type": "image_input", "config": {"name": "after", "auto_resize": true, "max_dimension": 32}}],
        "outputs": [{"name": "before", "source": "$nodes.before.width"}, {"name": "after", "source": "$nodes.b.*"}],
    });
    let outcome = stage.run(definition, json!({"images": {"before": before, "after": after}}), json!({})).await;
    assert_eq!(outcome.end, End::Completed, "{:?}", metrics(&outcome));
    assert_eq!(outcome.outputs["before"], 20);
    let after = &outcome.outputs["after"];
    let sizes = ["width", "height", "original_width", "original_height"].map(|key| after[key].as_u64().unwrap());
    assert_eq!(sizes, [32, 24, 64, 48]);
    assert_eq!((after["was_resized"].clone(), after["format"].clone()), (json!(true), json!("PNG")));
    assert_eq!(after["image"]["$image"]["format"], "png");
}

#[tokio::test]
async fn broken_images_and_failed_jobs_name_their_node() {
    let mut stage = Stage::new();
    let broken = json!(stage.blobs.put(Bytes::from_static(b"\x89PNG\r\n\x1a\nnothing")).await.unwrap());
    let definition = json!({
        "nodes": [{"id": "photo", "type": "image_input"}, {"id": "find", "type": "detection", "config": {"model_id": "finder"}}],
        "edges": [{"source": "photo", "target": "find"}],
    });
    let outcome = stage.run(definition.clone(), json!({"image": broken}), json!({})).await;
    assert_eq!(failed(&outcome), ("E-IMAGE".into(), Some("photo".into())));
    stage.jobs = std::sync::Arc::new(Jobs { fail: true, ..Jobs::default() });
    let image = picture(&stage, 8, 8).await;
    let outcome = stage.run(definition, json!({"image": image}), json!({})).await;
    assert_eq!(failed(&outcome), ("E-JOB-FAILED".into(), Some("find".into())));
    assert_eq!(outcome.outputs["photo"], Value::Null);
}

/// `n0` to `n<count>` of `bytes` each.
fn texts(count: usize, bytes: usize) -> Vec<Value> {
    let text = |n: usize| json!({"id": format!("n{n}"), "type": "echo", "inputs": {"value": 1}, "config": {"text": "x".repeat(bytes)}});
    (0..count).map(text).collect()
}

#[tokio::test]
async fn what_nodes_deliver_is_taken_from_the_budget_while_the_run_lives() {
    let memory = MemoryPool::new(1 << 20);
    let mut stage = Stage::new();
    stage.limits.memory = memory.clone();
    let outcome = stage.run(json!({"nodes": texts(4, 100 << 10)}), json!({}), json!({})).await;
    assert_eq!((outcome.end, memory.used()), (End::Completed, 0));
    // While a node waits for ever, the others have delivered.
    stage.cancel = CancellationToken::new();
    let mut nodes = texts(4, 100 << 10);
    nodes.push(json!({"id": "s", "type": "stuck", "inputs": {"value": "$nodes.n3.value"}}));
    let running = stage.run(json!({"nodes": nodes}), json!({}), json!({}));
    let looking = async {
        while memory.used_by()[Use::Values as usize] < 500 << 10 {
            tokio::task::yield_now().await;
        }
        stage.cancel.cancel();
    };
    let (outcome, ()) = tokio::join!(running, looking);
    assert_eq!(outcome.end, End::Stopped);
    // The thread that ran the last node gives back what it holds as soon as it sees the end.
    let given_back = async {
        while memory.used() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), given_back).await.expect("everything is given back");
}

#[tokio::test]
async fn a_node_whose_values_do_not_fit_fails() {
    let mut stage = Stage::new();
    stage.limits.values = 300 << 10;
    let outcome = stage.run(json!({"nodes": texts(4, 100 << 10)}), json!({}), json!({})).await;
    assert_eq!(failed(&outcome).0, "E-BLOCK-LIMIT", "{:?}", outcome.end);
    let delivered = (0..4).filter(|n| status(&outcome, &format!("n{n}")) == "completed").count();
    // The failure ends the run, also for one whose value fits and that is not through yet.
    assert!(delivered <= 2, "{delivered}: the third does not fit beside them");

    // No memory at all: it waits, then fails.
    let mut stage = Stage::new();
    stage.limits.memory = MemoryPool::new(50 << 10);
    let outcome = stage.run(json!({"nodes": texts(1, 100 << 10)}), json!({}), json!({})).await;
    assert_eq!(failed(&outcome), ("E-BLOCK-LIMIT".into(), Some("n0".into())));
}

#[tokio::test]
async fn what_a_node_is_given_is_weighed_before_it_is_copied() {
    let large = || texts(1, 100 << 10);
    let with = |node: Value, edges: Vec<Value>| {
        let nodes = [&large()[..], &[node]].concat();
        json!({"nodes": nodes, "edges": edges})
    };
    let listed = json!({"id": "e", "type": "echo", "inputs": {"value": vec!["$nodes.n0.value"; 9]}});
    let wired = json!({"id": "e", "type": "list"});
    let wires = vec![wire("n0.value", "e.items"); 9];
    let configured = json!({"id": "e", "type": "echo", "inputs": {"value": 1}, "config": {"text": "{{ nodes.n0.value }}".repeat(9)}});
    for definition in [with(listed, vec![]), with(wired, wires), with(configured, vec![])] {
        let mut stage = Stage::new();
        stage.limits.values = 500 << 10;
        let outcome = stage.run(definition, json!({}), json!({})).await;
        assert_eq!(failed(&outcome), ("E-BLOCK-LIMIT".into(), Some("e".into())), "{:?}", outcome.end);
        assert_eq!(stage.host.calls.lock().unwrap().get("e"), None, "it is not called");
    }
}

#[tokio::test]
async fn many_copies_of_a_large_value_are_not_made_at_once() {
    let mut nodes = texts(1, 100 << 10);
    nodes.extend((0..20).map(|n| json!({"id": format!("e{n}"), "type": "echo", "inputs": {"value": "$nodes.n0.value"}, "config": {"text": "small"}})));
    let mut stage = Stage::new();
    stage.limits.values = 250 << 10;
    stage.limits.memory = MemoryPool::new(600 << 10);
    let outcome = stage.run(json!({"nodes": nodes}), json!({}), json!({})).await;
    assert_eq!(outcome.end, End::Completed);
    let diary = stage.diary.0.lock().unwrap();
    let started = diary.iter().take_while(|entry| !entry.starts_with("node.completed e"));
    let together = started.filter(|entry| entry.starts_with("node.started e")).count();
    assert!((1..=3).contains(&together), "{together} at once: they take turns");
}

#[tokio::test]
async fn outputs_that_do_not_fit_fail_the_run_and_are_null() {
    let automatic = json!({"nodes": texts(3, 1000)});
    let sources = |n: usize| json!({"name": format!("n{n}"), "source": format!("$nodes.n{n}.*")});
    let explicit = json!({"nodes": texts(3, 1000), "outputs": [sources(0), sources(1), sources(2)]});
    for definition in [automatic, explicit] {
        let mut stage = Stage::new();
        stage.limits.outputs = 4000;
        let outcome = stage.run(definition.clone(), json!({}), json!({})).await;
        assert_eq!(outcome.end, End::Completed);
        stage.limits.outputs = 2500;
        let outcome = stage.run(definition, json!({}), json!({})).await;
        assert_eq!(failed(&outcome), ("E-BLOCK-LIMIT".into(), None));
        assert_eq!(outcome.outputs["n1"]["value"], "x".repeat(1000));
        assert!(outcome.outputs["n2"].is_null());
    }
}

/// A loop over `count` numbers with a body of one node, inside of another one.
fn nest(count: usize) -> Value {
    let items = format!("{{{{ range({count}) | list }}}}");
    json!({
        "nodes": [{"id": "outer", "type": "foreach", "config": {"max_concurrency": 256}, "inputs": {"items": items}},
                  {"id": "inner", "type": "foreach", "config": {"max_concurrency": 256}, "inputs": {"items": items, "context": "$nodes.outer.index"}},
                  {"id": "e", "type": "echo", "inputs": {"value": "$nodes.inner.item"}}],
    })
}

#[tokio::test]
async fn loops_are_taken_from_the_budget_before_their_items_begin() {
    let mut stage = Stage::new();
    stage.limits.values = 4 << 20;
    assert_eq!(stage.run(nest(20), json!({}), json!({})).await.end, End::Completed);
    let outcome = stage.run(nest(1000), json!({}), json!({})).await;
    assert_eq!(failed(&outcome), ("E-BLOCK-LIMIT".into(), Some("inner".into())), "{:?}", outcome.end);
    // Loops one after the other take what the former has given back.
    let list = |n: usize| json!({"id": format!("l{n}"), "type": "foreach", "inputs": {"items": "{{ range(5000) | list }}", "context": if n == 0 { json!(0) } else { json!(format!("$nodes.c{}.count", n - 1)) }}});
    let all = |n: usize| json!({"id": format!("c{n}"), "type": "collect", "config": {"filter_nulls": true}, "inputs": {"item": format!("$nodes.l{n}.context")}});
    let nodes: Vec<Value> = (0..6).flat_map(|n| [list(n), all(n)]).collect();
    let definition = json!({"nodes": nodes, "outputs": [{"name": "count", "source": "$nodes.c5.count"}]});
    let outcome = stage.run(definition, json!({}), json!({})).await;
    assert_eq!((outcome.end, outcome.outputs), (End::Completed, json!({"count": 5000})));
}

#[tokio::test]
async fn nodes_inside_of_loops_run_so_often_and_no_more() {
    let run = async |frames: usize| {
        let limits = DefinitionLimits { loop_frames: frames, ..DefinitionLimits::default() };
        Stage::new().run_plan(plan_within(&nest(20), &limits), json!({}), json!({})).await
    };
    // 20 times `inner`, 400 times `e`.
    assert_eq!(run(420).await.end, End::Completed);
    let outcome = run(419).await;
    assert_eq!(failed(&outcome), ("E-BLOCK-LIMIT".into(), Some("inner".into())), "{:?}", outcome.end);
}

#[tokio::test]
async fn what_a_collect_joins_is_weighed_before_it_is_joined() {
    let definition = json!({
        "nodes": [{"id": "each", "type": "foreach", "inputs": {"items": "{{ range(1000) | list }}", "context": "$inputs.text"}},
                  {"id": "all", "type": "collect", "inputs": {"item": "$nodes.each.context"}}],
    });
    let mut stage = Stage::new();
    stage.limits.values = 8 << 20;
    let outcome = stage.run(definition, json!({"text": "x".repeat(100 << 10)}), json!({})).await;
    assert_eq!(failed(&outcome), ("E-BLOCK-LIMIT".into(), Some("all".into())), "{:?}", outcome.end);
}

#[tokio::test]
async fn a_loop_ends_at_its_time() {
    let definition = |on_error: &str| {
        json!({
            "nodes": [{"id": "each", "type": "foreach", "timeout_ms": 50, "on_error": on_error, "inputs": {"items": [1, 2, 3]}},
                      {"id": "s", "type": "stuck", "inputs": {"value": "$nodes.each.item"}}, number("n", 1.0)],
        })
    };
    let outcome = Stage::new().run(definition("fail"), json!({}), json!({})).await;
    assert_eq!(failed(&outcome), ("E-TIMEOUT".into(), Some("each".into())));
    let outcome = Stage::new().run(definition("continue"), json!({}), json!({})).await;
    assert_eq!((outcome.end.clone(), status(&outcome, "each")), (End::Completed, "failed".into()));
    assert_eq!(metrics(&outcome)["s"]["items"]["completed"], 0);
}
