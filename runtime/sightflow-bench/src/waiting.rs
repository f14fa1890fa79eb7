//! Ten thousand runs that wait for a worker, with pictures of twelve megapixels: memory, answers, and what waiting costs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use sightflow_images::{EncodeFormat, Image, PixelFormat, Pixels, encode};

use crate::measure::Times;
use crate::server::Server;

const CLIENTS: usize = 8;

pub(crate) fn run() -> Result<()> {
    let runs: usize = std::env::var("SIGHTFLOW_WAITING").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000);
    let data = tempfile::TempDir::new()?;
    // Started twice: the first time it compiles its blocks.
    drop(Server::start(data.path(), true, &["--workers", "0"])?);
    let (server, _) = Server::start(data.path(), true, &["--workers", "0"])?;
    println!("resident memory, idle                        {:.0} MiB", server.resident_mib()?);
    let photo = server.upload(&encode(&large()?, EncodeFormat::Jpeg { quality: 90 })?)?;
    // Every tenth run keeps a picture that it made itself, and draws on it once the model has answered.
    let plain = server.save(&definition(None))?;
    let resized = server.save(&definition(Some(3000)))?;
    let start = Instant::now();
    std::thread::scope(|scope| {
        let client = |number: usize| -> Result<()> {
            for run in (number..runs).step_by(CLIENTS) {
                let workflow = if run % 10 == 0 { &resized } else { &plain };
                let body = json!({"input": {"image": photo}, "timeout_seconds": 3600});
                server.post(&format!("/api/v1/workflows/{workflow}/run"), &body)?;
            }
            Ok(())
        };
        let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || client(number))).collect();
        clients.into_iter().try_for_each(|client| client.join().unwrap_or_else(|_| bail!("a client panicked")))
    })?;
    println!("{runs} runs accepted in {:.1} s", start.elapsed().as_secs_f64());
    let waiting = || count(&server, "/api/v1/inference-jobs?status=queued&limit=1&total=true");
    while waiting()? < runs.min(10_000) {
        ensure!(start.elapsed() < Duration::from_secs(900), "only {} runs wait for their job", waiting()?);
        std::thread::sleep(Duration::from_millis(500));
    }
    println!("all of them wait for their jobs after {:.1} s", start.elapsed().as_secs_f64());
    std::thread::sleep(Duration::from_secs(3));
    println!("resident memory, {runs} runs waiting        {:.0} MiB; bar < 1024", server.resident_mib()?);
    let cpu = server.cpu()?;
    std::thread::sleep(Duration::from_secs(10));
    println!(
        "processor time while they wait               {:.2} % of a core",
        (server.cpu()? - cpu).as_secs_f64() * 10.0
    );
    let get = || server.get("/api/v1/executions?limit=50").map(drop);
    crate::measure::repeat(10, 300, get)?.print("GET /executions beside them", "");
    let logic = server.save(&crate::chain::definition(1))?;
    let path = format!("/api/v1/workflows/{logic}/run");
    let body = json!({"input": {"items": []}, "mode": "sync", "priority": 10});
    let ahead = || {
        let execution = server.post(&path, &body)?;
        ensure!(execution["status"] == "completed", "{execution}");
        Ok(())
    };
    crate::measure::repeat(5, 200, ahead)?.print("a logic run beside them, mode sync", "");
    let accepted = (0..200).map(|_| {
        let start = Instant::now();
        server
            .post(&format!("/api/v1/workflows/{plain}/run"), &json!({"input": {"image": photo}}))
            .map(|_| start.elapsed())
    });
    Times::new(accepted.collect::<Result<_>>()?).print("POST run to 202 beside them", "bar p99 < 40000");
    Ok(())
}

fn count(server: &Server, path: &str) -> Result<usize> {
    let answer = server.get(path)?;
    let total = answer["total"].as_u64().with_context(|| format!("{path}: {answer}"))?;
    Ok(usize::try_from(total)?)
}

/// 4000×3000 pixels.
fn large() -> Result<Image> {
    let pixel = |at: u32| [(at % 4000 / 16) as u8, (at / 4000 / 12) as u8, (at / 7919) as u8];
    let data = (0..4000 * 3000).flat_map(pixel).collect();
    Ok(Image::from_pixels(Pixels::new(4000, 3000, PixelFormat::Rgb8, data)?))
}

/// A picture, perhaps made smaller, shown to a model and drawn on.
fn definition(width: Option<u32>) -> Value {
    let mut nodes = vec![
        json!({"id": "photo", "type": "image_input"}),
        json!({"id": "find", "type": "detection", "config": {"model_id": "nanodet-416"}}),
        json!({"id": "draw", "type": "draw_boxes"}),
    ];
    let from = if width.is_some() { "small" } else { "photo" };
    let wire = |source: &str, output: &str, target: &str, input: &str| json!({"source": source, "sourceHandle": output, "target": target, "targetHandle": input});
    let mut edges = vec![
        wire(from, "image", "find", "image"),
        wire(from, "image", "draw", "image"),
        wire("find", "detections", "draw", "detections"),
    ];
    if let Some(width) = width {
        nodes.push(json!({"id": "small", "type": "resize", "config": {"width": width, "height": width * 2 / 3, "mode": "exact"}}));
        edges.push(wire("photo", "image", "small", "image"));
    }
    json!({"nodes": nodes, "edges": edges, "outputs": [{"name": "image", "source": "$nodes.draw.image"}]})
}
