#![doc = include_str!("../README.md")]

mod blocks;
mod chain;
mod drawing;
mod inference;
mod measure;
mod python;
mod server;

use anyhow::{Result, bail};

type Scenario = (&'static str, fn() -> Result<()>);

const SCENARIOS: &[Scenario] = &[
    ("blocks", blocks::run),
    ("chain", chain::run),
    ("drawing", drawing::run),
    ("server", server::run),
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
    for (name, run) in chosen {
        println!("\n# {name}");
        run()?;
    }
    Ok(())
}
