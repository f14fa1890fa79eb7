use std::time::Duration;

use axum::http::Method;
use futures::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{Answer, TestApp, request, settings_graph};

const SSE: (&str, &str) = ("accept", "text/event-stream");
const JSON: (&str, &str) = ("accept", "application/json");

/// (id, event, data) of each frame of a stream that has ended.
fn frames(answer: &Answer) -> Vec<(u64, String, Value)> {
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    text.split("\n\n")
        .filter_map(|frame| {
            let field = |name: &str| {
                frame.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
            };
            Some((field("id:")?.parse().ok()?, field("event:")?, serde_json::from_str(&field("data:")?).ok()?))
        })
        .collect()
}

pub(crate) async fn finished(app: &TestApp) -> String {
    let id = app.workflow(&settings_graph()).await;
    let execution = app.run(&id, &json!({})).await;
    let run = app.start().await;
    app.record(&run, "node.completed", json!({"node_id": "settings", "duration_ms": 1})).await;
    app.finish(&run, json!({}), None).await;
    execution
}

#[tokio::test]
async fn a_stream_replays_everything_and_ends_after_the_terminal_event() {
    let app = TestApp::new().await;
    let execution = finished(&app).await;
    let path = format!("/api/v1/executions/{execution}/events");
    let answer = app.get_with(&path, &[SSE]).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "text/event-stream"));
    assert!(String::from_utf8_lossy(&answer.body).contains("retry: 2000"), "{:?}", answer.body);
    let all = frames(&answer);
    let kinds: Vec<&str> = all.iter().map(|frame| frame.1.as_str()).collect();
    assert_eq!((kinds.first(), kinds.last()), (Some(&"execution.started"), Some(&"execution.completed")), "{kinds:?}");
    assert_eq!(
        all.iter().map(|frame| frame.0).collect::<Vec<_>>(),
        (1..=all.len() as u64).collect::<Vec<_>>(),
        "dense from 1"
    );
    let node = &all.iter().find(|frame| frame.1 == "node.completed").unwrap().2;
    assert_eq!(
        (&node["node_id"], &node["item"], &node["duration_ms"], &node["execution_id"]),
        (&json!("settings"), &json!(null), &json!(1), &json!(execution))
    );
    assert!(node["at"].as_str().unwrap().ends_with('Z'));

    for (name, value) in [("header", "1"), ("query", "1")] {
        let rest = if name == "header" {
            app.get_with(&path, &[SSE, ("last-event-id", value)]).await
        } else {
            app.get_with(&format!("{path}?after={value}"), &[SSE]).await
        };
        assert_eq!(frames(&rest), all[1..], "{name}");
    }
    assert_eq!(frames(&app.get_with(&path, &[SSE, ("last-event-id", "")]).await), all, "an empty one counts as absent");
    for (at_the_end, header) in [(all.len(), true), (all.len() + 7, true), (all.len(), false)] {
        let at_the_end = at_the_end.to_string();
        let answer = if header {
            app.get_with(&path, &[SSE, ("last-event-id", &at_the_end)]).await
        } else {
            app.get_with(&format!("{path}?after={at_the_end}"), &[SSE]).await
        };
        assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0), "a browser stops reconnecting");
    }
    app.get_with(&format!("{path}?wait=61s"), &[JSON]).await.error(400, "invalid_field");
    app.get_with(&format!("{path}?after=-1"), &[JSON]).await.error(400, "invalid_field");
    app.get_with(&path, &[("last-event-id", "x")]).await.error(400, "invalid_field");
    app.get("/api/v1/executions/exe_019ab3c0-5d1e-7c43-9a0e-0c4be2a6d5f1/events").await.error(404, "not_found");
}

