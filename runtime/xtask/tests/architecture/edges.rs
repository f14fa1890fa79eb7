//! Who may depend on whom.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::metadata::{ROOT, closure, direct, members, metadata};

const ARCHITECTURE: &str = include_str!("../../../ARCHITECTURE.md");

/// Lines `left: right` of a fenced block of the document, right as full names of crates.
fn block(name: &str) -> Vec<(&'static str, BTreeSet<String>)> {
    let full = |name: &str| if name == "sightflow" { name.to_owned() } else { format!("sightflow-{name}") };
    let text = ARCHITECTURE.split(&format!("```{name}\n")).nth(1).and_then(|rest| rest.split("```").next());
    let line = |line: &'static str| {
        let (left, right) = line.split_once(':').expect("`left: right`");
        (left, right.split_whitespace().map(full).collect())
    };
    text.unwrap_or_else(|| panic!("the document has no `{name}` block")).lines().map(line).collect()
}

#[test]
fn every_edge_is_allowed_and_every_crate_is_listed() {
    let (metadata, allowed) = (metadata(), BTreeMap::from_iter(block("edges")));
    let names: BTreeSet<&str> = members(&metadata).map(|package| package["name"].as_str().unwrap()).collect();
    assert_eq!(names, allowed.keys().copied().collect(), "the edges block and the workspace list other crates");
    for package in members(&metadata) {
        let name = package["name"].as_str().unwrap();
        for used in direct(package).filter(|used| names.contains(used)) {
            assert!(allowed[name].contains(used), "{name} must not depend on {used}");
        }
    }
}

/// A closure cannot see this: the API links SQLite through the store, and must not use it.
#[test]
fn what_shapes_a_crate_has_one_keeper() {
    let metadata = metadata();
    for (packages, keepers) in block("keepers") {
        let kept = |used: &str| {
            packages.split_whitespace().any(|package| match package.strip_suffix('*') {
                Some(stem) => used.starts_with(stem),
                None => used == package,
            })
        };
        let users: BTreeSet<String> = members(&metadata)
            .filter(|package| direct(package).any(kept))
            .map(|package| package["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(users, keepers, "who depends on `{packages}` by itself");
    }
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

/// What the SDK needs natively, for tests, stays out of what is sent to a server.
#[test]
fn components_carry_only_what_they_run() {
    let blocks = block("edges").into_iter().map(|(name, _)| name).filter(|name| name.starts_with("sightflow-blocks-"));
    for name in blocks {
        let tree = Command::new(env!("CARGO"))
            .args(["tree", "--locked", "--package", name, "--target", "wasm32-wasip2"])
            .args(["--edges", "normal", "--prefix", "none", "--format", "{p}"])
            .current_dir(ROOT)
            .output()
            .expect("cargo runs");
        assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        let tree = String::from_utf8(tree.stdout).expect("UTF-8");
        let linked: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
        assert!(linked.contains("sightflow-block"), "{name}: {linked:?}");
        for package in ["sightflow-schema", "sightflow-images", "jsonschema", "tokio", "wasmtime", "image"] {
            assert!(!linked.contains(package), "{name} carries {package}");
        }
    }
}
