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
        "condition" => &[("value", "made")],
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
    for (block, config, problems) in [
        // As written, by an alias, by a rewrite, by a dropped key, in another spelling.
        ("resize", json!({"width": 640}), 0),
        ("resize", json!({"size": [640, 480], "keep_aspect": false, "antialias": true}), 0),
        ("resize", json!({"width": 640, "mode": "Fit-Within"}), 0),
        ("crop", json!({"resize_to": 64, "square": true}), 0),
        ("draw_boxes", json!({"thickness": 3, "style": "DOT"}), 0),
        ("condition", json!({"operator": "exists"}), 0),
        ("filter", json!({"field": "confidence", "operator": ">=", "value": 0.5}), 0),
        ("map", json!({"expression": "item.bbox"}), 0),
        ("json_output", json!({"flatten": true}), 0),
        // Out of range, of another type, unknown, no case of a rewrite, twice with different values, missing.
        ("resize", json!({"width": 640, "scale_factor": 0}), 1),
        ("resize", json!({"width": "640"}), 1),
        ("resize", json!({"width": 640, "sharpen": 1}), 1),
        ("resize", json!({"width": 640, "keep_aspect": "sometimes"}), 1),
        ("resize", json!({}), 1),
        ("crop", json!({"padding": 1, "padding_percent": 2}), 1),
        ("crop", json!({"aspect_ratio": "custom", "aspect_w": 2}), 1),
        ("crop", json!({"max_crops": null}), 1),
        ("normalize", json!({"preset": "custom", "mean": [0, 0, 0], "std": [1, 1, 0]}), 1),
        ("draw_boxes", json!({"style": "star", "line_width": 21, "color": "orangered"}), 3),
        ("draw_boxes", json!({"shadow": true}), 1),
        ("condition", json!({"operator": "=>", "value": 1}), 1),
        ("filter", json!({"conditions": []}), 1),
        ("map", json!({"expression": "item.a |"}), 1),
        ("json_output", json!({"fields": ["a..b"]}), 1),
    ] {
        let expected = by_test(block, &config);
        assert_eq!(by_server(&server, block, &config), expected, "{block} {config}");
        assert_eq!(expected.len(), problems, "{block} {config}: {expected:?}");
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
