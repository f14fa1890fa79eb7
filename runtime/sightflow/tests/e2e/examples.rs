//! The packages of `examples/blocks`, built as an author builds them, and at work in a server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::client::{Client, photo};
use crate::server::{SIGHTFLOW, Server, root};

/// Builds a package below `examples/blocks`; where its component lies.
pub(crate) fn built(name: &str) -> PathBuf {
    let mut command = Command::new(SIGHTFLOW);
    command.args(["block", "build"]).arg(root().join("examples/blocks").join(name));
    for (variable, _) in std::env::vars_os() {
        let text = variable.to_string_lossy();
        if text.starts_with("CARGO_") && text != "CARGO_HOME" {
            command.env_remove(&variable);
        }
    }
    // What the packages share is compiled once.
    let output =
        command.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    root().join("examples/blocks").join(name).join(String::from_utf8(output.stdout).unwrap().trim())
}

fn published(server: &Client, component: &Path) -> Value {
    let bytes = std::fs::read(component).unwrap();
    let (status, package) = server.send("/api/v1/block-packages?verify=true", "application/wasm", &bytes);
    assert_eq!(status, 201, "{package:#}");
    package
}

/// A vision-language model that knows one answer, and what it was asked: request line with headers, and body.
struct Model {
    port: u16,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Model {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let heard = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &heard);
            }
        });
        Self { port, asked }
    }

    fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    fn asked(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn answer(mut stream: TcpStream, heard: &Mutex<Vec<(String, Value)>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while reader.read_line(&mut head).unwrap() > 2 {}
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    let (status, said) = if head.starts_with("GET /v1/moved") {
        ("302 Found\r\nlocation: http://169.254.169.254/latest/meta-data", json!({}))
    } else {
        ("200 OK", json!({"choices": [{"message": {"content": "A rocket."}}], "usage": {"total_tokens": 12}}))
    };
    heard.lock().unwrap().push((head, serde_json::from_slice(&body).unwrap_or_default()));
    let said = said.to_string();
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{said}", said.len()).unwrap();
}

const SECRET: &str = "sk-not-for-anybody";
const GRANTS: &str = "/api/v1/block-packages/acme/vision-language/grants";

fn definition(base_urls: &[String]) -> Value {
    let nodes = base_urls.iter().enumerate().map(|(index, url)| {
        json!({"id": format!("ask_{index}"), "type": "acme/vision-language/ask_image", "on_error": "continue",
            "inputs": {"image": "$nodes.photo.image"}, "config": {"base_url": url}})
    });
    let nodes: Vec<_> = std::iter::once(json!({"id": "photo", "type": "image_input"})).chain(nodes).collect();
    json!({"nodes": nodes, "outputs": [{"name": "answer", "source": "$nodes.ask_0.answer"}]})
}

/// Of each node that asks, why it failed.
fn failures(server: &Client, execution: &Value) -> Vec<String> {
    let (_, nodes) = server.get(&format!("/api/v1/executions/{}/nodes", execution["id"].as_str().unwrap()));
    let nodes = nodes["items"].as_array().unwrap();
    nodes
        .iter()
        .filter(|node| node["node_id"] != "photo")
        .map(|node| format!("{} {}", node["error"], node["logs"]))
        .collect()
}

#[test]
fn a_vision_language_model_is_asked_where_it_was_granted() {
    let (model, server) = (Model::start(), Server::start_with(&["--workers", "0", "--allow-network", "127.0.0.0/8"]));
    let component = built("vision-language");
    let package = published(&server, &component);
    assert_eq!(package["grants"], json!({"requested": ["http:*", "secret:API_KEY"], "effective": []}), "{package:#}");
    assert!(package["warnings"].to_string().contains("grants"), "{package:#}");
    let wanted = definition(&[model.base_url()]);
    let (status, refused) = server.post("/api/v1/workflows", &json!({"name": "ask", "definition": wanted}));
    assert_eq!((status, &refused["error"]["details"][0]["code"]), (422, &json!("E-GRANT")), "{refused:#}");

    assert_eq!(server.put("/api/v1/secrets/openai", &json!({"value": SECRET})).0, 204);
    let grants = json!({"capabilities": [format!("http:127.0.0.1:{}", model.port)], "secrets": {"API_KEY": "openai"}});
    let (status, granted) = server.put(GRANTS, &grants);
    assert_eq!(status, 200, "{granted:#}");
    let effective = json!([format!("http:127.0.0.1:{}", model.port), "secret:API_KEY"]);
    assert_eq!(granted["grants"]["effective"], effective);
    let workflow = server.save(&wanted);
    let execution = server.run(&workflow, &photo("rocket.jpg"));
    assert_eq!(execution["outputs"]["answer"], "A rocket.", "{execution:#}");
    let asked = model.asked();
    let [(head, body)] = &asked[..] else { panic!("{asked:?}") };
    assert!(head.to_ascii_lowercase().contains(&format!("authorization: bearer {SECRET}\r\n")), "{head}");
    let picture = body["messages"][0]["content"][1]["image_url"]["url"].as_str().unwrap();
    assert!(picture.starts_with("data:image/jpeg;base64,"), "{picture}");
    let id = execution["id"].as_str().unwrap();
    let (_, effects) = server.get(&format!("/api/v1/executions/{id}/effects"));
    assert_eq!((&effects["items"][0]["state"], &effects["items"][0]["node_id"]), (&json!("done"), &json!("ask_0")));

    // Nothing that can be read has the secret.
    for path in ["", "/nodes", "/effects", "/events?after=0"] {
        let (status, bytes) = server.bytes(&format!("/api/v1/executions/{id}{path}"));
        assert_eq!(status, 200, "{path}");
        assert!(!String::from_utf8_lossy(&bytes).contains(SECRET), "{path}");
    }
    let (_, secrets) = server.get("/api/v1/secrets");
    assert_eq!(secrets["items"][0]["name"], "openai");
    for file in ["sightflow.db", "sightflow.db-wal"] {
        let bytes = std::fs::read(server.data().join(file)).unwrap_or_default();
        assert!(!bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()), "{file}");
    }

    // What was taken back is gone with the next run.
    server.put(GRANTS, &json!({}));
    let input = json!({"input": {"image": server.upload(&photo("rocket.jpg"))}});
    let (status, refused) = server.post(&format!("/api/v1/workflows/{workflow}/run"), &input);
    assert_eq!((status, &refused["error"]["details"][0]["code"]), (422, &json!("E-GRANT")), "{refused:#}");
    assert_eq!(model.asked(), []);
}

