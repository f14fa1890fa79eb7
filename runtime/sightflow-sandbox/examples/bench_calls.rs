//! Raw numbers of the sandbox's own cost. `cargo run --release -p sightflow-sandbox --example bench_calls`
//!
//! Prints one line a measurement: name, calls, median, mean and 99th percentile in microseconds.

use std::time::Instant;

use sightflow_sandbox::{BlockRegistry, CallContext, Payload, Resolved, Sandbox, SandboxConfig};

const WARM_UP: usize = 500;
const CALLS: usize = 5_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let started = Instant::now();
    let sandbox = Sandbox::new(&SandboxConfig::default())?;
    println!("sandbox_start: {:.1} ms, {:?}", started.elapsed().as_secs_f64() * 1e3, sandbox.allocation());
    let started = Instant::now();
    let registry = BlockRegistry::first_party(&sandbox)?;
    println!(
        "load_first_party: {:.1} ms, {} packages",
        started.elapsed().as_secs_f64() * 1e3,
        registry.packages().len()
    );

    let context = CallContext::default();
    let condition = registry.resolve("condition")?;
    let config = r#"{"field":"length","operator":"greater_than","value":10}"#;
    let empty = || Payload { document: r#"{"value":[]}"#.to_owned(), images: Vec::new() };
    let detections = document(50);
    let fifty = || Payload { document: detections.clone(), images: Vec::new() };
    println!("document_bytes: {}", detections.len());

    measure("instantiate", || Ok(sandbox.instantiate_blocking(&condition.package, &context)?))?;
    let blocking = |Resolved { package, block }: &Resolved, payload| -> Result<(), Box<dyn std::error::Error>> {
        sandbox.call_blocking(package, block, config, payload, &context)?;
        Ok(())
    };
    measure("call_empty", || blocking(&condition, empty()))?;
    measure("call_50_detections", || blocking(&condition, fifty()))?;

    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
    runtime.block_on(async {
        let mut times = Vec::with_capacity(CALLS);
        for n in 0..WARM_UP + CALLS {
            let started = Instant::now();
            sandbox.call(&condition.package, &condition.block, config, fifty(), &context).await?;
            if n >= WARM_UP {
                times.push(started.elapsed().as_secs_f64() * 1e6);
            }
        }
        report("call_50_detections_async", times);
        Ok(())
    })
}

fn measure(
    name: &str,
    mut call: impl FnMut() -> Result<(), Box<dyn std::error::Error>>,
) -> Result<(), Box<dyn std::error::Error>> {
    for _ in 0..WARM_UP {
        call()?;
    }
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let started = Instant::now();
        call()?;
        times.push(started.elapsed().as_secs_f64() * 1e6);
    }
    report(name, times);
    Ok(())
}

fn report(name: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    let (median, slow) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!("{name}: {} calls, median {median:.1} µs, mean {mean:.1} µs, p99 {slow:.1} µs", times.len());
}

fn document(count: usize) -> String {
    let detection = |i: usize| {
        let x = i as f64 / 100.0;
        format!(
            r#"{{"id":"detect/{i}","class_id":{},"class_name":"person","confidence":0.{:04},"bbox":{{"x1":{x:.6},"y1":0.25,"x2":{:.6},"y2":0.75}},"bbox_abs":{{"x1":{:.2},"y1":180.0,"x2":{:.2},"y2":540.0}},"area":0.1}}"#,
            i % 80,
            5000 + i * 97,
            x + 0.2,
            x * 1280.0,
            (x + 0.2) * 1280.0,
        )
    };
    let detections: Vec<_> = (0..count).map(detection).collect();
    format!(r#"{{"value":[{}]}}"#, detections.join(","))
}
