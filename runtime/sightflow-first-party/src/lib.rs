#![doc = include_str!("../README.md")]

use std::thread;

use semver::Version;
use sightflow_sandbox::{LoadError, Package, Sandbox};

/// One embedded package.
#[derive(Debug, Clone, Copy)]
pub struct Embedded {
    /// `sightflow/<package>`.
    pub name: &'static str,
    /// The component.
    pub component: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// An embedded package does not load: the build and the sandbox do not fit, or the compile cache cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the embedded package `{package}` does not load")]
pub struct FirstPartyError {
    /// Its name.
    pub package: &'static str,
    /// Why.
    #[source]
    pub source: Box<LoadError>,
}

/// Every embedded package in the order of [`PACKAGES`], compiled in parallel.
///
/// # Errors
/// [`FirstPartyError`] for the first that does not load.
///
/// # Panics
/// If the compiler panics.
pub fn load(sandbox: &Sandbox) -> Result<Vec<Package>, FirstPartyError> {
    thread::scope(|scope| {
        let threads: Vec<_> = PACKAGES
            .iter()
            .map(|package| scope.spawn(|| sandbox.load(package.name, &VERSION, package.component)))
            .collect();
        let loaded =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        PACKAGES
            .iter()
            .zip(loaded)
            .map(|(package, loaded)| {
                loaded.map_err(|source| FirstPartyError { package: package.name, source: Box::new(source) })
            })
            .collect()
    })
}
