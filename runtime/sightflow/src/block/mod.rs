//! `sightflow block`: an author's day, from an empty directory to a published package.

mod build;
mod check;
mod component;
mod create;
mod publish;
mod registry;
mod run;
mod server;
mod sign;
mod watch;

use std::process::ExitCode;

use anyhow::Result;
use sightflow_types::Problem;

pub(crate) use self::watch::watch_all;
use crate::cli::BlockVerb;
use crate::logging;

pub(crate) fn run(verb: &BlockVerb) -> Result<ExitCode> {
    let _log = logging::start("warn")?;
    match verb {
        BlockVerb::New(options) => create::create(options),
        BlockVerb::Build { directory } => {
            let component = build::build(directory)?;
            build::announce(&component)?;
            logging::print(format_args!("{}", component.display()))?;
            Ok(ExitCode::SUCCESS)
        }
        BlockVerb::Check(options) => check::check(options),
        BlockVerb::Test { component } => check::test(component),
        BlockVerb::Run(options) => run::run(options),
        BlockVerb::Keygen { file } => sign::keygen(file),
        BlockVerb::Publish(options) => publish::publish(options),
        BlockVerb::Push(options) => registry::push(options),
        BlockVerb::Pull(options) => registry::pull(options),
        BlockVerb::List { json, server } => publish::list(server, *json),
        BlockVerb::Activate { name, version, server } => publish::activate(server, name, version),
        BlockVerb::Rollback { name, server } => publish::rollback(server, name),
        BlockVerb::Watch { directory, server } => watch::watch(directory, server),
    }
}

/// One line a finding.
fn print_findings(problems: &[Problem]) -> Result<()> {
    for problem in problems {
        let suggestion = problem.suggestion.as_ref();
        let suggestion = suggestion.map_or_else(String::new, |text| format!(" (did you mean `{text}`?)"));
        logging::print(format_args!("{}: {}{suggestion}", problem.code, problem.message))?;
    }
    Ok(())
}

/// What the person who waits wants to know at the end.
fn count_findings(problems: &[Problem]) -> String {
    format!("{} finding{}", problems.len(), if problems.len() == 1 { "" } else { "s" })
}

fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}
