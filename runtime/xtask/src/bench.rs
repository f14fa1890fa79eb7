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

/// The scenario that lives beside what it measures: steps of image operations.
const STEPS: &str = "steps";

pub(crate) fn run(options: &Options) -> Result<()> {
    toolchain::ensure_block_target()?;
    let filter = options.filter.as_deref();
    if filter.is_none_or(|filter| STEPS.contains(filter)) {
        console::run(&mut cargo(&["bench", "--locked", "--package", "sightflow-images", "--bench", STEPS]))?;
    }
    if filter == Some(STEPS) {
        return Ok(());
    }
    console::run(&mut cargo(&["build", "--release", "--locked", "--package", "sightflow"]))?;
    let mut command = cargo(&["run", "--release", "--locked", "--package", "sightflow-bench", "--"]);
    console::run(command.args(&options.filter))
}
