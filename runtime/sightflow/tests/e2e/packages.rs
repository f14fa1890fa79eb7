//! Block packages that are published while the server runs.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::author;
use crate::client::Client;
use crate::server::Server;

const PACKAGES: &str = "/api/v1/block-packages";
const PACKAGE: &str = "/api/v1/block-packages/acme/logic";

/// What `filter` says of values that have no common order, in the first version and in the second.
const SAYS: [&str; 2] = ["`sort_by` finds", "`SORT_BY` finds"];

/// A component of a real package under another name; the second version differs in what it says.
fn component(version: usize) -> Vec<u8> {
    named("acme/logic", version)
}

fn named(name: &str, version: usize) -> Vec<u8> {
    let mut bytes = author::component("sightflow/logic", name, &format!("{version}.0.0"));
    let says = SAYS[0].as_bytes();
    let places: Vec<usize> = (0..bytes.len() - says.len()).filter(|&at| bytes[at..].starts_with(says)).collect();
    assert_eq!(places.len(), 1);
    bytes[places[0]..][..says.len()].copy_from_slice(SAYS[version.min(2) - 1].as_bytes());
    bytes
}

fn publish(server: &Client, version: usize) -> (u16, Value) {
    server.send(PACKAGES, "application/wasm", &component(version))
}

/// Three blocks one after the other, each of which fails and says which code ran.
fn definition(block: &str) -> Value {
    let node = |id: &str| {
        let config = json!({"field": "a", "operator": "exists", "sort_by": "a"});
        json!({"id": id, "type": block, "config": config, "inputs": {"items": [{"a": 1}, {"a": "x"}]}, "on_error": "continue"})
    };
    json!({"nodes": [node("a"), node("b"), node("c")]})
}

/// Which versions said something in an execution.
fn said(server: &Client, execution: &str) -> BTreeSet<usize> {
    let ended = server.finished(execution);
    assert_eq!(ended["status"], "completed", "{ended:#}");
    let (status, nodes) = server.get(&format!("/api/v1/executions/{execution}/nodes"));
    assert_eq!(status, 200, "{nodes:#}");
    let nodes = nodes["items"].as_array().unwrap();
    assert_eq!(nodes.len(), 3);
    let version = |node: &Value| {
        let message = node["error"]["message"].as_str().unwrap_or_else(|| panic!("{node:#}"));
        SAYS.iter().position(|says| message.contains(says)).unwrap_or_else(|| panic!("{message}")) + 1
    };
    nodes.iter().map(version).collect()
}

fn start(server: &Client, workflow: &str) -> String {
    let (status, accepted) = server.post(&format!("/api/v1/workflows/{workflow}/run"), &json!({"input": {}}));
    assert_eq!(status, 202, "{accepted:#}");
    accepted["execution_id"].as_str().unwrap().to_owned()
}

fn run(server: &Client, workflow: &str) -> BTreeSet<usize> {
    said(server, &start(server, workflow))
}

