//! How long the starter models take: loading, the first pass of a batch, and warm passes; on one thread of the CPU, or on
//! the device that is named (`-- cuda`), where every output is compared with the CPU's.

use std::path::Path;
use std::time::{Duration, Instant};

use sightflow_models::{Device, DeviceChoice, Hints, Model, RawOutput, inspect};

/// How long a batch is repeated, and how often at least.
const TIME: Duration = Duration::from_secs(2);
const LEAST: usize = 5;

fn main() {
    let choice = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let choice: DeviceChoice = choice.map_or(Ok(DeviceChoice::Cpu), |text| text.parse()).expect("a device");
    let started = Instant::now();
    let caches = std::env::temp_dir().join("sightflow-bench-gpu");
    let probe = Device::probe(choice, &caches).expect("usable");
    println!("{} ({:.0} ms)", probe.found, milliseconds(started.elapsed()));
    println!(
        "model                batch   load ms  first ms  best ms  median ms  images/s  largest difference from the CPU"
    );
    for name in ["nanodet-g-416", "efficientnet-lite0"] {
        measure(name, probe.device);
    }
}

fn measure(name: &str, device: Device) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../examples/models/{name}.onnx"));
    let bytes = std::fs::read(path).expect("a starter model");
    let spec = inspect(&bytes, &Hints::default()).expect("described").spec;
    let started = Instant::now();
    let model = Model::load(&bytes, &spec, device).expect("loads");
    let load = started.elapsed();
    let on_cpu = (device != Device::Cpu).then(|| Model::load(&bytes, &spec, Device::Cpu).expect("loads"));
    let [width, height] = spec.input_size();
    for batch in [1, 8, 32] {
        let input = noise((width * height * 3) as usize * batch);
        let started = Instant::now();
        let found = model.run_raw(&input).expect("runs");
        let first = started.elapsed();
        let difference = on_cpu.as_ref().map(|model| difference(&found, &model.run_raw(&input).expect("runs")));
        let times = repeat(|| model.run_raw(&input).expect("runs"));
        println!(
            "{name:<20} {batch:>5} {:>9.1} {:>9.1} {:>8.2} {:>10.2} {:>9.0}  {}",
            milliseconds(load),
            milliseconds(first),
            milliseconds(times[0]),
            milliseconds(times[times.len() / 2]),
            batch as f64 / times[times.len() / 2].as_secs_f64(),
            difference.unwrap_or_default()
        );
    }
}

/// Sorted times.
fn repeat<T>(work: impl Fn() -> T) -> Vec<Duration> {
    let (mut times, started) = (Vec::new(), Instant::now());
    while times.len() < LEAST || started.elapsed() < TIME {
        let started = Instant::now();
        std::hint::black_box(work());
        times.push(started.elapsed());
    }
    times.sort();
    times
}

/// Numbers between −1 and 1, another for every place.
fn noise(length: usize) -> Vec<f32> {
    let number = |index: u64| (index.wrapping_mul(2_654_435_761) % (1 << 32)) as f64 / (1u64 << 32) as f64 * 2.0 - 1.0;
    (0..length as u64).map(|index| number(index) as f32).collect()
}

/// The largest difference of each output, beside the largest value of it.
fn difference(found: &[RawOutput], expected: &[RawOutput]) -> String {
    let each = found.iter().zip(expected).map(|((name, shape, found), (_, expected_shape, expected))| {
        assert_eq!((shape, found.len()), (expected_shape, expected.len()), "{name}");
        let largest = |values: &mut dyn Iterator<Item = f32>| values.fold(0.0_f32, |most, value| most.max(value.abs()));
        let difference = largest(&mut found.iter().zip(expected).map(|(found, expected)| found - expected));
        let nan = if found.iter().any(|value| !value.is_finite()) { " NOT FINITE" } else { "" };
        format!("{name} {difference:.1e} of {:.1}{nan}", largest(&mut expected.iter().copied()))
    });
    each.collect::<Vec<_>>().join(", ")
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
