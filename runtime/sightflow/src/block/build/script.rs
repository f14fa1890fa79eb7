//! A package in Python or JavaScript: its language's toolchain, and the name that the component bears.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use semver::Version;
use serde::Deserialize;
use sightflow_sandbox::{Identity, with_identity};

use super::started;

/// The file that makes a directory a package in a language whose own files do not say what the host asks for.
pub(super) const MANIFEST: &str = "sightflow.json";

/// What [`MANIFEST`] says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    /// `namespace/package`.
    package: String,
    version: Version,
    language: Language,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Language {
    Python,
    Javascript,
}

/// Where components are written, below the package's directory.
const OUT: &str = "build";

pub(super) fn build(directory: &Path) -> Result<PathBuf> {
    let path = directory.join(MANIFEST);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let manifest: Manifest = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    let out = directory.join(OUT);
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    // With its first name it is not the package yet: what a build that was broken off leaves is no component.
    let raw = out.join("unnamed.wasm");
    manifest.language.compile(directory)?;
    let bytes = std::fs::read(&raw).with_context(|| format!("cannot read {}", raw.display()))?;
    let identity = Identity {
        name: manifest.package.clone(),
        version: manifest.version,
        sdk: String::new(),
        language: manifest.language.name().to_owned(),
    };
    let bytes = with_identity(&bytes, &identity).with_context(|| path.display().to_string())?;
    let (_, file) = manifest.package.split_once('/').context("a name has two parts")?;
    let component = out.join(format!("{file}.wasm"));
    std::fs::write(&component, bytes).with_context(|| format!("cannot write {}", component.display()))?;
    std::fs::remove_file(&raw).with_context(|| format!("cannot remove {}", raw.display()))?;
    Ok(component)
}

impl Language {
    fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Javascript => "javascript",
        }
    }

    /// Makes `build/unnamed.wasm`.
    fn compile(self, directory: &Path) -> Result<()> {
        let (program, arguments, missing): (_, &[&str], _) = match self {
            Self::Python => (
                "componentize-py",
                &[
                    "-d",
                    "wit",
                    "-w",
                    "sightflow:block/batched-package",
                    "componentize",
                    "app",
                    "-o",
                    "build/unnamed.wasm",
                ],
                "was not found: `python3 -m venv .venv && .venv/bin/pip install -r requirements.txt` installs it here",
            ),
            // The other runtime needs asynchronous components, which the host does not take.
            Self::Javascript => (
                "componentize-qjs",
                &[
                    "--wit",
                    "wit",
                    "--js",
                    "app.js",
                    "--world",
                    "block-package",
                    "--module-root",
                    ".",
                    "--sync",
                    "-o",
                    "build/unnamed.wasm",
                ],
                "was not found: `npm install` installs it here",
            ),
        };
        let own = match self {
            Self::Python => ".venv/bin",
            Self::Javascript => "node_modules/.bin",
        };
        let installed = directory.join(own).join(program);
        let installed = if installed.is_file() { installed.canonicalize()? } else { PathBuf::from(program) };
        let mut command = Command::new(installed);
        // Its own words are for the person; the path of the component alone is what a script reads.
        command.current_dir(directory).args(arguments).stdout(std::io::stderr());
        let status = started(&mut command, missing)?.wait().with_context(|| format!("cannot wait for {program}"))?;
        ensure!(status.success(), "the package does not compile");
        Ok(())
    }
}
