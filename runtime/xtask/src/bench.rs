//! `cargo xtask bench`: builds the measuring programs in release and runs them.

use anyhow::Result;

use crate::console;
use crate::toolchain::{self, cargo};

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only scenarios whose name contains this text: `steps`, or one of the program's own.
    filter: Option<String>,
}

/// Scenarios that live beside what they measure, by name: steps of image operations, calls of bare wasmtime, passes of
/// models.
const BESIDE: [(&str, &str); 3] =
    [("steps", "sightflow-images"), ("bare", "sightflow-sandbox"), ("passes", "sightflow-models")];

pub(crate) fn run(options: &Options) -> Result<()> {
    toolchain::ensure_block_target()?;
    let filter = options.filter.as_deref();
    for (name, package) in BESIDE {
        if filter.is_none_or(|filter| name.contains(filter)) {
            console::run(&mut cargo(&["bench", "--locked", "--package", package, "--bench", name]))?;
        }
    }
    if BESIDE.iter().any(|(name, _)| filter == Some(name)) {
        return Ok(());
    }
    console::run(&mut cargo(&["build", "--release", "--locked", "--package", "sightflow"]))?;
    let mut command = cargo(&["run", "--release", "--locked", "--package", "sightflow-bench", "--"]);
    console::run(command.args(&options.filter))
}
