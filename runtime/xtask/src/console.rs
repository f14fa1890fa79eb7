//! What a person sees: numbered steps with their times, and commands whose own progress shows through.

use std::io::IsTerminal;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Prints numbered steps to stderr and remembers how long each took.
pub(crate) struct Steps {
    total: usize,
    done: Vec<(String, Duration)>,
}

impl Steps {
    pub(crate) fn new(total: usize) -> Self {
        Self { total, done: Vec::new() }
    }

    /// Announces a step, runs it and notes its time.
    pub(crate) fn step<T>(&mut self, title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        eprintln!("{} {title}", bold(&format!("[{}/{}]", self.done.len() + 1, self.total)));
        let start = Instant::now();
        let result = work().with_context(|| format!("step `{title}` failed"))?;
        self.done.push((title.to_owned(), start.elapsed()));
        Ok(result)
    }

    /// Prints each step's time.
    pub(crate) fn summary(&self) {
        for (title, time) in &self.done {
            eprintln!("  {:>7.1} s  {title}", time.as_secs_f64());
        }
    }
}

/// Runs a command with its output shown; an exit status other than 0 is an error that names the command.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = describe(command);
    eprintln!("      {}", dim(&line));
    let status = command.status().with_context(|| format!("could not start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Bold on a terminal, plain elsewhere and under `NO_COLOR`.
pub(crate) fn bold(text: &str) -> String {
    styled("1", text)
}

/// Dimmed on a terminal, plain elsewhere and under `NO_COLOR`.
pub(crate) fn dim(text: &str) -> String {
    styled("2", text)
}

fn styled(code: &str, text: &str) -> String {
    if std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}
