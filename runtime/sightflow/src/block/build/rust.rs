//! A package in Rust: cargo, for the target of components.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::started;

/// The file that makes a directory a package in Rust.
pub(super) const MANIFEST: &str = "Cargo.toml";

const TARGET: &str = "wasm32-wasip2";
const NO_RUST: &str = "was not found: blocks are compiled by Rust, which https://rustup.rs installs";

pub(super) fn build(directory: &Path) -> Result<PathBuf> {
    target_installed(directory)?;
    let mut cargo = Command::new("cargo");
    cargo.current_dir(directory).args(["build", "--release", "--target", TARGET]);
    cargo.arg("--message-format=json-render-diagnostics").stdout(Stdio::piped());
    let output = started(&mut cargo, NO_RUST)?.wait_with_output().context("cannot wait for cargo")?;
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

/// Asks the compiler that the directory's `rust-toolchain.toml` means.
fn target_installed(directory: &Path) -> Result<()> {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(directory).args(["--print", "target-libdir", "--target", TARGET]).stdout(Stdio::piped());
    let output = started(&mut rustc, NO_RUST)?.wait_with_output().context("cannot wait for rustc")?;
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