#[test]
fn a_package_comes_changes_and_goes_while_the_server_runs() {
    let mut server = Server::start();
    let bytes = component(1);
    let begin = Instant::now();
    let (status, package) = publish(&server, 1);
    let published = begin.elapsed();
    assert_eq!(status, 201, "{package:#}");
    let workflow = server.save(&definition("acme/logic/filter"));
    assert_eq!(run(&server, &workflow), BTreeSet::from([1]));
    println!(
        "a component of {} bytes: published after {published:?}, its first run ended after {:?}",
        bytes.len(),
        begin.elapsed()
    );
    assert_eq!(server.bytes(&format!("{PACKAGE}/versions/1.0.0/component")), (200, bytes));
    assert_eq!(publish(&server, 1).0, 200);

    // Swapped under load: every run ends, and each with one version alone.
    assert_eq!(publish(&server, 2).0, 201);
    let (over, started) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let execution = start(&server, &workflow);
                    started.lock().unwrap().push(execution);
                    std::thread::sleep(Duration::from_millis(10));
                }
            });
        }
        for _ in 0..20 {
            let (status, answer) = server.post(&format!("{PACKAGE}/rollback"), &json!({}));
            assert_eq!(status, 200, "{answer:#}");
            std::thread::sleep(Duration::from_millis(100));
        }
        over.store(true, Ordering::Relaxed);
    });
    let started = started.into_inner().unwrap();
    let found: Vec<BTreeSet<usize>> = started.iter().map(|execution| said(&server, execution)).collect();
    assert!(found.iter().all(|versions| versions.len() == 1), "an execution mixed versions");
    let both: BTreeSet<usize> = found.iter().flatten().copied().collect();
    assert_eq!(both, BTreeSet::from([1, 2]), "{} runs saw one version alone", started.len());
    println!("{} runs while the package was swapped 20 times", started.len());

    // Back, and exactly the other one.
    let (_, package) = server.get(PACKAGE);
    assert_eq!(package["active_version"], "2.0.0");
    assert_eq!(server.post(&format!("{PACKAGE}/rollback"), &json!({})).1["active_version"], "1.0.0");
    let exact = server.save(&definition("acme/logic/filter@2.0.0"));
    assert_eq!((run(&server, &workflow), run(&server, &exact)), (BTreeSet::from([1]), BTreeSet::from([2])));

    // One call outside of any workflow.
    let call = json!({"inputs": {"items": [1, 2, 3]}, "config": {"expression": "item * 2"}});
    let (status, tried) = server.post("/api/v1/blocks/acme/logic/map/test", &call);
    assert_eq!((status, &tried["error"]), (200, &json!(null)), "{tried:#}");
    assert!(tried["outputs"].as_object().unwrap().values().any(|value| *value == json!([2, 4, 6])), "{tried:#}");

    // A restart forgets nothing.
    server.kill_and_restart();
    assert_eq!((run(&server, &workflow), run(&server, &exact)), (BTreeSet::from([1]), BTreeSet::from([2])));

    // A version that is withdrawn cannot be named; a package that is deleted leaves nothing that can.
    assert_eq!(server.delete(&format!("{PACKAGE}/versions/2.0.0")).0, 200);
    assert_eq!(
        server.post("/api/v1/workflows/validate", &json!({"definition": definition("acme/logic/filter@2.0.0")})).1["valid"],
        false
    );
    assert_eq!(run(&server, &workflow), BTreeSet::from([1]));
    assert_eq!(server.delete(PACKAGE).0, 200);
    assert_eq!(server.post(&format!("/api/v1/workflows/{workflow}/run"), &json!({"input": {}})).0, 422);
    assert_eq!(server.get(PACKAGE).0, 404);
}

#[test]
fn what_is_no_package_is_refused_with_reasons() {
    let server = Server::start();
    let truncated = &component(1)[..1000];
    let module: &[u8] = b"\0asm\x01\0\0\0";
    for (bytes, code) in [(&b"noise"[..], "E-SHAPE"), (truncated, "E-SHAPE"), (module, "E-SHAPE")] {
        let (status, answer) = server.send(&format!("{PACKAGES}?name=acme/a&version=1.0.0"), "application/wasm", bytes);
        assert_eq!((status, &answer["error"]["code"]), (422, &json!("component_invalid")), "{answer:#}");
        assert_eq!(answer["error"]["details"][0]["code"], code, "{answer:#}");
    }
    let (status, answer) = server.send(PACKAGES, "application/wasm", &named("sightflow/logic", 9));
    assert_eq!((status, &answer["error"]["code"]), (422, &json!("component_invalid")), "{answer:#}");
    let (status, answer) = server.send(&format!("{PACKAGES}?name=acme/other"), "application/wasm", &component(1));
    assert_eq!((status, &answer["error"]["details"][0]["pointer"]), (422, &json!("?name")), "{answer:#}");
    let verified = format!("{PACKAGES}?verify=true");
    let (status, answer) = server.send(&verified, "application/wasm", &component(1));
    assert_eq!(status, 201, "its examples hold: {answer:#}");
}

/// The stored bytes are lost: the server starts, says so, and everything else works.
#[test]
fn a_package_that_does_not_load_stops_nobody() {
    let mut server = Server::start();
    assert_eq!(publish(&server, 1).0, 201);
    let (_, version) = server.get(&format!("{PACKAGE}/versions/1.0.0"));
    let hex = version["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
    assert_eq!(server.terminate(), Some(0));
    let mut left = vec![server.data().join("blobs")];
    let mut removed = 0;
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.to_string_lossy().replace('/', "").ends_with(&hex) {
            std::fs::remove_file(path).unwrap();
            removed += 1;
        }
    }
    assert_eq!(removed, 1);
    server.kill_and_restart();
    let broken = (0..100).find_map(|_| {
        std::thread::sleep(Duration::from_millis(100));
        Some(server.get(PACKAGE).1).filter(|package| package["state"] == "broken")
    });
    let broken = broken.expect("it is said that the package is broken");
    assert!(broken["reason"].as_str().unwrap().contains("cannot be read"), "{broken:#}");
    let logic = server.save(&crate::client::logic());
    let (status, accepted) = server.post(&format!("/api/v1/workflows/{logic}/run"), &crate::client::logic_run());
    assert_eq!(status, 202, "{accepted:#}");
    assert_eq!(server.finished(accepted["execution_id"].as_str().unwrap())["status"], "completed");
    // The same bytes mend it.
    assert_eq!(publish(&server, 1).0, 200);
    assert_eq!(server.get(PACKAGE).1["state"], "active");
}
