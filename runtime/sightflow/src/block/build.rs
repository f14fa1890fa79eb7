//! `sightflow block build`: cargo, with the target and the words that an author needs.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::logging::say;

const TARGET: &str = "wasm32-wasip2";
const NO_RUST: &str = "was not found: blocks are compiled by Rust, which https://rustup.rs installs";

/// Compiles the package in a directory; where its component lies.
pub(super) fn build(directory: &Path) -> Result<PathBuf> {
    let manifest = directory.join("Cargo.toml");
    ensure!(manifest.is_file(), "there is no {}: `sightflow block new` makes a package", manifest.display());
    target_installed(directory)?;
    let mut cargo = Command::new("cargo");
    cargo.current_dir(directory).args(["build", "--release", "--target", TARGET]);
    cargo.arg("--message-format=json-render-diagnostics").stdout(Stdio::piped());
    let output = started(&mut cargo)?.wait_with_output().context("cannot wait for cargo")?;
    ensure!(output.status.success(), "the package does not compile");
    let found = components(&String::from_utf8_lossy(&output.stdout));
    match found.as_slice() {
        [component] => Ok(component.clone()),
        [] => bail!("cargo made no component: the library needs `crate-type = [\"cdylib\"]` in Cargo.toml"),
        several => {
            let names: Vec<_> = several.iter().map(|path| path.display().to_string()).collect();
            bail!("cargo made several components, build in the directory of one package: {}", names.join(", "))
        }
    }
}

/// What the person who waits wants to know of it.
pub(super) fn announce(component: &Path) -> Result<()> {
    let size = std::fs::metadata(component).with_context(|| format!("cannot read {}", component.display()))?.len();
    say(format_args!("a component of {size} bytes; `sightflow block check` looks at it"));
    Ok(())
}

fn started(command: &mut Command) -> Result<std::process::Child> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow::anyhow!("`{name}` {NO_RUST}"),
        _ => anyhow::Error::new(error).context(format!("cannot start `{name}`")),
    })
}

/// Asks the compiler that the directory's `rust-toolchain.toml` means.
fn target_installed(directory: &Path) -> Result<()> {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(directory).args(["--print", "target-libdir", "--target", TARGET]).stdout(Stdio::piped());
    let output = started(&mut rustc)?.wait_with_output().context("cannot wait for rustc")?;
    let found = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if output.status.success() && found.is_dir() {
        return Ok(());
    }
    bail!("the Rust target {TARGET} is missing: run `rustup target add {TARGET}`")
}

/// The components among what cargo says that it made.
fn components(messages: &str) -> Vec<PathBuf> {
    let made = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let made = made.filter(|message| {
        let kinds = message["target"]["kind"].as_array();
        message["reason"] == "compiler-artifact" && kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind == "cdylib"))
    });
    let files = made.flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default());
    files
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .filter(|file| file.extension().is_some_and(|e| e == "wasm"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_what_cargo_says() {
        let messages = r#"
{"reason":"compiler-artifact","target":{"kind":["lib"]},"filenames":["/t/libserde.rlib"]}
{"reason":"compiler-artifact","target":{"kind":["cdylib","rlib"]},"filenames":["/t/retail.wasm","/t/libretail.rlib"]}
{"reason":"build-finished","success":true}"#;
        assert_eq!(components(messages), [PathBuf::from("/t/retail.wasm")]);
        assert!(components("no JSON\n").is_empty());
    }
}
