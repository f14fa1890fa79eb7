//! Feeds what reads things from outside with inputs that are nearly right, for longer than the tests do.

use anyhow::Result;

use crate::console;
use crate::toolchain::cargo;

/// Options of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Inputs that each target gets.
    #[arg(long, default_value_t = 20_000)]
    rounds: u32,
    /// Where the inputs begin; another number makes others.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Components, expressions, models and definitions.
pub(crate) fn run(options: &Options) -> Result<()> {
    // Their names have the word. With the whole workspace, so that nothing is built anew for it.
    let mut command = cargo(&["test", "--workspace", "--locked", "--tests", "nearly", "--", "--nocapture"]);
    command.env("SIGHTFLOW_FUZZ_ROUNDS", options.rounds.to_string());
    command.env("SIGHTFLOW_FUZZ_SEED", options.seed.to_string());
    console::run(&mut command)?;
    eprintln!("Nothing panicked. Another `--seed` makes other inputs.");
    Ok(())
}
