//! The main job, end to end: a real photograph goes through the HTTP API, a model and a sandboxed block.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::console::{Steps, bold};
use crate::server::{self, Server};
use crate::{root, toolchain};

/// Options of `cargo xtask demo`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Keep serving afterwards, until Ctrl-C.
    #[arg(long)]
    stay: bool,
    /// The photograph.
    #[arg(long, default_value = "examples/images/astronaut.png")]
    photo: PathBuf,
    /// Where the annotated picture goes.
    #[arg(long, default_value = "demo-output/annotated.png")]
    out: PathBuf,
    /// Run this program instead of building one.
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) binary: Option<PathBuf>,
}

const WORKFLOW: &str = "examples/workflows/02-detect-and-draw.json";

/// Loading the model and finding the objects takes well below a second, also on an old machine.
const FAR_TOO_LONG_MS: u64 = 3_000;
const TOO_LONG: &str = "      This took far longer than it should. Is the machine busy with something else? Does the ready line above\n      \
     say `scalar`, although the CPU has AVX2 or NEON? Then please report the line and your CPU.";

pub(crate) fn run(options: &Options) -> Result<()> {
    let photo = root().join(&options.photo);
    let bytes = std::fs::read(&photo).with_context(|| format!("cannot read the photograph {}", photo.display()))?;
    let mut steps = Steps::new(5);

    steps.step("Check the toolchain", toolchain::ensure_block_target)?;
    let binary = match &options.binary {
        Some(binary) => steps.step("Use the program that is there", || Ok(std::path::absolute(binary)?))?,
        None => steps.step("Build blocks and server (the first time takes about 10 minutes)", server::build)?,
    };
    let data = root().join("demo-output/data");
    let server = steps.step("Start the server on a free port", || Server::start(&binary, &data))?;
    eprintln!("      {}", server.ready_line);

    let execution = steps.step("Upload the workflow and run it on the photograph", || {
        let workflow: Value = serde_json::from_slice(&std::fs::read(root().join(WORKFLOW))?)?;
        let workflow = server.post("/api/v1/workflows", "application/json", &serde_json::to_vec(&workflow)?)?;
        let blob = server.post("/api/v1/blobs", "application/octet-stream", &bytes)?;
        let request = json!({"input": {"image": blob["digest"]}});
        let path = format!("/api/v1/workflows/{}/run", text(&workflow["id"])?);
        let start = Instant::now();
        let accepted = server.post(&path, "application/json", &serde_json::to_vec(&request)?)?;
        eprintln!(
            "      accepted in {:.1} ms: {}",
            start.elapsed().as_secs_f64() * 1e3,
            text(&accepted["execution_id"])?
        );
        server.events(text(&accepted["events_url"])?, |name, data| {
            let subject = data["node_id"].as_str().unwrap_or_default();
            let duration = data["duration_ms"].as_u64();
            let time = duration.map_or_else(String::new, |ms| format!("{ms} ms"));
            eprintln!("      {:>7.1} ms  {name:<22} {subject:<8} {time}", start.elapsed().as_secs_f64() * 1e3);
            if duration.is_some_and(|ms| ms > FAR_TOO_LONG_MS) {
                eprintln!("{}", bold(TOO_LONG));
            }
        })?;
        server.get(text(&accepted["status_url"])?)
    })?;

    let out = root().join(&options.out);
    steps.step("Fetch the annotated picture", || {
        if execution["status"] != "completed" {
            bail!("the run ended as {}: {}", execution["status"], execution["error"]);
        }
        let url = format!("/api/v1/executions/{}/outputs/annotated_image", text(&execution["id"])?);
        std::fs::create_dir_all(out.parent().unwrap_or(&out))?;
        std::fs::write(&out, server.bytes(&url)?)?;
        Ok(())
    })?;

    report(&execution, &out.display().to_string());
    steps.summary();
    what_next(&server, options.stay);
    if options.stay { server.wait() } else { Ok(()) }
}

/// Detections and timings, to stdout: they are the result.
fn report(execution: &Value, picture: &str) {
    println!("\n{}", bold("Found in the photograph"));
    for found in execution["outputs"]["detections"].as_array().into_iter().flatten() {
        let side = |name: &str| found["bbox_abs"][name].as_f64().unwrap_or_default();
        println!(
            "  {:<14} {:>5.1} %   x {:.0}..{:.0}, y {:.0}..{:.0}",
            found["class_name"].as_str().unwrap_or_default(),
            found["confidence"].as_f64().unwrap_or_default() * 100.0,
            side("x1"),
            side("x2"),
            side("y1"),
            side("y2"),
        );
    }
    println!("{}", bold("Time by node"));
    for (node, metrics) in execution["node_metrics"].as_object().into_iter().flatten() {
        println!("  {node:<14} {:>5} ms", metrics["duration_ms"]);
    }
    println!("  {:<14} {:>5} ms\n", "whole run", execution["duration_ms"]);
    println!("{} {picture}\n", bold("Annotated picture:"));
}

fn what_next(server: &Server, stay: bool) {
    eprintln!("\n{}", bold("What to try next"));
    eprintln!("  cargo xtask demo --photo your.jpg          your own photograph");
    eprintln!("  cargo xtask demo --stay                    keep the server and talk to it yourself");
    eprintln!("  cargo xtask test                           every test, on real parts");
    eprintln!("  ls examples/workflows                      eight more workflows");
    if stay {
        eprintln!(
            "\nServing on {0} until Ctrl-C. For example:\n  curl {0}/api/v1/blocks\n  curl {0}/api/v1/executions",
            server.address
        );
    }
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("the server's answer lacks a text where {value} stands"))
}
