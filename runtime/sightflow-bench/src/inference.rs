//! Each model on one thread at every SIMD level of this CPU, beside ONNX Runtime.
//!
//! The starter models, and those that `models.py` makes where Python has the packages for it. Further files, with what
//! Sightflow needs to know in their metadata, are named by `SIGHTFLOW_BENCH_MODELS`, separated like `PATH`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use sightflow_models::{Device, Hints, Model, SimdLevel, inspect};

use crate::measure::{micros, root, thread_cpu};
use crate::python;

/// Reads `COUNT` from each line and answers with the CPU milliseconds of one run of a batch of that size, so that both
/// sides take turns.
const ONNX_RUNTIME: &str = r#"
import sys, time, numpy, onnxruntime
options = onnxruntime.SessionOptions(); options.intra_op_num_threads = 1; options.inter_op_num_threads = 1
options.log_severity_level = 3
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
entry = session.get_inputs()[0]
shape = (3, int(sys.argv[3]), int(sys.argv[2]))
for line in sys.stdin:
    count = int(line)
    x = {entry.name: numpy.random.default_rng(1).standard_normal((count, *shape), numpy.float32)}
    before = time.process_time()
    session.run(None, x)
    print((time.process_time() - before) * 1e3, flush=True)
"#;

/// File, sizes of batches, and what the ratio of CPU times must not exceed.
struct Case {
    path: PathBuf,
    counts: &'static [usize],
    bar: f64,
    /// Named where the file has several.
    output: Option<&'static str>,
}

const ALONE: &[usize] = &[1];
const BATCHES: &[usize] = &[1, 8];

/// Rounds; the least time of each side counts, because everything that disturbs only adds.
const ROUNDS: usize = 12;

pub(crate) fn run() -> Result<()> {
    println!(
        "ONNX Runtime takes the best kernels of this CPU at every of our levels: it has no setting to lower them."
    );
    let made = tempfile::tempdir()?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build()?;
    for case in cases(made.path()) {
        pool.install(|| measure(&case)).with_context(|| case.path.display().to_string())?;
    }
    Ok(())
}

fn cases(made: &Path) -> Vec<Case> {
    let starter =
        |name: &str| Case { path: root().join("examples/models").join(name), counts: BATCHES, bar: 1.3, output: None };
    let mut cases = vec![starter("nanodet-g-416.onnx"), starter("efficientnet-lite0.onnx")];
    let script = root().join("runtime/sightflow-bench/models.py");
    match python::script(&script, &[&made.to_string_lossy()], &["numpy", "onnx"]) {
        Ok(_) => {
            let made_ones = [("efficientnet-b0.onnx", BATCHES, None), ("picodet-layout.onnx", ALONE, Some("vector"))];
            for (name, counts, output) in made_ones {
                let path = made.join(name);
                match path.exists() {
                    true => cases.push(Case { path, counts, bar: 2.0, output }),
                    false => println!("{name} was not made: a Python package is missing, see {}", script.display()),
                }
            }
        }
        Err(reason) => println!("efficientnet-b0 and picodet are not measured: {reason}"),
    }
    let named = std::env::var_os("SIGHTFLOW_BENCH_MODELS").unwrap_or_default();
    let named = std::env::split_paths(&named).filter(|path| !path.as_os_str().is_empty());
    cases.extend(named.map(|path| Case { path, counts: ALONE, bar: 2.0, output: None }));
    cases
}

fn measure(case: &Case) -> Result<()> {
    let bytes = std::fs::read(&case.path)?;
    let hints = Hints { output: case.output.map(ToOwned::to_owned), ..Hints::default() };
    let spec = inspect(&bytes, &hints)?.spec;
    let [width, height] = spec.input_size();
    let length = (width * height * 3) as usize;
    let levels: Vec<_> = SimdLevel::available().into_iter().filter(|level| *level != SimdLevel::Scalar).collect();
    let levels = if levels.is_empty() { vec![SimdLevel::Scalar] } else { levels };
    let models = levels.iter().map(|level| Model::load_at(&bytes, &spec, Device::Cpu, *level));
    let models = models.collect::<Result<Vec<_>, _>>()?;
    let arguments = [case.path.to_string_lossy().into_owned(), width.to_string(), height.to_string()];
    let mut other = python::Talk::start(ONNX_RUNTIME, &arguments, &["onnxruntime", "numpy"]);
    if let Err(reason) = &other {
        println!("ONNX Runtime was not measured: {reason}");
    }
    for count in case.counts {
        let input = noise(count * length);
        let mut ours = vec![Duration::MAX; models.len()];
        let mut theirs = f64::INFINITY;
        // The first round warms up.
        for round in 0..=ROUNDS {
            for (model, best) in models.iter().zip(&mut ours) {
                let before = thread_cpu();
                model.run_raw(&input).map_err(|reason| anyhow!(reason))?;
                let taken = thread_cpu() - before;
                *best = if round == 0 { Duration::MAX } else { taken.min(*best) };
            }
            if let Ok(other) = &mut other {
                let taken: f64 = other.ask(&count.to_string())?.parse()?;
                theirs = if round == 0 { f64::INFINITY } else { taken.min(theirs) };
            }
        }
        let name = case.path.file_stem().unwrap_or_default().to_string_lossy();
        for (level, ours) in levels.iter().zip(ours) {
            let ours = micros(ours) / 1e3;
            let ratio = match theirs.is_finite() {
                true => format!("{theirs:>8.2} ms ONNX Runtime, ratio {:.2}", ours / theirs),
                false => String::new(),
            };
            let judged = if *level == SimdLevel::Avx2 { format!(", bar <= {:.1}", case.bar) } else { String::new() };
            println!("{name:<22} batch {count} {:<7} {ours:>8.2} ms cpu; {ratio}{judged}", level.as_str());
        }
    }
    Ok(())
}

/// Pseudo-random numbers between -1 and 1; the same in every run.
fn noise(count: usize) -> Vec<f32> {
    let mut state = 0x9E37_79B9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / (1_u32 << 31) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}
