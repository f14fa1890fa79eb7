#![doc = include_str!("../README.md")]

pub mod cli;
pub mod host;
pub mod models;
mod once;
mod serve;
mod validate;
pub mod wiring;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Verb, WorkflowVerb};

/// Parses the command line and does what it says. Exit status: 0 done, 1 it did not work, 2 misuse.
pub fn main() -> ExitCode {
    let verb = Cli::parse().verb;
    let done = match verb {
        Verb::Serve(options) => serve::run(&options),
        Verb::Run(options) => once::run(&options),
        Verb::Workflow(WorkflowVerb::Validate(options)) => validate::run(&options),
        Verb::Version => {
            println!(
                "sightflow {} ({})",
                env!("CARGO_PKG_VERSION"),
                if cfg!(feature = "cuda") { "cpu, cuda" } else { "cpu" }
            );
            return ExitCode::SUCCESS;
        }
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
