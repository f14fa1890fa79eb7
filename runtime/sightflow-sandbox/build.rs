//! Builds the first-party block packages to components and embeds them.
//!
//! A nested cargo with its own target directory, because a build script cannot ask the outer cargo for another target.
//! `rust-toolchain.toml` installs that target, so a plain `cargo build` of a fresh clone needs no further step.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const TARGET: &str = "wasm32-wasip2";
const PACKAGES: [&str; 4] = ["transform", "logic", "visualization", "output"];

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            for line in message.lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    let root = manifest.ancestors().nth(2).ok_or("this crate must lie in runtime/ of the workspace")?;
    for path in [
        "blocks",
        "blocks-sdk",
        "wit",
        "runtime/sightflow-types",
        "runtime/sightflow-expressions",
        "Cargo.toml",
        "Cargo.lock",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    println!("cargo::rerun-if-changed=build.rs");

    target_installed()?;
    let target = target_directory(&out)?;
    cargo(root, &target)?;

    let mut source = String::from("/// Every embedded package.\npub const PACKAGES: &[Embedded] = &[\n");
    for name in PACKAGES {
        let built = target.join(TARGET).join("block").join(format!("sightflow_blocks_{name}.wasm"));
        let copy = out.join(format!("{name}.wasm"));
        std::fs::copy(&built, &copy).map_err(|error| format!("cannot copy {}: {error}", built.display()))?;
        let _ = writeln!(source, "    Embedded {{ name: \"sightflow/{name}\", component: include_bytes!({copy:?}) }},");
    }
    source.push_str("];\n");
    std::fs::write(out.join("first_party.rs"), source).map_err(|error| format!("cannot write first_party.rs: {error}"))
}

fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|error| format!("{name}: {error}"))
}

/// Fails with what to do when the toolchain cannot compile to WebAssembly.
fn target_installed() -> Result<(), String> {
    let rustc = variable("RUSTC")?;
    let output = Command::new(&rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
    let output = output.map_err(|error| format!("cannot run {rustc}: {error}"))?;
    let directory = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if output.status.success() && directory.is_dir() {
        return Ok(());
    }
    Err(format!("the block packages need the Rust target {TARGET}: run `rustup target add {TARGET}`"))
}

/// `<target>/blocks`, beside the outer build's `<target>/<profile>/build/<crate>/out`.
fn target_directory(out: &Path) -> Result<PathBuf, String> {
    let build = out.ancestors().find(|path| path.file_name().is_some_and(|name| name == "build"));
    let target = build.and_then(|path| path.ancestors().nth(2));
    Ok(target.ok_or_else(|| format!("unexpected OUT_DIR {}", out.display()))?.join("blocks"))
}

fn cargo(root: &Path, target: &Path) -> Result<(), String> {
    let mut cargo = Command::new(variable("CARGO")?);
    cargo.current_dir(root).args(["build", "--quiet", "--locked", "--profile", "block", "--target", TARGET]);
    for name in PACKAGES {
        cargo.arg("--package").arg(format!("sightflow-blocks-{name}"));
    }
    // The outer build's flags are for the host: coverage, sanitizers, linkers, clippy's wrapper.
    for (name, _) in std::env::vars_os() {
        let Some(name) = name.to_str() else { continue };
        let keep = ["CARGO_HOME", "CARGO_MAKEFLAGS", "CARGO_TERM_"].iter().any(|kept| name.starts_with(kept))
            || ["CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTR", "CARGO_SOURCE_"]
                .iter()
                .any(|kept| name.starts_with(kept));
        if (name.starts_with("CARGO") && !keep)
            || ["RUSTFLAGS", "RUSTDOCFLAGS", "RUSTC", "RUSTC_WORKSPACE_WRAPPER", "TARGET", "HOST"].contains(&name)
        {
            cargo.env_remove(name);
        }
    }
    cargo.env("CARGO_TARGET_DIR", target);
    let output = cargo.output().map_err(|error| format!("cannot run cargo: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("building the block packages failed:\n{}", String::from_utf8_lossy(&output.stderr)))
}
