//! What must be refused: with a status, a stable code and a place, without a panic and with nothing left behind.

use serde_json::{Value, json};

use crate::client::{example, photo};
use crate::server::Server;

fn detect_definition() -> Value {
    example("02-detect-and-draw")["definition"].clone()
}

/// A definition that is wrong in one way, the code and the pointer that must be reported.
fn broken_definitions() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let change = |edit: &dyn Fn(&mut Value)| {
        let mut definition = detect_definition();
        edit(&mut definition);
        definition
    };
    vec![
        ("unknown block", change(&|d| d["nodes"][2]["type"] = json!("draw_boxs")), "E-TYPE-UNKNOWN", "/nodes/2/type"),
        (
            "unknown input port",
            change(&|d| d["edges"][0]["targetHandle"] = json!("picture")),
            "E-PORT-UNKNOWN",
            "/edges/0/targetHandle",
        ),
        (
            "unknown output port",
            change(&|d| d["edges"][0]["sourceHandle"] = json!("img")),
            "E-PORT-UNKNOWN",
            "/edges/0/sourceHandle",
        ),
        (
            "unknown key",
            change(&|d| d["nodes"][1]["config"]["confidense"] = json!(0.4)),
            "E-CONFIG-KEY",
            "/nodes/1/config/confidense",
        ),
        (
            "value out of range",
            change(&|d| d["nodes"][1]["config"]["confidence"] = json!(1.4)),
            "E-CONFIG",
            "/nodes/1/config/confidence",
        ),
        (
            "value of another type",
            change(&|d| d["nodes"][1]["config"]["confidence"] = json!("0.4")),
            "E-CONFIG",
            "/nodes/1/config/confidence",
        ),
        (
            "unknown model",
            change(&|d| d["nodes"][1]["config"]["model_id"] = json!("yolo99")),
            "E-MODEL-UNKNOWN",
            "/nodes/1/config/model_id",
        ),
        (
            "model of another task",
            change(&|d| d["nodes"][1]["config"]["model_id"] = json!("efficientnet-lite0")),
            "E-MODEL-UNKNOWN",
            "/nodes/1/config/model_id",
        ),
        (
            "types that do not fit",
            change(&|d| d["edges"][2]["sourceHandle"] = json!("count")),
            "E-PORT-TYPE",
            "/edges/2",
        ),
        ("edge from nowhere", change(&|d| d["edges"][0]["source"] = json!("foto")), "E-EDGE-SOURCE", "/edges/0/source"),
        (
            "edge to nowhere",
            change(&|d| d["edges"][0]["target"] = json!("detector")),
            "E-EDGE-TARGET",
            "/edges/0/target",
        ),
        (
            "required port without a wire",
            change(&|d| {
                d["edges"].as_array_mut().unwrap().remove(0);
            }),
            "E-PORT-REQUIRED",
            "/nodes/1",
        ),
        (
            "two nodes of one name",
            change(&|d| {
                let node = d["nodes"][0].clone();
                d["nodes"].as_array_mut().unwrap().push(node);
            }),
            "E-NODE-DUPLICATE",
            "/nodes/3/id",
        ),
        ("unknown major version", change(&|d| d["version"] = json!("2.0")), "E-VERSION", "/version"),
        (
            "reference to nowhere",
            change(&|d| d["outputs"][0]["source"] = json!("$nodes.detekt.detections")),
            "E-REFERENCE",
            "/outputs/0/source",
        ),
        (
            "broken expression",
            change(&|d| d["nodes"][1]["config"]["confidence"] = json!("{{ 1 + }}")),
            "E-EXPRESSION",
            "/nodes/1/config/confidence",
        ),
        (
            "unknown operator",
            change(&|d| {
                d["nodes"].as_array_mut().unwrap().push(json!({"id": "check", "type": "condition", "config": {"field": "length", "operator": "=>", "value": 0}, "inputs": {"value": "$nodes.detect.detections"}}));
            }),
            "E-OPERATOR",
            "/nodes/3/config/operator",
        ),
    ]
}

#[test]
fn broken_definitions_are_refused_with_code_and_place() {
    let server = Server::start();
    for (what, definition, code, pointer) in broken_definitions() {
        let (status, answer) = server.post("/api/v1/workflows", &json!({"name": what, "definition": definition}));
        assert_eq!((status, answer["error"]["code"].as_str()), (422, Some("definition_invalid")), "{what}: {answer:#}");
        let details = answer["error"]["details"].as_array().unwrap();
        let hit = details.iter().any(|d| d["code"] == code && d["pointer"].as_str().unwrap().starts_with(pointer));
        assert!(hit, "{what}: wanted {code} at {pointer}: {details:#?}");
    }
    let (_, list) = server.get("/api/v1/workflows");
    assert_eq!(list["items"], json!([]), "a refused workflow leaves nothing behind");
}

