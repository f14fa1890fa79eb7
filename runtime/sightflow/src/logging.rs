//! The log: lines that may be lost, but never stop anything.
//!
//! The reader of stderr may go away, the disk behind it may be full, or it may just not read. None of that may fail a task or
//! make it wait, so lines are handed to a thread of their own, and what that thread cannot write is gone.

use std::env::VarError;
use std::io::{IsTerminal, Write, stderr};

use anyhow::{Context, Result};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// What to do about a filter that cannot be read.
const BAD_FILTER: &str = "SIGHTFLOW_LOG must be a filter such as `debug` or `info,sightflow_engine=trace`";
/// Lines that may wait for the writing thread; further ones are dropped.
const WAITING_LINES: usize = 8_192;

/// Logs to stderr from now on; `SIGHTFLOW_LOG` filters as `RUST_LOG` does elsewhere. What still waits is written when the
/// answer is dropped.
///
/// # Errors
/// When the variable holds no filter: whoever set it wants to see something.
pub fn start(default: &str) -> Result<WorkerGuard> {
    let filter = match std::env::var("SIGHTFLOW_LOG") {
        Err(VarError::NotPresent) => EnvFilter::new(default),
        given => EnvFilter::try_new(given.context(BAD_FILTER)?).context(BAD_FILTER)?,
    };
    let (lines, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING_LINES)
        .thread_name("log")
        .lossy(true)
        .finish(stderr());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(stderr().is_terminal())
        .with_writer(lines)
        // A failed line would be reported with `eprintln!`, which panics when stderr is what failed.
        .log_internal_errors(false)
        .init();
    Ok(guard)
}

/// Says something on stderr, if anybody listens.
pub(crate) fn say(text: std::fmt::Arguments<'_>) {
    let _ = writeln!(stderr(), "{text}");
}

/// Prints a result on stdout.
///
/// # Errors
/// When nobody reads it: a result that is lost is a failure.
pub(crate) fn print(text: std::fmt::Arguments<'_>) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}
