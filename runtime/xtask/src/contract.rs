//! Does the server do what its OpenAPI document says? A property test asks it, with requests that fit the document and
//! requests that do not.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::console;
use crate::root;
use crate::server::{self, Server};

/// The property tester, from the Python package index. A newer one may ask new questions: raise it by hand.
const TESTER: &str = "schemathesis==4.32.5";
/// The same questions every time.
const SEED: &str = "20261125";
/// Random requests for each operation and phase.
const EXAMPLES: &str = "15";
/// Hang guard; a run takes about a minute on two cores.
const LONGEST: Duration = Duration::from_secs(300);

/// Runs the tester against the debug binary on a loopback port. Without Python, or without a way to install the tester,
/// it says so and passes, except in CI.
pub(crate) fn run() -> Result<()> {
    let folder = server::target().join("contract");
    let tester = match tester(&folder) {
        Ok(tester) => tester,
        Err(error) if in_ci() => return Err(error),
        Err(error) => {
            eprintln!("      SKIPPED: {error:#}. CI runs this step always.");
            return Ok(());
        }
    };
    let data = folder.join("data");
    if data.exists() {
        std::fs::remove_dir_all(&data)?;
    }
    let server = Server::start(&server::binary("debug"), &data)?;
    seed(&server)?;
    let mut command = Command::new(tester);
    command.arg("--config-file").arg(root().join("runtime/xtask/contract.toml"));
    command.args(["run", &format!("{}/openapi.json", server.address), "--url", &server.address]);
    command.args(["--seed", SEED, "--max-examples", EXAMPLES, "--generation-database", "none"]);
    command.args(["--request-timeout", "30", "--workers", "1"]);
    // No document can say of every text that it has no NUL character; the API's own tests do.
    command.args(["--generation-allow-x00", "false"]);
    // No hypothesis folder, no report: what it finds it prints.
    command.current_dir(&folder).env("NO_COLOR", "1");
    let mut child = command.spawn().context("could not start the property tester")?;
    let ended = wait(&mut child);
    drop(server);
    match ended? {
        Some(status) if status.success() => Ok(()),
        Some(status) => bail!("the server does not do what its OpenAPI document says ({status}); see the list above"),
        None => bail!("the property test took longer than {} s", LONGEST.as_secs()),
    }
}

fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// The installed tester: in a folder of its own under `target`, made once for each version.
fn tester(folder: &Path) -> Result<PathBuf> {
    let venv = folder.join(TESTER.replace("==", "-"));
    let bin = venv.join(if cfg!(windows) { "Scripts" } else { "bin" });
    let program = bin.join("schemathesis");
    let works = |program: &Path| {
        let asked = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    if works(&program) {
        return Ok(program);
    }
    if !works(Path::new("python3")) {
        bail!("`python3` was not found, and the property tester is a Python program");
    }
    std::fs::create_dir_all(folder)?;
    console::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))
        .context("python3 could not make a virtual environment")?;
    let mut install = Command::new(bin.join("pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check", TESTER]);
    console::run(&mut install).context("the property tester could not be installed")?;
    Ok(program)
}

/// Something of each kind, so that lists have items.
fn seed(server: &Server) -> Result<()> {
    let image = std::fs::read(root().join("examples/images/rocket.jpg"))?;
    let blob = server.post("/api/v1/blobs", "image/jpeg", &image)?;
    let workflow = serde_json::json!({"name": "Contract", "definition": {
        "nodes": [{"id": "photo", "type": "image_input"}, {"id": "small", "type": "resize", "config": {"mode": "scale_factor", "scale_factor": 0.1}}],
        "edges": [{"source": "photo", "target": "small", "sourceHandle": "image", "targetHandle": "image"}],
    }});
    let saved = server.post("/api/v1/workflows", "application/json", workflow.to_string().as_bytes())?;
    let id = saved["id"].as_str().context("a saved workflow has an id")?;
    let request = serde_json::json!({"input": {"image": blob["digest"]}, "mode": "sync"});
    server.post(&format!("/api/v1/workflows/{id}/run"), "application/json", request.to_string().as_bytes())?;
    Ok(())
}

/// The exit status, or none when it took too long and was killed.
fn wait(child: &mut Child) -> Result<Option<std::process::ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() > LONGEST {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