#[test]
fn every_problem_is_reported_at_once_and_suggestions_are_near() {
    let server = Server::start();
    let mut definition = detect_definition();
    definition["nodes"][2]["type"] = json!("draw_boxs");
    definition["nodes"][1]["config"]["confidense"] = json!(0.4);
    definition["edges"][0]["targetHandle"] = json!("imag");
    let (_, answer) = server.post("/api/v1/workflows/validate", &json!({"definition": definition}));
    assert_eq!(answer["valid"], false);
    let suggestion = |code: &str| {
        let errors = answer["errors"].as_array().unwrap();
        errors.iter().find(|e| e["code"] == code).unwrap_or_else(|| panic!("no {code} in {errors:#?}"))["suggestion"]
            .clone()
    };
    assert_eq!(suggestion("E-TYPE-UNKNOWN"), "draw_boxes");
    assert_eq!(suggestion("E-CONFIG-KEY"), "confidence");
    assert_eq!(suggestion("E-PORT-UNKNOWN"), "image");
}

#[test]
fn a_cycle_is_named() {
    let server = Server::start();
    let node = |id: &str| json!({"id": id, "type": "json_output"});
    let edge =
        |from: &str, to: &str| json!({"source": from, "target": to, "sourceHandle": "json", "targetHandle": "data"});
    let definition =
        json!({"nodes": [node("a"), node("b"), node("c")], "edges": [edge("a", "b"), edge("b", "c"), edge("c", "a")]});
    let (status, answer) = server.post("/api/v1/workflows", &json!({"name": "cycle", "definition": definition}));
    assert_eq!(status, 422);
    let message = answer["error"]["details"][0]["message"].as_str().unwrap();
    assert_eq!(answer["error"]["details"][0]["code"], "E-CYCLE");
    assert!(["a", "b", "c"].iter().all(|id| message.contains(id)), "{message}");
}

