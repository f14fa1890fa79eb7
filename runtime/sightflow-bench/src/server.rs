//! The release binary over HTTP: start, memory, acceptance under load, a chain of logic.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::log::Log;
use crate::measure::{Times, detections, process_cpu, root};

/// The release binary, as a process of its own.
pub(crate) struct Server {
    process: Child,
    address: String,
    agent: ureq::Agent,
}

impl Server {
    /// Starts it and answers how long that took.
    pub(crate) fn start(data: &Path, models: bool, more: &[&str]) -> Result<(Self, Duration)> {
        let binary = root().join("target/release/sightflow");
        let binary =
            std::env::var_os("CARGO_TARGET_DIR").map_or(binary, |dir| Path::new(&dir).join("release/sightflow"));
        let mut command = Command::new(&binary);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(more)
            .env("SIGHTFLOW_LOG", "warn")
            .stdout(Stdio::piped());
        if models {
            command.arg("--starter-models").arg(root().join("examples/models"));
        }
        let start = Instant::now();
        let mut process = command.spawn().with_context(|| binary.display().to_string())?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("no stdout")?).read_line(&mut line)?;
        let time = start.elapsed();
        let address = line
            .split_whitespace()
            .find(|word| word.starts_with("http://"))
            .context("the server did not start")?
            .to_owned();
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        Ok((Self { process, address, agent }, time))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let mut response = self.agent.post(format!("{}{path}", self.address)).send_json(body)?;
        let status = response.status();
        let answer: Value = response.body_mut().read_json()?;
        ensure!(status.is_success(), "{path}: {status} {answer}");
        Ok(answer)
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        Ok(self.agent.get(format!("{}{path}", self.address)).call()?.body_mut().read_json()?)
    }

    pub(crate) fn save(&self, definition: &Value) -> Result<String> {
        let workflow = self.post("/api/v1/workflows", &json!({"name": "bench", "definition": definition}))?;
        Ok(workflow["id"].as_str().context("no id")?.to_owned())
    }

    /// Stores a file; its digest.
    pub(crate) fn upload(&self, bytes: &[u8]) -> Result<Value> {
        let request = self.agent.post(format!("{}/api/v1/blobs", self.address));
        let blob: Value = request.content_type("application/octet-stream").send(bytes)?.body_mut().read_json()?;
        Ok(blob["digest"].clone())
    }

    /// Processor time of the whole process so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        process_cpu(&self.process.id().to_string())
    }

    /// Waits until no run is open any more.
    fn idle(&self) -> Result<()> {
        loop {
            let open = self.get("/api/v1/executions?status=pending&status=running&limit=1")?;
            if open["items"].as_array().is_some_and(Vec::is_empty) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn resident_mib(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.split_whitespace().next().context("no number")?.parse::<f64>()? / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn run() -> Result<()> {
    let data = tempfile::TempDir::new()?;
    let (server, cold) = Server::start(data.path(), false, &[])?;
    drop(server);
    let warm =
        (0..5).map(|_| Server::start(data.path(), false, &[]).map(|(_, time)| time)).collect::<Result<Vec<_>>>()?;
    println!("start to ready, empty cache                  {:.0} ms", cold.as_secs_f64() * 1e3);
    Times::new(warm).print("start to ready, compiled blocks cached", "");
    let (server, _) = Server::start(data.path(), true, &[])?;
    println!("resident memory, idle                        {:.0} MiB", server.resident_mib()?);
    chain(&server)?;
    acceptance(&server)?;
    open_loop(&server)?;
    growth(&server, data.path())?;
    commits(&server, data.path())?;
    models(&server)?;
    Ok(())
}

/// Ten logic nodes, asked for synchronously: submit, run, finish, answer.
fn chain(server: &Server) -> Result<()> {
    let workflow = server.save(&crate::chain::definition(10))?;
    let body = json!({"input": {"items": detections(5)}, "mode": "sync"});
    let path = format!("/api/v1/workflows/{workflow}/run");
    let call = || {
        let execution = server.post(&path, &body)?;
        ensure!(execution["status"] == "completed", "{execution}");
        Ok(())
    };
    crate::measure::repeat(20, 200, call)?.print("10 logic nodes over HTTP, mode sync", "");
    Ok(())
}

/// Fifty clients, each posting runs one after another.
fn acceptance(server: &Server) -> Result<()> {
    const CLIENTS: usize = 50;
    const RUNS: usize = 40;
    let workflow = server.save(&crate::chain::definition(1))?;
    let path = format!("/api/v1/workflows/{workflow}/run");
    let body = json!({"input": {"items": []}});
    let start = Instant::now();
    let times: Vec<Duration> = std::thread::scope(|scope| {
        let client = || -> Result<Vec<Duration>> {
            let mut times = Vec::new();
            for _ in 0..RUNS {
                let start = Instant::now();
                server.post(&path, &body)?;
                times.push(start.elapsed());
            }
            Ok(times)
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap_or_else(|_| bail!("a client panicked")))
            .collect::<Result<Vec<_>>>()
    })?
    .concat();
    println!("{} runs accepted in {:.2} s", times.len(), start.elapsed().as_secs_f64());
    Times::new(times).print("POST run to 202, 50 clients", "bar p99 < 40000");
    server.idle()?;
    println!("all of them ended after {:.2} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Runs posted at a fixed rate, however long the answers take: each time counts from when the post was due.
fn open_loop(server: &Server) -> Result<()> {
    const CLIENTS: u32 = 16;
    const RATE: u32 = 200;
    const SECONDS: u32 = 10;
    let workflow = server.save(&crate::chain::definition(1))?;
    let path = format!("/api/v1/workflows/{workflow}/run");
    let body = json!({"input": {"items": []}});
    let (cpu, start) = (server.cpu()?, Instant::now());
    let client = |number: u32| -> Result<Vec<Duration>> {
        let mut times = Vec::new();
        for post in (number..RATE * SECONDS).step_by(CLIENTS as usize) {
            let due = start + Duration::from_secs(1) * post / RATE;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            server.post(&path, &body)?;
            times.push(due.elapsed());
        }
        Ok(times)
    };
    let times = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || client(number))).collect();
        let times = clients.into_iter().map(|client| client.join().unwrap_or_else(|_| bail!("a client panicked")));
        times.collect::<Result<Vec<_>>>()
    })?;
    server.idle()?;
    let runs = f64::from(RATE * SECONDS);
    let times = Times::new(times.concat());
    times.print(&format!("POST run to 202, open loop, {RATE} runs/s"), "bar p99 ≤ 40000");
    let cpu_ms = (server.cpu()? - cpu).as_secs_f64() * 1e3 / runs;
    println!("processor time of a run of one logic node    {cpu_ms:.2} ms, submit to end; bar ≤ 1.5");
    Ok(())
}

/// What a thousand runs leave on the disk.
fn growth(server: &Server, data: &Path) -> Result<()> {
    const RUNS: u64 = 1_000;
    let workflow = server.save(&crate::chain::definition(10))?;
    let path = format!("/api/v1/workflows/{workflow}/run");
    let body = json!({"input": {"items": detections(5)}});
    let database = || -> Result<u64> { Ok(std::fs::metadata(data.join("sightflow.db"))?.len()) };
    let before = database()?;
    for _ in 0..RUNS {
        server.post(&path, &body)?;
    }
    server.idle()?;
    let grown = database()?.saturating_sub(before);
    println!("database, by a run of ten logic nodes        {} bytes (before the log is folded in)", grown / RUNS);
    Ok(())
}

/// What a run that has the server for itself writes, from its post to its end.
fn commits(server: &Server, data: &Path) -> Result<()> {
    const RUNS: u32 = 10;
    let photo = std::fs::read(root().join("examples/images/astronaut.png"))?;
    let draw = json!({
        "nodes": [{"id": "photo", "type": "image_input"},
                  {"id": "draw", "type": "draw_boxes", "inputs": {"image": "$nodes.photo.image", "detections": "$inputs.items"}}],
        "outputs": [{"name": "image", "source": "$nodes.draw.image"}]
    });
    let detect: Value =
        serde_json::from_slice(&std::fs::read(root().join("examples/workflows/02-detect-and-draw.json"))?)?;
    let cases = [
        ("one logic node", crate::chain::definition(1), false, "bar <= 3"),
        ("picture, draw", draw, true, "bar <= 5"),
        ("picture, detect, draw", detect["definition"].clone(), true, ""),
    ];
    let mut made: u32 = 0;
    for (what, definition, pictures, bar) in cases {
        let path = format!("/api/v1/workflows/{}/run", server.save(&definition)?);
        let mut written = None;
        // The log may start again in between.
        for _ in 0..5 {
            let before = Log::of(&data.join("sightflow.db"))?;
            for _ in 0..RUNS {
                let mut input = json!({"items": detections(5)});
                if pictures {
                    // Bytes after the end of a PNG make it another file with the same picture.
                    made += 1;
                    let photo = [photo.as_slice(), &made.to_le_bytes()].concat();
                    input["image_base64"] = json!(STANDARD.encode(photo));
                }
                let execution = server.post(&path, &json!({"input": input, "mode": "sync"}))?;
                ensure!(execution["status"] == "completed", "{execution}");
            }
            written = Log::of(&data.join("sightflow.db"))?.since(before);
            if written.is_some() {
                break;
            }
        }
        match written {
            Some(log) => println!(
                "written by a run, {what:<27} {:.1} commits, {:.1} pages  {bar}",
                log.commits as f64 / f64::from(RUNS),
                log.pages as f64 / f64::from(RUNS)
            ),
            None => println!("written by a run, {what:<27} not measured: the log started again each time"),
        }
    }
    Ok(())
}

/// One run of each example with a model, then the memory.
fn models(server: &Server) -> Result<()> {
    let photo = std::fs::read(root().join("examples/images/astronaut.png"))?;
    let digest = server.upload(&photo)?;
    for name in ["02-detect-and-draw", "03-embed", "05-classify"] {
        let file = root().join(format!("examples/workflows/{name}.json"));
        let example: Value = serde_json::from_slice(&std::fs::read(file)?)?;
        let path = format!("/api/v1/workflows/{}/run", server.save(&example["definition"])?);
        let body = json!({"input": {"image": digest}, "mode": "sync"});
        let run = || {
            let execution = server.post(&path, &body)?;
            ensure!(execution["status"] == "completed", "{execution}");
            Ok(())
        };
        crate::measure::repeat(2, 20, run)?.print(&format!("{name} over HTTP, mode sync"), "");
    }
    println!("resident memory, three models loaded         {:.0} MiB", server.resident_mib()?);
    Ok(())
}
