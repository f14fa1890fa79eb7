//! `sightflow block build`: the toolchain of the package's language, with the words that an author needs.

mod rust;
mod script;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use anyhow::{Context, Result, bail};

use crate::logging::say;

/// Directories in a package that builds write, which hold no sources.
pub(super) const BUILT: [&str; 4] = ["target", "build", "node_modules", "__pycache__"];

/// Compiles the package in a directory; where its component lies.
pub(super) fn build(directory: &Path) -> Result<PathBuf> {
    match Kind::of(directory)? {
        Kind::Rust => rust::build(directory),
        Kind::Script => script::build(directory),
    }
}

/// Sees that there is a package.
pub(super) fn expect_package(directory: &Path) -> Result<()> {
    Kind::of(directory).map(drop)
}

/// What the person who waits wants to know of it.
pub(super) fn announce(component: &Path) -> Result<()> {
    let size = std::fs::metadata(component).with_context(|| format!("cannot read {}", component.display()))?.len();
    say(format_args!("a component of {size} bytes; `sightflow block check` looks at it"));
    Ok(())
}

/// How a package is built.
enum Kind {
    Rust,
    Script,
}

impl Kind {
    fn of(directory: &Path) -> Result<Self> {
        if directory.join(script::MANIFEST).is_file() {
            return Ok(Self::Script);
        }
        if directory.join(rust::MANIFEST).is_file() {
            return Ok(Self::Rust);
        }
        bail!(
            "{} has neither {} nor {}: `sightflow block new` makes a package",
            directory.display(),
            rust::MANIFEST,
            script::MANIFEST
        )
    }
}

fn started(command: &mut Command, missing: &str) -> Result<Child> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => anyhow::anyhow!("`{name}` {missing}"),
        _ => anyhow::Error::new(error).context(format!("cannot start `{name}`")),
    })
}
