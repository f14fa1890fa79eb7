#![doc = include_str!("../README.md")]

mod authors;
mod bench;
mod console;
mod contract;
mod demo;
mod fuzz;
mod server;
mod test;
mod toolchain;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Development tasks of Sightflow.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build everything and run the main job on a real photograph.
    Demo(demo::Options),
    /// Run what CI runs: format, tests, the demo, the OpenAPI document's truth, lints (the CUDA build included), docs.
    Test(test::Options),
    /// Measure, print raw numbers and the bars they are held to.
    Bench(bench::Options),
    /// Feed what reads things from outside with inputs that are nearly right, for long.
    Fuzz(fuzz::Options),
}

fn main() -> Result<()> {
    match Cli::parse().task {
        Task::Demo(options) => demo::run(&options),
        Task::Test(options) => test::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
    }
}

/// The repository's root, two levels above this crate.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new(".")).to_owned()
}
