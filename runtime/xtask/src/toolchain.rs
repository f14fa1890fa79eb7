//! Is everything there that a build needs? What can be installed is; the rest is explained.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{console, root};

/// The target that blocks are compiled to.
const BLOCK_TARGET: &str = "wasm32-wasip2";

/// Makes sure that blocks can be compiled: adds the WebAssembly target where rustup can.
pub(crate) fn ensure_block_target() -> Result<()> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).current_dir(root()).output();
    let sysroot = sysroot.context("`rustc` was not found: install Rust from https://rustup.rs and try again")?;
    let sysroot = String::from_utf8_lossy(&sysroot.stdout).trim().to_owned();
    if std::path::Path::new(&sysroot).join("lib/rustlib").join(BLOCK_TARGET).is_dir() {
        return Ok(());
    }
    let mut add = Command::new("rustup");
    add.args(["target", "add", BLOCK_TARGET]).current_dir(root());
    if console::run(&mut add).is_err() {
        bail!(
            "the Rust target {BLOCK_TARGET} is missing and rustup could not add it.\n\
             Blocks are WebAssembly components and need it. With rustup: `rustup target add {BLOCK_TARGET}`; \
             otherwise install your distribution's package with Rust's standard library for {BLOCK_TARGET}."
        );
    }
    Ok(())
}

/// Whether `cargo <name>` exists.
pub(crate) fn has_cargo_command(name: &str) -> bool {
    Command::new("cargo")
        .args([name, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// `cargo` in the repository's root.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(root());
    command
}
