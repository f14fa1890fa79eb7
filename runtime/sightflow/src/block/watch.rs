//! `sightflow block watch`: the server has what the sources say, a moment after they were saved.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
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
        let mut package = Watched::new(directory.to_owned());
        loop {
            let looked = tokio::select! {
                looked = package.look(&server) => looked?,
                () = signals.received() => return Ok(ExitCode::SUCCESS),
            };
            match looked {
                Some(Ok(published)) => print(format_args!("{published}"))?,
                Some(Err(error)) => say(format_args!("error: {error:#}; what was published before stays")),
                None => {}
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = signals.received() => return Ok(ExitCode::SUCCESS),
            }
        }
    })
}

/// Watches every package in a directory, and components that lie there, for the server at an address. Never returns.
pub(crate) async fn watch_all(directory: &Path, address: SocketAddr) -> Result<Infallible> {
    let server = Server::new(&ServerOptions { server: format!("http://{address}"), key: None })?;
    let mut packages: BTreeMap<PathBuf, Watched> = BTreeMap::new();
    loop {
        for path in packages_in(directory)? {
            let package = packages.entry(path.clone()).or_insert_with(|| Watched::new(path.clone()));
            match package.look(&server).await {
                Ok(Some(Ok(published))) => tracing::info!(package = %path.display(), "published {published}"),
                Ok(Some(Err(error))) | Err(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(package = %path.display(), error, "not published; what was published before stays");
                }
                Ok(None) => {}
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// The directory itself if it is a package, else the packages and the components in it.
fn packages_in(directory: &Path) -> Result<Vec<PathBuf>> {
    if build::expect_package(directory).is_ok() {
        return Ok(vec![directory.to_owned()]);
    }
    let entries = std::fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    found.retain(|path| path.extension().is_some_and(|kind| kind == "wasm") || build::expect_package(path).is_ok());
    found.sort();
    Ok(found)
}

/// A package, or a component, and what it was like when it was looked at last.
struct Watched {
    path: PathBuf,
    seen: Option<Vec<(PathBuf, SystemTime)>>,
}

impl Watched {
    fn new(path: PathBuf) -> Self {
        Self { path, seen: None }
    }

    /// Publishes it if it has changed; the name and version that it has there. What was published before stays where that
    /// does not work.
    async fn look(&mut self, server: &Server) -> Result<Option<Result<String>>> {
        let now = sources(&self.path)?;
        if self.seen.as_ref() == Some(&now) {
            return Ok(None);
        }
        // What is saved meanwhile is seen in the next round.
        self.seen = Some(now);
        Ok(Some(once(&self.path, server).await))
    }
}

/// Builds and publishes.
async fn once(path: &Path, server: &Server) -> Result<String> {
    let component = if path.is_file() {
        path.to_owned()
    } else {
        let directory = path.to_owned();
        tokio::task::spawn_blocking(move || build::build(&directory)).await??
    };
    let bytes = files::read(&component, MAX_PACKAGE_BYTES as u64 + 1)?;
    let said = identity(&bytes)?;
    let mut said =
        said.context("the component does not say its name: `sightflow block build` and `export_package!` write it")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    // Later ones are higher, whoever else works on the package.
    said.version.pre = Prerelease::new(&format!("dev.{now}"))?;
    let bytes = with_identity(&bytes, &said)?;
    match server.post(server.url(&[])?, "application/wasm", bytes).await? {
        Answer::Done { .. } => Ok(format!("{} {}", said.name, said.version)),
        Answer::Refused { problems, .. } => {
            print_findings(&problems)?;
            bail!("{}", count_findings(&problems));
        }
    }
}

/// Every source with the time of its last change.
fn sources(directory: &Path) -> Result<Vec<(PathBuf, SystemTime)>> {
    let mut found = Vec::new();
    if directory.is_file() {
        let about = std::fs::metadata(directory).with_context(|| format!("cannot read {}", directory.display()))?;
        return Ok(vec![(directory.to_owned(), about.modified()?)]);
    }
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
