//! Other programs, measured in the same run where their Python packages are installed.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs a script that prints one number. The error says why there is none.
pub(crate) fn number(script: &str, packages: &[&str]) -> Result<f64, String> {
    let text = output(command(packages)?.args(["-c", script]))?;
    text.trim().parse().map_err(|_| format!("the script printed `{text}`"))
}

/// Runs a script file and answers what it printed.
pub(crate) fn script(path: &Path, arguments: &[&str], packages: &[&str]) -> Result<String, String> {
    output(command(packages)?.arg(path).args(arguments))
}

/// The interpreter, once it is sure that it has these packages.
fn command(packages: &[&str]) -> Result<Command, String> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let imports = format!("import {}", packages.join(", "));
    let tried = Command::new(&python).args(["-c", &imports]).output().map_err(|error| format!("{python}: {error}"))?;
    match tried.status.success() {
        true => Ok(Command::new(python)),
        false => Err(format!("{python} lacks one of the packages {}", packages.join(", "))),
    }
}

fn output(command: &mut Command) -> Result<String, String> {
    let done = command.output().map_err(|error| error.to_string())?;
    match done.status.success() {
        true => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
    }
}

/// A script that answers each line with one of its own; it ends when this is dropped.
pub(crate) struct Talk {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Talk {
    /// Starts the script. The error says why there is none.
    pub(crate) fn start(script: &str, arguments: &[String], packages: &[&str]) -> Result<Self, String> {
        let mut command = command(packages)?;
        command.args(["-c", script]).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("no pipe to the script".to_owned());
        };
        Ok(Self { child, to, from: BufReader::new(from) })
    }

    /// Sends a line and waits for the answer.
    pub(crate) fn ask(&mut self, line: &str) -> Result<String> {
        writeln!(self.to, "{line}").context("the script has ended")?;
        let mut answer = String::new();
        if self.from.read_line(&mut answer)? == 0 {
            bail!("the script has ended");
        }
        Ok(answer.trim().to_owned())
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
