//! What block authors' tests say of a configuration is what the server says.

use serde_json::{Value, json};
use sightflow_block::{Entry, testing};

use crate::server::Server;

/// Every package of `blocks/`.
const PACKAGES: [&[Entry]; 4] = [
    sightflow_blocks_logic::PACKAGE,
    sightflow_blocks_output::PACKAGE,
    sightflow_blocks_transform::PACKAGE,
    sightflow_blocks_visualization::PACKAGE,
];

/// The ports that a block needs, and the node that each is wired to.
fn wired(block: &str) -> &'static [(&'static str, &'static str)] {
    match block {
        "crop" | "draw_boxes" => &[("image", "photo"), ("detections", "made")],
        "resize" | "normalize" => &[("image", "photo")],
        "condition" | "switch" => &[("value", "made")],
        "filter" | "map" => &[("items", "made")],
        _ => &[("data", "made")],
    }
}

/// A block with its ports wired.
fn definition(block: &str, config: &Value) -> Value {
    let nodes = json!([
        {"id": "photo", "type": "image_input"},
        {"id": "made", "type": "json_output", "inputs": {"data": [{"bbox": [0, 0, 1, 1]}]}},
        {"id": "tried", "type": block, "config": config},
    ]);
    let edges: Vec<Value> = wired(block)
        .iter()
        .map(|(port, from)| {
            let output = if *from == "photo" { "image" } else { "json" };
            json!({"source": from, "sourceHandle": output, "target": "tried", "targetHandle": port})
        })
        .collect();
    json!({"version": "1.0", "nodes": nodes, "edges": edges})
}

/// Codes and places of what prevents a save, relative to the node.
fn by_server(server: &Server, block: &str, config: &Value) -> Vec<(String, String)> {
    let (status, answer) = server.post("/api/v1/workflows/validate", &json!({"definition": definition(block, config)}));
    assert_eq!(status, 200, "{answer}");
    let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut found: Vec<_> = errors
        .iter()
        .map(|error| (text(&error["code"]), text(&error["pointer"]).replacen("/nodes/2", "", 1)))
        .collect();
    found.sort_unstable();
    found
}

fn by_test(block: &str, config: &Value) -> Vec<(String, String)> {
    let package = PACKAGES.into_iter().find(|package| package.iter().any(|entry| entry.name == block)).unwrap();
    let wired: Vec<&str> = wired(block).iter().map(|(port, _)| *port).collect();
    let problems = testing::check(package, block, config, &wired);
    let mut found: Vec<_> = problems.into_iter().map(|problem| (problem.code, problem.pointer)).collect();
    found.sort_unstable();
    found
}

#[test]
fn a_configuration_is_judged_alike() {
    let server = Server::start();
    for (block, config, accepted) in [
        // As written, by an alias, by a rewrite, by a dropped key, in another spelling.
        ("resize", json!({"width": 640}), true),
        ("resize", json!({"size": [640, 480], "keep_aspect": false, "antialias": true}), true),
        ("resize", json!({"width": 640, "mode": "Fit-Within"}), true),
        ("crop", json!({"resize_to": 64, "square": true}), true),
        ("draw_boxes", json!({"thickness": 3, "style": "DOT"}), true),
        ("condition", json!({"operator": "exists"}), true),
        ("filter", json!({"field": "confidence", "operator": ">=", "value": 0.5}), true),
        ("map", json!({"expression": "item.bbox"}), true),
        ("json_output", json!({"flatten": true}), true),
        // Out of range, of another type, unknown, no case of a rewrite, twice with different values, missing.
        ("resize", json!({"width": 640, "scale_factor": 0}), false),
        ("resize", json!({"width": "640"}), false),
        ("resize", json!({"width": 640, "sharpen": 1}), false),
        ("resize", json!({"width": 640, "keep_aspect": "sometimes"}), false),
        ("resize", json!({}), false),
        ("crop", json!({"padding": 1, "padding_percent": 2}), false),
        ("crop", json!({"aspect_ratio": "custom", "aspect_w": 2}), false),
        ("crop", json!({"max_crops": null}), false),
        ("normalize", json!({"preset": "custom", "mean": [0, 0, 0], "std": [1, 1, 0]}), false),
        ("draw_boxes", json!({"style": "star", "line_width": 21, "color": "orangered"}), false),
        ("draw_boxes", json!({"shadow": true}), false),
        ("condition", json!({"operator": "=>", "value": 1}), false),
        ("filter", json!({"conditions": []}), false),
        ("map", json!({"expression": "item.a |"}), false),
        ("json_output", json!({"fields": ["a..b"]}), false),
    ] {
        let expected = by_test(block, &config);
        assert_eq!(by_server(&server, block, &config), expected, "{block} {config}");
        assert_eq!(expected.is_empty(), accepted, "{block} {config}: {expected:?}");
    }
}

/// The manifest that a test sees is the one that the component brings.
#[test]
fn manifests_are_those_of_the_components() {
    let server = Server::start();
    for entry in PACKAGES.into_iter().flatten() {
        let (status, block) = server.get(&format!("/api/v1/blocks/{}", entry.name));
        assert_eq!(status, 200, "{block}");
        let manifest = serde_json::to_value((entry.manifest)()).unwrap();
        assert_eq!(block["examples"], manifest["examples"], "{}", entry.name);
        assert!(!manifest["examples"].as_array().unwrap().is_empty(), "{}", entry.name);
    }
}
