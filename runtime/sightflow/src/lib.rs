#![doc = include_str!("../README.md")]
// They panic when nobody reads; `logging` does not.
#![warn(clippy::print_stderr, clippy::print_stdout)]

mod accounts;
mod block;
mod budget;
pub mod cli;
pub mod effects;
mod files;
pub mod host;
mod local;
pub mod logging;
mod memory;
pub mod models;
mod once;
mod serve;
mod signal;
mod validate;
pub mod wiring;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Verb, WorkflowVerb};

/// Parses the command line and does what it says. Exit status: 0 done, 1 it did not work, 2 misuse.
pub fn main() -> ExitCode {
    let verb = Cli::parse().verb;
    let done = match verb {
        Verb::Serve(options) => {
            if let Err(reason) = options.check() {
                logging::say(format_args!("error: {reason}"));
                return ExitCode::from(2);
            }
            serve::run(&options)
        }
        Verb::Run(options) => once::run(&options),
        Verb::Workflow(WorkflowVerb::Validate(options)) => validate::run(&options),
        Verb::Block(verb) => block::run(&verb),
        Verb::CompileComponent => return sightflow_sandbox::compile_component(),
        Verb::Tenant(verb) => accounts::tenant(&verb),
        Verb::Key(verb) => accounts::key(&verb),
        Verb::Version => {
            let devices = if cfg!(feature = "cuda") { "cpu, cuda" } else { "cpu" };
            logging::print(format_args!("sightflow {} ({devices})", env!("CARGO_PKG_VERSION")))
                .map(|()| ExitCode::SUCCESS)
                .map_err(Into::into)
        }
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            logging::say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
