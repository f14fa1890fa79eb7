//! A Sightflow server of our own: built, started on a free port, stopped when dropped.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::console;
use crate::root;
use crate::toolchain::cargo;

/// Builds the binary as the tests build it, so that whoever runs both builds once, and says where it lies.
pub(crate) fn build() -> Result<PathBuf> {
    console::run(&mut cargo(&["build", "--locked", "--package", "sightflow", "--features", "sightflow/tests"]))?;
    Ok(binary("debug"))
}

/// Where cargo puts what it makes.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Where cargo puts the binary of a profile.
pub(crate) fn binary(profile: &str) -> PathBuf {
    target().join(profile).join(format!("sightflow{}", std::env::consts::EXE_SUFFIX))
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    process: Child,
    /// `http://127.0.0.1:<port>`.
    pub(crate) address: String,
    /// The line that it printed when it was ready.
    pub(crate) ready_line: String,
    agent: ureq::Agent,
}

impl Server {
    /// Starts on a free port with an embedded store under `data`, and waits until it says that it is ready.
    pub(crate) fn start(binary: &Path, data: &Path) -> Result<Self> {
        let mut process = Command::new(binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--starter-models", "examples/models", "--data"])
            .arg(data)
            .current_dir(root())
            // The steps say what happens; the log only speaks up when something is wrong.
            .env("SIGHTFLOW_LOG", std::env::var("SIGHTFLOW_LOG").unwrap_or_else(|_| "warn".to_owned()))
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start {}", binary.display()))?;
        let stdout = process.stdout.take().context("the server has no standard output")?;
        let mut ready_line = String::new();
        BufReader::new(stdout).read_line(&mut ready_line)?;
        let Some(address) = ready_line.split_whitespace().find(|word| word.starts_with("http://")) else {
            let status = process.wait()?;
            bail!("the server ended with {status} before it was ready; its messages stand above");
        };
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        Ok(Self {
            address: address.to_owned(),
            ready_line: ready_line.trim().to_owned(),
            process,
            agent: config.into(),
        })
    }

    /// Keeps serving until the process ends, for example by Ctrl-C.
    pub(crate) fn wait(mut self) -> Result<()> {
        self.process.wait()?;
        Ok(())
    }

    /// `POST` of bytes, answered in JSON; an error status is an error with the server's message.
    pub(crate) fn post(&self, path: &str, content_type: &str, body: &[u8]) -> Result<Value> {
        let request = self.agent.post(format!("{}{path}", self.address)).content_type(content_type);
        let mut response = request.send(body).with_context(|| format!("POST {path}"))?;
        let status = response.status();
        let answer: Value = response.body_mut().read_json().with_context(|| format!("POST {path}: {status}"))?;
        if status.as_u16() >= 400 {
            bail!("POST {path}: {status}: {answer}");
        }
        Ok(answer)
    }

    /// `GET` as JSON.
    pub(crate) fn get(&self, path: &str) -> Result<Value> {
        let mut response =
            self.agent.get(format!("{}{path}", self.address)).call().with_context(|| format!("GET {path}"))?;
        let status = response.status();
        if status.as_u16() >= 400 {
            bail!("GET {path}: {status}: {}", response.body_mut().read_to_string()?);
        }
        Ok(response.body_mut().read_json()?)
    }

    /// `GET` as bytes.
    pub(crate) fn bytes(&self, path: &str) -> Result<Vec<u8>> {
        let mut response =
            self.agent.get(format!("{}{path}", self.address)).call().with_context(|| format!("GET {path}"))?;
        let status = response.status();
        let bytes = response.body_mut().with_config().limit(256 << 20).read_to_vec()?;
        if status.as_u16() >= 400 {
            bail!("GET {path}: {status}: {}", String::from_utf8_lossy(&bytes));
        }
        Ok(bytes)
    }

    /// Reads an event stream to its end and hands over each event's name and data.
    pub(crate) fn events(&self, path: &str, mut each: impl FnMut(&str, &Value)) -> Result<()> {
        let request = self.agent.get(format!("{}{path}", self.address)).header("accept", "text/event-stream");
        let mut response = request.call().with_context(|| format!("GET {path}"))?;
        let status = response.status();
        if status.as_u16() >= 400 {
            bail!("GET {path}: {status}: {}", response.body_mut().read_to_string()?);
        }
        let reader: Box<dyn Read> = Box::new(response.body_mut().as_reader());
        let mut name = String::new();
        for line in BufReader::new(reader).lines() {
            let line = line?;
            if let Some(value) = line.strip_prefix("event: ") {
                value.clone_into(&mut name);
            } else if let Some(data) = line.strip_prefix("data: ") {
                each(&name, &serde_json::from_str(data)?);
            }
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
