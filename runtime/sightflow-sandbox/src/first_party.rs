//! The packages that are built into this program (see `build.rs`).

use semver::Version;

/// One embedded package.
#[derive(Debug, Clone, Copy)]
pub struct Embedded {
    /// `sightflow/<package>`.
    pub name: &'static str,
    /// The component.
    pub component: &'static [u8],
}

impl Embedded {
    /// First-party packages have this program's version.
    pub fn version(&self) -> Version {
        const PART: fn(&str) -> u64 = |text| text.parse().unwrap_or(0);
        Version::new(
            PART(env!("CARGO_PKG_VERSION_MAJOR")),
            PART(env!("CARGO_PKG_VERSION_MINOR")),
            PART(env!("CARGO_PKG_VERSION_PATCH")),
        )
    }
}

include!(concat!(env!("OUT_DIR"), "/first_party.rs"));
