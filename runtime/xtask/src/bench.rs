//! `cargo xtask bench`: builds the measuring program in release and runs it.

use anyhow::Result;

use crate::console;
use crate::toolchain::{self, cargo};

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only scenarios whose name contains this text.
    filter: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    toolchain::ensure_block_target()?;
    console::run(&mut cargo(&["build", "--release", "--locked", "--package", "sightflow"]))?;
    let mut command = cargo(&["run", "--release", "--locked", "--package", "sightflow-bench", "--"]);
    console::run(command.args(&options.filter))
}