/// Where no block may go, whatever its tenant granted: the server's own networks.
#[test]
fn private_networks_are_closed_to_blocks() {
    let (model, server) = (Model::start(), Server::start_with(&["--workers", "0"]));
    published(&server, &built("vision-language"));
    assert_eq!(server.put("/api/v1/secrets/openai", &json!({"value": SECRET})).0, 204);
    let hosts = [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
        "[fd00::1]",
        "[fe80::1]",
        "224.0.0.1",
    ];
    let mut granted: Vec<_> = hosts.iter().map(|host| format!("http:{host}")).collect();
    granted.push(format!("http:127.0.0.1:{}", model.port));
    let (status, package) = server.put(GRANTS, &json!({"capabilities": granted, "secrets": {"API_KEY": "openai"}}));
    assert_eq!(status, 200, "{package:#}");
    let mut urls: Vec<_> = hosts.iter().map(|host| format!("http://{host}/v1")).collect();
    // Other ways to write addresses, which were not granted as such.
    urls.extend(
        ["http://0x7f.1/v1", "http://2130706433/v1", "http://127.1/v1", "http://017700000001/v1"].map(str::to_owned),
    );
    urls.push(model.base_url());
    let execution = server.run(&server.save(&definition(&urls)), &photo("rocket.jpg"));
    let failures = failures(&server, &execution);
    assert_eq!(failures.len(), urls.len());
    for (url, failure) in urls.iter().zip(&failures) {
        assert!(failure.contains("E-BLOCK-FAILED") && failure.contains("HttpRequestDenied"), "{url}: {failure}");
    }
    assert_eq!(model.asked(), []);
}

#[test]
fn an_author_tries_a_request_at_home() {
    let model = Model::start();
    let component = built("vision-language");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(SIGHTFLOW);
        command.args(["block", "run"]).arg(&component).args(["--block", "ask_image", "--profile"]);
        command.arg("--input").arg(format!("image={}", root().join("examples/images/rocket.jpg").display()));
        command.arg("--config").arg(json!({"base_url": model.base_url()}).to_string()).args(arguments);
        let output = command.env("API_KEY", SECRET).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let host = format!("127.0.0.1:{}", model.port);
    for (arguments, missing) in [
        (&[][..], "--allow-host"),
        (&["--allow-host", &host], "--secret API_KEY"),
        (&["--allow-host", &host, "--secret", "API_KEY"], "loopback"),
    ] {
        let (ok, _, said) = run(arguments);
        assert!(!ok && said.contains(missing), "{arguments:?}: {said}");
    }
    assert_eq!(model.asked(), []);
    let (ok, out, said) = run(&["--allow-host", &host, "--secret", "API_KEY", "--allow-network", "127.0.0.0/8"]);
    assert!(ok, "{said}");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), json!({"answer": "A rocket.", "tokens": 12}));
    assert!(said.contains("HTTP         1 requests") && !said.contains(SECRET), "{said}");
    assert!(model.asked()[0].0.contains(SECRET));
}
