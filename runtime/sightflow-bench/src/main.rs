#![doc = include_str!("../README.md")]

mod blocks;
mod chain;
mod drawing;
mod inference;
mod log;
mod loops;
mod measure;
mod python;
mod server;
mod store;
mod waiting;

use anyhow::{Result, bail};
use sightflow_models::SimdLevel;

type Scenario = (&'static str, fn() -> Result<()>);

const SCENARIOS: &[Scenario] = &[
    ("blocks", blocks::run),
    ("chain", chain::run),
    ("loops", loops::run),
    ("drawing", drawing::run),
    ("store", store::run),
    ("server", server::run),
    ("waiting", waiting::run),
    ("inference", inference::run),
];

fn main() -> Result<()> {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let chosen: Vec<_> = SCENARIOS.iter().filter(|scenario| scenario.0.contains(&filter)).collect();
    if chosen.is_empty() {
        bail!(
            "no scenario contains `{filter}`; there are {}",
            SCENARIOS.iter().map(|scenario| scenario.0).collect::<Vec<_>>().join(", ")
        );
    }
    let levels: Vec<_> = SimdLevel::available().into_iter().map(SimdLevel::as_str).collect();
    println!("CPU: {}; SIMD level {}, of {}", cpu_name(), SimdLevel::detected(), levels.join(", "));
    for (name, run) in chosen {
        println!("\n# {name}");
        run()?;
    }
    Ok(())
}

fn cpu_name() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    line.and_then(|line| line.split_once(':')).map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned())
}
