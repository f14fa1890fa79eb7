//! Builds the packages of `blocks/` to components and embeds them.
//!
//! A nested cargo with its own target directory, because a build script cannot ask the outer cargo for another target.
//! `rust-toolchain.toml` installs that target, so a plain `cargo build` of a fresh clone needs no further step.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const TARGET: &str = "wasm32-wasip2";

/// Bytes of memory with which an instance begins: what a call takes from the process's budget in any case.
const INITIAL_MEMORY: u32 = 2 << 20;

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
    let packages = packages(&root.join("blocks"))?;

    target_installed()?;
    let target = target_directory(&out)?;
    cargo(root, &target, &packages)?;

    // A new package is a change of the lock file.
    let mut inputs = BTreeSet::from([root.join("Cargo.toml"), root.join("Cargo.lock")]);
    let mut source = String::from("/// Every embedded package, by name.\npub const PACKAGES: &[Embedded] = &[\n");
    for name in &packages {
        let built = target.join(TARGET).join("block").join(format!("sightflow_blocks_{name}.wasm"));
        let copy = out.join(format!("{name}.wasm"));
        std::fs::copy(&built, &copy).map_err(|error| format!("cannot copy {}: {error}", built.display()))?;
        let _ = writeln!(source, "    Embedded {{ name: \"sightflow/{name}\", component: include_bytes!({copy:?}) }},");
        inputs.extend(went_into(&built.with_extension("d"))?);
    }
    source.push_str("];\n");
    source.push_str(&version()?);
    let generated = out.join("embedded.rs");
    std::fs::write(&generated, source).map_err(|error| format!("cannot write {}: {error}", generated.display()))?;

    println!("cargo::rerun-if-changed=build.rs");
    for input in inputs {
        println!("cargo::rerun-if-changed={}", input.display());
    }
    Ok(())
}

/// The folders of `blocks/` that are crates, by name.
fn packages(blocks: &Path) -> Result<BTreeSet<String>, String> {
    let cannot = |error| format!("cannot read {}: {error}", blocks.display());
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(blocks).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        if entry.path().join("Cargo.toml").is_file() {
            names.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// The files of this workspace that a component was made of, from the note (`.d`, a line of a makefile) that cargo
/// writes beside it, with the manifest of each crate.
fn went_into(note: &Path) -> Result<BTreeSet<PathBuf>, String> {
    let text = std::fs::read_to_string(note).map_err(|error| format!("cannot read {}: {error}", note.display()))?;
    let list = text.split_once(": ").map_or("", |(_, list)| list).replace("\\ ", "\0");
    let files: BTreeSet<PathBuf> = list.split_whitespace().map(|file| file.replace('\0', " ").into()).collect();
    if files.is_empty() {
        return Err(format!("{} names no file", note.display()));
    }
    let manifest =
        |file: &PathBuf| file.ancestors().map(|folder| folder.join("Cargo.toml")).find(|path| path.is_file());
    let manifests: BTreeSet<PathBuf> = files.iter().filter_map(manifest).collect();
    Ok(files.into_iter().chain(manifests).collect())
}

/// First-party packages have this program's version.
fn version() -> Result<String, String> {
    let part = |name: &str| variable(&format!("CARGO_PKG_VERSION_{name}"));
    let (major, minor, patch) = (part("MAJOR")?, part("MINOR")?, part("PATCH")?);
    Ok(format!(
        "/// Their version: this program's.\npub const VERSION: Version = Version::new({major}, {minor}, {patch});\n"
    ))
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

fn cargo(root: &Path, target: &Path, packages: &BTreeSet<String>) -> Result<(), String> {
    let mut cargo = Command::new(variable("CARGO")?);
    cargo.current_dir(root).args(["build", "--quiet", "--locked", "--profile", "block", "--target", TARGET]);
    for name in packages {
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
    // Room for an ordinary call from the start: a memory that grows costs two changes of the address space with each call.
    cargo.env("CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS", format!("-Clink-arg=--initial-memory={INITIAL_MEMORY}"));
    cargo.env("CARGO_TARGET_DIR", target);
    let output = cargo.output().map_err(|error| format!("cannot run cargo: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("building the block packages failed:\n{}", String::from_utf8_lossy(&output.stderr)))
}
