//! Each starter model on one thread: wall and processor time, beside ONNX Runtime.

use anyhow::{Result, anyhow};
use serde_json::Value;
use sightflow_images::{PixelFormat, Pixels};
use sightflow_models::{Device, Model, Request};

use crate::measure::{micros, repeat, root, thread_cpu};
use crate::python;

const ONNX_RUNTIME: &str = r#"
import sys, time, numpy, onnxruntime
options = onnxruntime.SessionOptions(); options.intra_op_num_threads = 1; options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
entry = session.get_inputs()[0]
size = int(sys.argv[2])
x = {entry.name: numpy.random.default_rng(1).standard_normal((1, 3, size, size), numpy.float32)}
names = sys.argv[3].split(",")
for _ in range(5): session.run(names, x)
wall, cpu = [], []
for _ in range(30):
    w, c = time.perf_counter(), time.process_time()
    session.run(names, x)
    wall.append(time.perf_counter() - w); cpu.append(time.process_time() - c)
print(sorted(wall)[15] * 1e3, sorted(cpu)[15] * 1e3)
"#;

pub(crate) fn run() -> Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build()?;
    pool.install(measure_all)
}

fn measure_all() -> Result<()> {
    let directory = root().join("examples/models");
    for found in sightflow::models::read(&directory)? {
        let spec = &found.info.spec;
        let start = std::time::Instant::now();
        let model = Model::load(&found.bytes, spec, Device::Cpu)?;
        let load = start.elapsed();
        let [width, height] = spec.inputs.image.size;
        // Of the model's own size, so that scaling is left out as it is on the other side.
        let picture = Pixels::new(width, height, PixelFormat::Rgb8, noise((width * height * 3) as usize))?;
        let mut cpu = Vec::new();
        let mut inference = Vec::new();
        let wall = repeat(5, 30, || {
            let before = thread_cpu();
            let outcome = model.run(&[Request { image: &picture, params: &Value::Null }]);
            cpu.push(thread_cpu() - before);
            inference.push(outcome.timings.inference_ms);
            outcome.results.into_iter().next().ok_or_else(|| anyhow!("no result"))?.map_err(anyhow::Error::from)
        })?;
        cpu.sort_unstable();
        inference.sort_by(f64::total_cmp);
        let cpu_ms = micros(cpu[cpu.len() / 2]) / 1e3;
        let graph_ms = inference[inference.len() / 2];
        println!(
            "{:<28} load {:>6.1} ms; whole run p50 {:>7.2} ms wall, {cpu_ms:>7.2} ms cpu; graph alone {graph_ms:>7.2} ms",
            found.id,
            load.as_secs_f64() * 1e3,
            micros(wall.quantile(0.5)) / 1e3,
        );
        let file = directory.join(file_of(&directory, &found.id)?);
        let outputs = match &spec.embedding {
            Some(embedding) => embedding.output.clone(),
            None => spec.outputs.join(","),
        };
        match python::output(
            ONNX_RUNTIME,
            &[&file.to_string_lossy(), &width.to_string(), &outputs],
            &["onnxruntime", "numpy"],
        ) {
            Ok(text) => {
                let mut numbers = text.split_whitespace().map(str::parse::<f64>);
                let (Some(Ok(wall)), Some(Ok(cpu))) = (numbers.next(), numbers.next()) else {
                    return Err(anyhow!("unexpected: {text}"));
                };
                println!(
                    "{:<28} {wall:>7.2} ms wall, {cpu:>7.2} ms cpu; cpu ratio {:.2}, bar ≤ 2.0",
                    "  ONNX Runtime, one thread",
                    cpu_ms / cpu
                );
            }
            Err(reason) => println!("  ONNX Runtime was not measured: {reason}"),
        }
    }
    Ok(())
}

fn file_of(directory: &std::path::Path, id: &str) -> Result<String> {
    let listing: Value = serde_json::from_slice(&std::fs::read(directory.join("models.json"))?)?;
    let listed = listing["models"].as_array().and_then(|models| models.iter().find(|model| model["id"] == id));
    listed.and_then(|model| model["file"].as_str()).map(str::to_owned).ok_or_else(|| anyhow!("`{id}` is not listed"))
}

/// Pseudo-random bytes; the same in every run.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 24) as u8
    };
    (0..count).map(|_| next()).collect()
}
