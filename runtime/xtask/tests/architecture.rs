//! Holds `runtime/ARCHITECTURE.md` against what cargo says.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

const ARCHITECTURE: &str = include_str!("../../ARCHITECTURE.md");

/// Asks for this machine's platform only: nobody has downloaded what other platforms need.
fn metadata() -> Value {
    let rustc = Command::new("rustc").arg("-vV").output().expect("rustc runs");
    let version = String::from_utf8(rustc.stdout).expect("rustc speaks UTF-8");
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc names its host");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", host])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

/// Crate → the workspace crates that it may use, from the `edges` block.
fn allowed() -> BTreeMap<String, BTreeSet<String>> {
    let block =
        ARCHITECTURE.split("```edges\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an edges block");
    let full = |name: &str| if name == "sightflow" { name.to_owned() } else { format!("sightflow-{name}") };
    block
        .lines()
        .map(|line| {
            let (name, uses) = line.split_once(':').expect("`crate: uses`");
            (name.to_owned(), uses.split_whitespace().map(full).collect())
        })
        .collect()
}

#[test]
fn every_edge_is_allowed_and_every_crate_is_listed() {
    let (metadata, allowed) = (metadata(), allowed());
    let packages = metadata["packages"].as_array().unwrap();
    let members: BTreeSet<&str> = packages
        .iter()
        .filter(|package| package["source"].is_null())
        .map(|package| package["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        members,
        allowed.keys().map(String::as_str).collect(),
        "the edges block and the workspace list other crates"
    );
    for package in packages.iter().filter(|package| package["source"].is_null()) {
        let name = package["name"].as_str().unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            // What only tests use does not shape the product.
            let used = dependency["name"].as_str().unwrap();
            if members.contains(used) && dependency["kind"] != "dev" {
                assert!(allowed[name].contains(used), "{name} must not depend on {used}");
            }
        }
    }
}

/// Everything that `root` links, by normal dependencies.
fn closure<'a>(metadata: &'a Value, root: &str) -> BTreeSet<&'a str> {
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package["name"].as_str().unwrap()))
        .collect();
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["id"].as_str().unwrap(), node))
        .collect();
    let start = names.iter().find(|(_, name)| **name == root).unwrap().0;
    let (mut seen, mut open) = (BTreeSet::new(), vec![*start]);
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        for dependency in nodes[id]["deps"].as_array().unwrap() {
            if dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null()) {
                open.push(dependency["pkg"].as_str().unwrap());
            }
        }
    }
    seen.into_iter().map(|id| names[id]).collect()
}

#[test]
fn heavy_engines_stay_where_they_belong() {
    let metadata = metadata();
    for (root, forbidden) in [
        ("sightflow-types", &["tokio", "wasmtime", "sqlx", "axum", "image"][..]),
        ("sightflow-worker", &["wasmtime", "axum"]),
        ("sightflow-models", &["wasmtime", "sqlx", "axum", "reqwest"]),
        ("sightflow-engine", &["wasmtime", "burn-backend", "axum", "reqwest"]),
        ("sightflow-api", &["wasmtime", "burn-backend"]),
        ("sightflow-sandbox", &["burn-backend", "sqlx", "axum"]),
        ("sightflow-store", &["wasmtime", "burn-backend", "axum", "image"]),
    ] {
        let linked = closure(&metadata, root);
        for name in forbidden {
            assert!(!linked.contains(name), "{root} links {name}");
        }
    }
}
