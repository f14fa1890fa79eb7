//! Times of repeated work, and one line for each measurement.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Sorted times of one measurement.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// `share` 0..1.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let index = ((self.0.len() - 1) as f64 * share).round() as usize;
        self.0[index]
    }

    /// Prints minimum, median, 95th and 99th percentile.
    pub(crate) fn print(&self, name: &str, bar: &str) {
        let shown = [0.0, 0.5, 0.95, 0.99].map(|share| format!("{:>10.1}", micros(self.quantile(share))));
        println!(
            "{name:<44} n {:>5}  µs min {} p50 {} p95 {} p99 {}  {bar}",
            self.0.len(),
            shown[0],
            shown[1],
            shown[2],
            shown[3]
        );
    }
}

pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Runs `work` some times to warm up, then `count` times.
pub(crate) fn repeat<T>(
    warm_up: usize,
    count: usize,
    mut work: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<Times> {
    for _ in 0..warm_up {
        std::hint::black_box(work()?);
    }
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        std::hint::black_box(work()?);
        times.push(start.elapsed());
    }
    Ok(Times::new(times))
}

/// Processor time that this thread has used.
pub(crate) fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Processor time that a process has used: its number, or `self`.
pub(crate) fn process_cpu(process: &str) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // After the name, which may hold spaces: fields 14 and 15 are user and system time in ticks of 10 ms.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A detection document of `count` realistic detections under `key`.
pub(crate) fn detections(count: usize) -> serde_json::Value {
    let detection = |i: usize| {
        let (x, y) = ((i % 10) as f64 * 0.09, (i / 10 % 5) as f64 * 0.18);
        serde_json::json!({
            "id": format!("detect/{i}"), "class_id": i % 80, "class_name": "person", "confidence": 0.5 + (i % 100) as f64 / 200.0,
            "bbox": {"x1": x, "y1": y, "x2": x + 0.08, "y2": y + 0.16},
            "bbox_abs": {"x1": x * 1280.0, "y1": y * 720.0, "x2": (x + 0.08) * 1280.0, "y2": (y + 0.16) * 720.0},
            "area": 0.0128,
        })
    };
    (0..count).map(detection).collect()
}