#[tokio::test]
async fn a_stream_delivers_what_happens_while_it_is_open() {
    let app = TestApp::new().await;
    let id = app.workflow(&settings_graph()).await;
    let execution = app.run(&id, &json!({})).await;
    let run = app.start().await;
    let path = format!("/api/v1/executions/{execution}/events");
    let engine = async {
        for n in 0..20 {
            app.record(&run, "node.progress", json!({"node_id": "settings", "done": n})).await;
        }
        app.finish(&run, json!({}), None).await;
    };
    let (answer, ()) = tokio::join!(app.get_with(&path, &[SSE]), engine);
    let done: Vec<_> = frames(&answer)
        .into_iter()
        .filter(|frame| frame.1 == "node.progress")
        .map(|frame| frame.2["done"].as_u64().unwrap())
        .collect();
    assert_eq!(done, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn long_poll() {
    let app = TestApp::new().await;
    let id = app.workflow(&settings_graph()).await;
    let execution = app.run(&id, &json!({})).await;
    let path = format!("/api/v1/executions/{execution}/events");
    let empty = app.get_with(&path, &[JSON]).await.ok(200);
    assert_eq!((&empty["terminal"], empty["items"].as_array().map(Vec::len)), (&json!(false), Some(0)), "{empty}");
    let run = app.start().await;
    let page = app.get_with(&path, &[JSON]).await.ok(200);
    let last = page["last_seq"].as_i64().unwrap();
    assert_eq!(page["items"][0]["event"], "execution.started");
    let waiting = format!("{path}?after={last}&wait=20s");
    let (page, ()) = tokio::join!(app.get_with(&waiting, &[JSON]), app.finish(&run, json!({}), None));
    let page = page.ok(200);
    assert_eq!(
        (&page["items"].as_array().unwrap().last().unwrap()["event"], &page["terminal"]),
        (&json!("execution.completed"), &json!(true))
    );
    let last = page["last_seq"].as_i64().unwrap();
    assert_eq!(
        app.get_with(&format!("{path}?after={last}&wait=20s"), &[JSON]).await.ok(200),
        json!({"items": [], "last_seq": last, "terminal": true}),
        "at once: nothing will follow"
    );
}

#[tokio::test]
async fn streams_end_when_the_server_stops() {
    let app = TestApp::new().await;
    let id = app.workflow(&settings_graph()).await;
    let execution = app.run(&id, &json!({})).await;
    app.start().await;
    let path = format!("/api/v1/executions/{execution}/events");
    let (answer, ()) = tokio::join!(app.get_with(&path, &[SSE]), async { app.state.drain() });
    assert_eq!(frames(&answer).len(), 1);
    let refused = app.post(&format!("/api/v1/workflows/{id}/run"), &json!({})).await;
    refused.error(503, "unavailable");
    assert_eq!(refused.message(), "the server is shutting down");
}

#[tokio::test]
async fn a_deleted_execution_ends_its_streams() {
    let app = TestApp::new().await;
    let execution = finished(&app).await;
    app.delete(&format!("/api/v1/executions/{execution}")).await.ok(200);
    app.get_with(&format!("/api/v1/executions/{execution}/events"), &[SSE]).await.error(404, "not_found");
}

#[tokio::test]
async fn a_stream_that_nobody_reads_holds_few_events() {
    for (size, most) in [(1, 64), (10_000, 8)] {
        let app = TestApp::new().await;
        let id = app.workflow(&settings_graph()).await;
        let execution = app.run(&id, &json!({})).await;
        let run = app.start().await;
        let text = "x".repeat(size);
        app.record_all(&run, "node.progress", (0..300).map(|n| json!({"done": n, "text": text}))).await;
        app.finish(&run, json!({}), None).await;
        let path = format!("/api/v1/executions/{execution}/events");
        let all = frames(&app.get_with(&path, &[SSE]).await);
        let ids: Vec<u64> = all.iter().map(|frame| frame.0).collect();
        assert_eq!(ids, (1..=302).collect::<Vec<_>>(), "all of them, in order");

        let stream = app.router.clone().oneshot(request(Method::GET, &path, &[SSE], "")).await.unwrap();
        let mut stream = stream.into_body().into_data_stream();
        stream.next().await.unwrap().unwrap();
        stream.next().await.unwrap().unwrap();
        // What is gone from the store and still comes is what the stream held.
        app.delete(&format!("/api/v1/executions/{execution}")).await.ok(200);
        let held = stream.count().await;
        assert!((1..most).contains(&held), "{held} events of {size} bytes");
    }
}

#[tokio::test]
async fn a_slow_reader_that_falls_far_behind_is_closed() {
    let app = TestApp::new().await;
    let id = app.workflow(&settings_graph()).await;
    let execution = app.run(&id, &json!({})).await;
    let run = app.start().await;
    let path = format!("/api/v1/executions/{execution}/events");
    let mut seq = app.get_with(&path, &[JSON]).await.ok(200)["last_seq"].as_u64().unwrap();
    // How long the client takes for its first events, and how many there are then.
    for (pause, events, lagged) in [(0, 1100, false), (1200, 900, false), (1200, 1100, true)] {
        let after = format!("{path}?after={seq}");
        seq += 1 + events as u64;
        let stream = app.router.clone().oneshot(request(Method::GET, &after, &[SSE], "")).await.unwrap();
        let mut stream = stream.into_body().into_data_stream();
        stream.next().await.unwrap().unwrap();
        let caught_up = tokio::time::timeout(Duration::from_millis(300), stream.next()).await;
        assert!(caught_up.is_err(), "{caught_up:?}");
        app.record_all(&run, "node.progress", [json!({"done": -1})]).await;
        stream.next().await.unwrap().unwrap();
        app.record_all(&run, "node.progress", (0..events).map(|n| json!({"done": n}))).await;
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let next = stream.next().await.unwrap().unwrap();
        assert_eq!(next.starts_with(b"event: lagged"), lagged, "{next:?}");
        if lagged {
            assert!(stream.next().await.is_none());
        } else {
            assert_eq!(stream.take(events - 1).count().await, events - 1);
        }
    }
}

#[tokio::test]
async fn the_header_of_a_reconnecting_reader_is_checked_as_such() {
    let app = TestApp::new().await;
    let path = format!("/api/v1/executions/{}/events", finished(&app).await);
    for given in ["x", "+1", "-1", "1.0", "9007199254740992", "99999999999999999999"] {
        let answer = app.get_with(&path, &[SSE, ("last-event-id", given)]).await;
        assert!(answer.error(400, "invalid_field").is_empty(), "no place in the query: {given}");
        assert!(answer.message().starts_with("Last-Event-ID "), "{}", answer.message());
    }
    let details = app.get(&format!("{path}?after=9007199254740992")).await.error(400, "invalid_field");
    assert_eq!(details[0]["pointer"], "?after");
}
