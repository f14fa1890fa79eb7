//! `sightflow block watch`: the server has what the sources say, a moment after they were saved.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use semver::Prerelease;
use sightflow_sandbox::{MAX_PACKAGE_BYTES, identity, with_identity};

use super::server::{Answer, Server};
use super::{build, count_findings, print_findings};
use crate::cli::block::ServerOptions;
use crate::files;
use crate::logging::{print, say};
use crate::signal::StopSignals;

/// How often the sources are looked at.
const EVERY: Duration = Duration::from_millis(300);
/// Files looked at, at most: a directory that holds more is not a package's.
const MOST_FILES: usize = 10_000;

pub(super) fn watch(directory: &Path, options: &ServerOptions) -> Result<ExitCode> {
    let server = Server::new(options)?;
    build::expect_package(directory)?;
    super::block_on(async {
        let mut signals = StopSignals::catch()?;
        let mut published = None;
        loop {
            let seen = sources(directory)?;
            if published.as_ref() != Some(&seen) {
                // What is saved meanwhile is seen in the next round.
                published = Some(seen);
                let done = tokio::select! {
                    done = once(directory, &server) => done,
                    () = signals.received() => return Ok(ExitCode::SUCCESS),
                };
                if let Err(error) = done {
                    say(format_args!("error: {error:#}; what was published before stays"));
                }
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = signals.received() => return Ok(ExitCode::SUCCESS),
            }
        }
    })
}

/// Builds and publishes; what was published before stays where that does not work.
async fn once(directory: &Path, server: &Server) -> Result<()> {
    let owned = directory.to_owned();
    let component = tokio::task::spawn_blocking(move || build::build(&owned)).await??;
    let bytes = files::read(&component, MAX_PACKAGE_BYTES as u64 + 1)?;
    let mut said = identity(&bytes)?
        .context("the component does not say its name: `sightflow block build` and `export_package!` write it")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    // Later ones are higher, whoever else works on the package.
    said.version.pre = Prerelease::new(&format!("dev.{now}"))?;
    let bytes = with_identity(&bytes, &said)?;
    match server.post(server.url(&[])?, "application/wasm", bytes).await? {
        Answer::Done { .. } => print(format_args!("{} {}", said.name, said.version))?,
        Answer::Refused { problems, .. } => {
            print_findings(&problems)?;
            bail!("{}", count_findings(&problems));
        }
    }
    Ok(())
}

/// Every source with the time of its last change.
fn sources(directory: &Path) -> Result<Vec<(PathBuf, SystemTime)>> {
    let mut found = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(place) = left.pop() {
        let entries = std::fs::read_dir(&place).with_context(|| format!("cannot read {}", place.display()))?;
        for entry in entries {
            let entry = entry?;
            let (kind, name) = (entry.file_type()?, entry.file_name());
            let name = name.to_string_lossy();
            // What builds write is no source, and hidden things are editors' and git's.
            if build::BUILT.contains(&&*name) || name == "Cargo.lock" || name.starts_with('.') {
                continue;
            }
            if kind.is_dir() {
                left.push(entry.path());
            } else if let Ok(changed) = entry.metadata().and_then(|about| about.modified()) {
                found.push((entry.path(), changed));
            }
            if found.len() + left.len() > MOST_FILES {
                bail!("{} holds more than {MOST_FILES} files: watch the directory of one package", directory.display());
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_are_no_sources() {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str| {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, "x").expect("written");
        };
        write("src/lib.rs");
        write("Cargo.toml");
        let before = sources(directory.path()).expect("listed");
        assert_eq!(before.len(), 2);
        write("target/release/a.wasm");
        write("build/a.wasm");
        write("node_modules/a/index.js");
        write(".venv/bin/python");
        write("Cargo.lock");
        write(".git/index");
        write("src/.lib.rs.swp");
        assert_eq!(sources(directory.path()).expect("listed"), before);
        write("src/more.rs");
        assert_ne!(sources(directory.path()).expect("listed"), before);
    }
}
