//! Times the starter models on one CPU thread, batch 1: `cargo run --release -p sightflow-models --example bench_models`.
//!
//! Prints one line of JSON per model: wall milliseconds (minimum and median over the runs) and CPU milliseconds (mean; the
//! system counts single runs too coarsely) of the graph alone and of preprocessing. Arguments: number of runs (default 30), then model files (default: the starter models).

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

struct Times {
    /// Milliseconds of each run, in ascending order.
    wall: Vec<f64>,
    /// Mean CPU milliseconds.
    cpu: f64,
}

impl Times {
    fn json(&self) -> String {
        let Self { wall, cpu } = self;
        let median = wall[wall.len() / 2];
        format!("{{\"wall_ms\":{{\"min\":{:.2},\"median\":{median:.2}}},\"cpu_ms\":{{\"mean\":{cpu:.2}}}}}", wall[0])
    }
}

fn measure<T>(runs: usize, mut work: impl FnMut() -> Result<T, String>) -> Result<(Times, T), String> {
    let mut last = work()?;
    let mut times = Times { wall: Vec::new(), cpu: 0.0 };
    let runs = runs.max(1);
    let cpu = cpu_ms();
    for _ in 0..runs {
        let started = Instant::now();
        last = work()?;
        times.wall.push(started.elapsed().as_secs_f64() * 1e3);
    }
    times.cpu = (cpu_ms() - cpu) / runs as f64;
    times.wall.sort_by(f64::total_cmp);
    Ok((times, last))
}

/// Milliseconds that this thread has run, where the system says so (Linux); otherwise 0.
fn cpu_ms() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|nanoseconds| nanoseconds.parse::<f64>().ok()).unwrap_or(0.0) / 1e6
}
