//! Many runs at once, and a process that dies in the middle of them.

use std::collections::BTreeSet;

use serde_json::json;

use crate::client::photo;
use crate::server::Server;

#[test]
fn fifty_runs_at_once_all_complete() {
    let server = Server::start();
    let workflow = server.save_example("02-detect-and-draw");
    let digest = server.upload(&photo("astronaut.png"));
    let executions: Vec<String> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..50).map(|_| scope.spawn(|| server.start(&workflow, &digest))).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    let mut pictures = BTreeSet::new();
    for id in &executions {
        let execution = server.finished(id);
        assert_eq!(execution["status"], "completed", "{execution:#}");
        assert_eq!(execution["outputs"]["detections"][0]["class_name"], "person");
        pictures.insert(execution["outputs"]["annotated_image"]["$image"]["digest"].as_str().unwrap().to_owned());
    }
    assert_eq!(executions.iter().collect::<BTreeSet<_>>().len(), 50);
    assert_eq!(pictures.len(), 1, "the same photograph gives the same picture, byte for byte");
}

#[test]
fn runs_in_flight_survive_kill_9_and_end_exactly_once() {
    let mut server = Server::start();
    let workflow = server.save_example("02-detect-and-draw");
    let digest = server.upload(&photo("astronaut.png"));
    let executions: Vec<String> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..40).map(|_| scope.spawn(|| server.start(&workflow, &digest))).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    // Any of them has ended, so the fleet is in the middle of the others. One question tells both; which of them
    // ends first is the fleet's choice, and a question for each would take as long as the rest of them.
    let ended = loop {
        let (_, found) = server.get(&format!("/api/v1/workflows/{workflow}"));
        match found["run_count"].as_u64().expect("a number of runs") {
            0 => std::thread::sleep(std::time::Duration::from_millis(2)),
            ended => break ended,
        }
    };
    server.kill_and_restart();
    assert!(ended < 40, "all 40 ended before the process was killed");

    for id in &executions {
        let execution = server.finished(id);
        assert_eq!(execution["status"], "completed", "{execution:#}");
        assert_eq!(execution["outputs"]["detections"][0]["class_name"], "person");
        assert_eq!(execution["inference_jobs"], json!({"pending": 0, "completed": 1, "failed": 0, "cancelled": 0}));
        let events = server.events(id);
        let count = |name: &str| events.iter().filter(|event| event["event"] == name).count();
        let sequence: Vec<_> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
        assert_eq!(sequence, (1..=events.len() as u64).collect::<Vec<_>>(), "dense and in order");
        assert_eq!((count("job.completed"), count("execution.completed")), (1, 1), "{events:#?}");
    }
    let (_, workflow) = server.get(&format!("/api/v1/workflows/{workflow}"));
    assert_eq!(workflow["run_count"], 40, "each run ended once");
}

#[test]
fn a_terminated_server_ends_cleanly_and_goes_on_later() {
    let mut server = Server::start();
    let workflow = server.save_example("01-detect");
    let digest = server.upload(&photo("coffee.png"));
    let executions: Vec<String> = (0..5).map(|_| server.start(&workflow, &digest)).collect();
    assert_eq!(server.terminate(), Some(0));
    server.kill_and_restart();
    for id in &executions {
        assert_eq!(server.finished(id)["status"], "completed");
    }
}

#[test]
fn one_key_gives_one_run() {
    let server = Server::start();
    let workflow = server.save_example("01-detect");
    let digest = server.upload(&photo("coffee.png"));
    let ids: BTreeSet<String> = std::thread::scope(|scope| {
        let posts: Vec<_> =
            (0..10).map(|_| scope.spawn(|| server.start_with_key(&workflow, &digest, "order-17"))).collect();
        posts.into_iter().map(|post| post.join().unwrap()).collect()
    });
    assert_eq!(ids.len(), 1, "{ids:?}");
}
