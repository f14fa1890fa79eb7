//! Times the starter models on one CPU thread, batch 1: `cargo run --release -p sightflow-models --example bench_models`.
//!
//! Prints one line of JSON per model: wall and CPU milliseconds of the graph alone (minimum and median over the runs) and
//! of preprocessing. Arguments: number of runs (default 30), then model files (default: the starter models).

use std::time::Instant;

use sightflow_images::{PixelFormat, Pixels};
use sightflow_models::{Device, Hints, Model, inspect};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let runs: usize = arguments.next().map_or(Ok(30), |text| text.parse())?;
    let mut files: Vec<String> = arguments.collect();
    if files.is_empty() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/models/");
        files = ["nanodet-g-416.onnx", "efficientnet-lite0.onnx"].map(|name| format!("{folder}{name}")).to_vec();
    }
    for file in files {
        let bytes = std::fs::read(&file)?;
        let info = inspect(&bytes, &Hints::default())?;
        let started = Instant::now();
        let model = Model::load(&bytes, &info.spec, Device::Cpu)?;
        let load_ms = started.elapsed().as_secs_f64() * 1e3;
        let pattern = (0..1280 * 720 * 3).map(|index| (index * 7 % 251) as u8).collect();
        let image = Pixels::new(1280, 720, PixelFormat::Rgb8, pattern)?;
        let (prepare, input) = measure(runs, || Ok(model.prepare(&image)))?;
        let (graph, _) = measure(runs, || model.run_raw(input.clone(), 1))?;
        println!(
            "{{\"model\":\"{file}\",\"runs\":{runs},\"load_ms\":{load_ms:.1},\"preprocess_1280x720\":{},\"inference\":{}}}",
            prepare.json(),
            graph.json()
        );
    }
    Ok(())
}

/// Milliseconds of each run, in ascending order.
struct Times {
    wall: Vec<f64>,
    cpu: Vec<f64>,
}

impl Times {
    fn json(&self) -> String {
        let of = |times: &[f64]| format!("{{\"min\":{:.2},\"median\":{:.2}}}", times[0], times[times.len() / 2]);
        format!("{{\"wall_ms\":{},\"cpu_ms\":{}}}", of(&self.wall), of(&self.cpu))
    }
}

fn measure<T>(runs: usize, mut work: impl FnMut() -> Result<T, String>) -> Result<(Times, T), String> {
    let mut last = work()?;
    let mut times = Times { wall: Vec::new(), cpu: Vec::new() };
    for _ in 0..runs.max(1) {
        let (wall, cpu) = (Instant::now(), cpu_ms());
        last = work()?;
        times.wall.push(wall.elapsed().as_secs_f64() * 1e3);
        times.cpu.push(cpu_ms() - cpu);
    }
    times.wall.sort_by(f64::total_cmp);
    times.cpu.sort_by(f64::total_cmp);
    Ok((times, last))
}

/// Milliseconds that this thread has run, where the system says so (Linux); otherwise 0.
fn cpu_ms() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|nanoseconds| nanoseconds.parse::<f64>().ok()).unwrap_or(0.0) / 1e6
}
