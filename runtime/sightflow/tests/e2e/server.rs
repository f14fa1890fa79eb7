//! Starts the real binary on a free port.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::client::Client;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The binary.
pub(crate) const SIGHTFLOW: &str = env!("CARGO_BIN_EXE_sightflow");

/// The binary with its arguments for serving `data` on a free port. Compiled components are shared between tests.
pub(crate) fn command(data: &Path) -> Command {
    with_arguments(Command::new(SIGHTFLOW), data)
}

/// The arguments of [`command`], behind those of a program that starts the binary.
pub(crate) fn with_arguments(mut command: Command, data: &Path) -> Command {
    command.args(["serve", "--listen", "127.0.0.1:0", "--starter-models"]).arg(root().join("examples/models"));
    command.arg("--data").arg(data).arg("--cache").arg(concat!(env!("CARGO_TARGET_TMPDIR"), "/components"));
    command.stdout(Stdio::piped());
    command
}

/// Waits for the line that says where the server listens.
pub(crate) fn ready(process: &mut Child) -> Client {
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.split_whitespace().find(|word| word.starts_with("http://"));
    Client::new(address.unwrap_or_else(|| panic!("no address in `{line}`")).to_owned())
}

/// A running server with a data directory of its own; killed when dropped.
pub(crate) struct Server {
    process: Child,
    data: TempDir,
    options: Vec<String>,
    client: Client,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further options of `serve`.
    pub(crate) fn start_with(options: &[&str]) -> Self {
        let data = TempDir::new().unwrap();
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let (process, client) = launch(data.path(), &options);
        Self { process, data, options, client }
    }

    /// A server whose process somebody else started.
    pub(crate) fn adopt(mut process: Child, data: TempDir) -> Self {
        let client = ready(&mut process);
        Self { process, data, options: Vec::new(), client }
    }

    /// Where its data lies.
    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    /// Kills the process as `kill -9` does and starts another on the same data.
    pub(crate) fn kill_and_restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        (self.process, self.client) = launch(self.data.path(), &self.options);
    }

    /// As [`Server::kill_and_restart`], with other options of `serve`.
    pub(crate) fn kill_and_restart_with(&mut self, options: &[&str]) {
        self.options = options.iter().map(|&option| option.to_owned()).collect();
        self.kill_and_restart();
    }

    /// Asks the process to end, as `kill` does, and answers its exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let status = Command::new("kill").arg(self.process.id().to_string()).status().unwrap();
        assert!(status.success());
        self.process.wait().unwrap().code()
    }
}

impl std::ops::Deref for Server {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn launch(data: &Path, options: &[String]) -> (Child, Client) {
    let mut process = command(data).args(options).spawn().unwrap();
    let client = ready(&mut process);
    (process, client)
}