/// A PNG that says that it is 20,000 × 10,000 pixels and carries none of them.
fn huge_png() -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(20_000u32.to_be_bytes());
    header.extend(10_000u32.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    png.extend(13u32.to_be_bytes());
    png.extend(&header);
    png.extend(crc32(&header).to_be_bytes());
    png.extend([0, 0, 0, 0, b'I', b'D', b'A', b'T', 0x35, 0xAF, 0x06, 0x1E]);
    png
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn broken_run_requests_are_refused() {
    let server = Server::start();
    let run = format!("/api/v1/workflows/{}/run", server.save_example("01-detect"));
    let base64 = |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    let truncated = &photo("coffee.png")[..20];
    let unknown_blob = format!("sha256:{}", "0".repeat(64));
    for (what, body, status, code) in [
        ("no image", json!({"input": {}}), 422, "input_invalid"),
        ("no body fields", json!({}), 422, "input_invalid"),
        ("text as image", json!({"input": {"image_base64": base64(b"not a picture")}}), 422, "image_invalid"),
        ("not base64", json!({"input": {"image_base64": "@@@"}}), 422, "image_invalid"),
        ("cut off picture", json!({"input": {"image_base64": base64(truncated)}}), 422, "image_invalid"),
        ("200 megapixels", json!({"input": {"image_base64": base64(&huge_png())}}), 422, "image_invalid"),
        ("unknown blob", json!({"input": {"image": unknown_blob}}), 422, "image_invalid"),
        ("loopback URL", json!({"input": {"image_url": "http://127.0.0.1:80/x.jpg"}}), 422, "url_not_allowed"),
        ("file URL", json!({"input": {"image_url": "file:///etc/passwd"}}), 422, "url_not_allowed"),
        (
            "undeclared parameter",
            json!({"input": {"image_base64": base64(&photo("coffee.png"))}, "parameters": {"x": 1}}),
            422,
            "parameters_invalid",
        ),
        ("unknown field", json!({"inptu": {}}), 400, "unknown_field"),
        ("unknown mode", json!({"input": {}, "mode": "later"}), 400, "invalid_field"),
        ("priority 11", json!({"input": {}, "priority": 11}), 400, "invalid_field"),
    ] {
        let (got, answer) = server.post(&run, &body);
        assert_eq!((got, answer["error"]["code"].as_str()), (status, Some(code)), "{what}: {answer:#}");
        assert!(answer["error"]["message"].as_str().unwrap().len() > 10, "{what}: {answer:#}");
    }
    let (_, list) = server.get("/api/v1/executions");
    assert_eq!(list["items"], json!([]), "a refused run leaves nothing behind");
}

#[test]
fn a_picture_with_a_good_header_and_broken_pixels_fails_its_run() {
    let server = Server::start();
    let workflow = server.save_example("01-detect");
    let mut broken = photo("coffee.png");
    let middle = broken.len() / 2;
    broken[middle..middle + 2000].fill(0xAB);
    let execution = server.finished(&server.start(&workflow, &server.upload(&broken)));
    assert_eq!(execution["status"], "failed", "{execution:#}");
    assert!(execution["error"]["code"].as_str().unwrap().starts_with("E-"), "{execution:#}");
    assert!(execution["error"]["node_id"].is_string(), "{execution:#}");
    // The server is none the worse for it.
    server.run(&workflow, &photo("coffee.png"));
}

#[test]
fn http_misuse_has_one_shape() {
    let server = Server::start();
    let id = "019ab3c0-5d1e-7c43-9a0e-0c4be2a6d5f1";
    let big = vec![b' '; 60 << 20];
    for (what, (status, answer), wanted, code) in [
        ("invalid JSON", server.send("/api/v1/workflows", "application/json", b"{\"name\":"), 400, "bad_json"),
        ("60 MB body", server.send("/api/v1/workflows", "application/json", &big), 413, "body_too_large"),
        ("wrong media type", server.send("/api/v1/workflows", "text/plain", b"{}"), 415, "unsupported_media_type"),
        ("unknown route", server.get("/api/v1/nothing-here"), 404, "not_found"),
        ("wrong method", server.delete("/api/v1/workflows"), 405, "method_not_allowed"),
        ("unknown workflow", server.get(&format!("/api/v1/workflows/wf_{id}")), 404, "not_found"),
        ("another type's id", server.get(&format!("/api/v1/workflows/exe_{id}")), 400, "invalid_id"),
        ("no id at all", server.get("/api/v1/executions/42"), 400, "invalid_id"),
        ("foreign cursor", server.get("/api/v1/workflows?cursor=abc"), 400, "invalid_cursor"),
        ("broken picture", server.send("/api/v1/blobs", "application/octet-stream", b"junk"), 422, "image_invalid"),
    ] {
        assert_eq!((status, answer["error"]["code"].as_str()), (wanted, Some(code)), "{what}: {answer:#}");
        for key in ["message", "request_id"] {
            assert!(answer["error"][key].is_string(), "{what}: {key}");
        }
    }
}

#[test]
fn an_expression_that_loops_ends_with_its_fuel() {
    let server = Server::start();
    let each = |expression: &str| json!({"nodes": [{"id": "n", "type": "map", "config": {"expression": expression}, "inputs": {"items": [1]}}]});
    let wired = json!({"nodes": [{"id": "n", "type": "json_output", "inputs": {"data": "{{ range(99999) | map('string') | list | length }}"}}]});
    for (definition, code, part) in [
        (each("range(100000000) | sum"), "E-BAD-INPUT", "at most 100000 numbers"),
        (each("range(99999)|sum + range(99999)|sum + range(99999)|sum"), "E-BAD-CONFIG", "100000 operations"),
        (wired, "E-EXPRESSION", "100000 operations"),
    ] {
        let path = format!("/api/v1/workflows/{}/run", server.save(&definition));
        let (_, accepted) = server.post(&path, &json!({"input": {}}));
        let execution = server.finished(accepted["execution_id"].as_str().unwrap());
        let error = &execution["error"];
        assert_eq!((error["code"].as_str(), error["node_id"].as_str()), (Some(code), Some("n")), "{error:#}");
        assert!(error["message"].as_str().unwrap().contains(part), "{error:#}");
    }
}

#[test]
fn a_deleted_workflow_does_not_run() {
    let server = Server::start();
    let workflow = server.save_example("01-detect");
    assert_eq!(server.delete(&format!("/api/v1/workflows/{workflow}")).0, 200);
    let (status, answer) = server.post(&format!("/api/v1/workflows/{workflow}/run"), &json!({"input": {}}));
    assert_eq!((status, answer["error"]["code"].as_str()), (404, Some("not_found")));
}
