//! What a block costs beside a bare call: wasmtime alone, a fresh instance of a core module that reads the same JSON into
//! a tree and writes it again; no interface, no limits, no account.
//!
//! `cargo xtask bench bare`

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sightflow_sandbox::{CallConditions, GuestPayload, Sandbox, SandboxConfig};
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, InstancePre, Linker, Module, PoolingAllocationConfig, Store,
};

/// Calls of each kind; they take turns, so that both meet the same machine.
const CALLS: usize = 5000;

fn main() -> Result<()> {
    // `cargo test --benches` runs this as well; there is nothing to test.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    println!("\n# bare");
    let detections: Vec<_> = (0..50).map(detection).collect();
    let (bare, text) = (bare()?, json!({"value": detections}).to_string());
    let sandbox = Sandbox::new(&SandboxConfig::default())?;
    let packages = sightflow_first_party::load(&sandbox)?;
    let package = packages.iter().find(|package| package.manifest("condition").is_some()).context("no `condition`")?;
    let (config, conditions) =
        (r#"{"field":"length","operator":"greater_than","value":10}"#, CallConditions::default());
    let (mut alone, mut blocks) = (Vec::new(), Vec::new());
    for round in 0..CALLS + 500 {
        let start = Instant::now();
        let length = bare.call(&text)?;
        let between = Instant::now();
        let payload = GuestPayload { document: text.clone(), images: Vec::new() };
        let outcome = sandbox.call_blocking(package, "condition", config, payload, &conditions)?;
        let end = Instant::now();
        // Digits of a number may differ.
        let (whole, passed) = (text.len(), outcome.document.text().len());
        ensure!(length.abs_diff(whole) < whole / 10, "the bare guest wrote {length} bytes of {whole}");
        ensure!(passed > whole, "the block wrote {passed} bytes of {whole}");
        if round >= 500 {
            alone.push(between - start);
            blocks.push(end - between);
        }
    }
    let alone = print("bare wasmtime call, 50 detections", &mut alone);
    let blocks = print("component call, 50 detections", &mut blocks);
    println!("{:44} {:.2} (bar ≤ 2.0)", "  of the bare call", blocks / alone);
    Ok(())
}

/// Prints minimum, median and 95th percentile in microseconds; answers the median.
fn print(name: &str, times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    let [min, median, high] = [0, times.len() / 2, times.len() * 95 / 100].map(|at| times[at].as_secs_f64() * 1e6);
    println!("{name:<44} n {CALLS:>5}  µs min {min:>10.1} p50 {median:>10.1} p95 {high:>10.1}");
    median
}

/// A detection as models deliver it.
fn detection(i: u32) -> serde_json::Value {
    let (x, y) = (f64::from(i % 10) * 0.09, f64::from(i / 10 % 5) * 0.18);
    json!({
        "id": format!("detect/{i}"), "class_id": i % 80, "class_name": "person", "confidence": 0.5 + f64::from(i % 100) / 200.0,
        "bbox": {"x1": x, "y1": y, "x2": x + 0.08, "y2": y + 0.16},
        "bbox_abs": {"x1": x * 1280.0, "y1": y * 720.0, "x2": (x + 0.08) * 1280.0, "y2": (y + 0.16) * 720.0},
        "area": 0.0128,
    })
}

/// The module, ready to be instantiated.
struct Bare {
    engine: Engine,
    pre: InstancePre<()>,
}

/// Builds and compiles the core module, with what makes instances cheap in wasmtime and nothing else.
fn bare() -> Result<Bare> {
    let mut config = Config::new();
    let mut pool = PoolingAllocationConfig::new();
    pool.linear_memory_keep_resident(2 << 20).table_keep_resident(2 << 20);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    let engine = Engine::new(&config).map_err(|error| anyhow::anyhow!("{error:#}"))?;
    let made = || {
        let module = Module::from_file(&engine, guest()?)?;
        let mut linker = Linker::new(&engine);
        // What the standard library would ask of a system that it never needs here.
        linker.define_unknown_imports_as_traps(&module)?;
        linker.instantiate_pre(&module)
    };
    let pre = made().map_err(|error| anyhow::anyhow!("{error:#}"))?;
    Ok(Bare { engine, pre })
}

impl Bare {
    /// One call; the length of what the guest wrote.
    fn call(&self, text: &str) -> Result<usize> {
        let work = || {
            let mut store = Store::new(&self.engine, ());
            let instance = self.pre.instantiate(&mut store)?;
            let room = instance.get_typed_func::<u32, u32>(&mut store, "room")?;
            let run = instance.get_typed_func::<(u32, u32), u64>(&mut store, "read_and_write")?;
            let memory = instance.get_memory(&mut store, "memory").ok_or_else(|| wasmtime::Error::msg("no memory"))?;
            let length = u32::try_from(text.len())?;
            let place = room.call(&mut store, length)?;
            memory.write(&mut store, place as usize, text.as_bytes())?;
            let written = run.call(&mut store, (place, length))?;
            let mut copy = vec![0; (written & 0xffff_ffff) as usize];
            memory.read(&store, (written >> 32) as usize, &mut copy)?;
            Ok(copy.len())
        };
        work().map_err(|error: wasmtime::Error| anyhow::anyhow!("{error:#}"))
    }
}

/// The module's file. Its toolchain makes components; this one stays what it is.
fn guest() -> wasmtime::Result<std::path::PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bare");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--locked", "--release", "--target", "wasm32-wasip2", "--manifest-path"]);
    cargo.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/guest/Cargo.toml"));
    cargo.env("RUSTFLAGS", "-C link-arg=--skip-wit-component").env("CARGO_TARGET_DIR", &target);
    let built = cargo.status()?.success();
    if !built {
        return Err(wasmtime::Error::msg("the guest of this bench cannot be built"));
    }
    Ok(target.join("wasm32-wasip2/release/bare_guest.wasm"))
}
