//! Which interfaces a package may import and has to export, by name.

use crate::finding::{Findings, code};
use crate::host::linker::{OFFERED, is_of, offered};
use crate::host::wasi;

/// The version of the interfaces that packages export.
const VERSIONS: &str = "0.1";
/// What every package exports.
const REQUIRED: &str = "sightflow:block/blocks";
/// What it may export besides.
const OPTIONAL: [&str; 2] = ["sightflow:block/checks", "sightflow:block/batches"];

/// What an import is to this host.
enum Import {
    /// Given to every package.
    Given,
    /// Given to packages with a grant.
    Granted,
    /// Of the block interface, in a version that this host does not have.
    OtherVersion,
    /// Given to nobody.
    Unknown,
}

impl Import {
    fn of(import: &str) -> Self {
        let Some((interface, version)) = import.split_once('@') else { return Self::Unknown };
        let package = interface.split_once('/').map_or(interface, |(package, _)| package);
        match package {
            "sightflow:block" if offered(import).is_some() => Self::Given,
            "sightflow:block" if OFFERED.iter().any(|offered| offered.name == interface) => Self::OtherVersion,
            "wasi:http" if version.starts_with("0.2.") => Self::Granted,
            _ if wasi::INTERFACES.contains(&package) && version.starts_with("0.2.") => Self::Given,
            _ => Self::Unknown,
        }
    }
}

/// Checks the names; what needs a grant is returned.
pub(super) fn check(imports: &[String], exports: &[String], findings: &mut Findings) -> Vec<String> {
    let mut requested = Vec::new();
    for import in imports {
        match Import::of(import) {
            Import::Given => {}
            Import::Granted => requested.push(import.clone()),
            Import::OtherVersion => findings.add(
                code::WIT,
                format!("the package imports `{import}`; this host has version {} of it", versions(import)),
            ),
            Import::Unknown => findings.add(
                code::IMPORT,
                format!(
                    "the package imports `{import}`, which blocks are not given; allowed are {} and the deny-all `wasi:` interfaces {}",
                    names().join(", "),
                    wasi::ALLOWED
                ),
            ),
        }
    }
    let exported = |name: &str| {
        exports.iter().filter_map(|export| export.split_once('@')).find(|(interface, _)| *interface == name)
    };
    match exported(REQUIRED) {
        None => findings.add(
            code::WIT,
            format!("the package does not export `{REQUIRED}@{VERSIONS}`, which every package has to export"),
        ),
        Some((_, version)) if !of_this_host(version) => findings.add(
            code::WIT,
            format!(
                "the package exports `{REQUIRED}@{version}`; this host has version {VERSIONS} of the block interface"
            ),
        ),
        Some(_) => {}
    }
    for (name, version) in OPTIONAL.iter().filter_map(|name| exported(name)) {
        if !of_this_host(version) {
            findings.add(
                code::WIT,
                format!(
                    "the package exports `{name}@{version}`; this host has version {VERSIONS} of the block interface"
                ),
            );
        }
    }
    requested
}

/// Whether this host calls exports of this version.
fn of_this_host(version: &str) -> bool {
    is_of(version, VERSIONS)
}

/// The versions of the interface that this host has.
fn versions(import: &str) -> String {
    let versions = OFFERED.iter().filter(|offered| import.split('@').next() == Some(offered.name));
    versions.map(|offered| offered.version).collect::<Vec<_>>().join(" and ")
}

/// The interfaces that may be imported, each once.
fn names() -> Vec<String> {
    let mut names: Vec<_> = OFFERED.iter().map(|offered| format!("`{}`", offered.name)).collect();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let blocks = "sightflow:block/blocks@0.1.0";
        let cases: [(&[&str], &[&str], &[&str]); 12] = [
            (&[], &[blocks], &[]),
            (&["sightflow:block/images@0.1.0", "sightflow:block/log@0.1.9"], &[blocks], &[]),
            (&["sightflow:block/image-ops@0.1.0"], &[blocks, "sightflow:block/checks@0.1.0"], &[]),
            (&["wasi:cli/environment@0.2.12"], &[blocks, "sightflow:block/batches@0.1.3"], &[]),
            (&["wasi:http/types@0.2.6"], &[blocks], &[]),
            (&["wasi:http/types@0.3.0"], &[blocks], &["E-IMPORT"]),
            (&["sightflow:block/images@0.2.0"], &[blocks], &["E-WIT"]),
            (&["sightflow:block/images"], &[blocks], &["E-IMPORT"]),
            (&["sightflow:blocks/images@0.1.0"], &[blocks], &["E-IMPORT"]),
            (&[], &[blocks, "sightflow:block/checks@0.2.0"], &["E-WIT"]),
            (&[], &["sightflow:block/blocks@1.1.0"], &["E-WIT"]),
            (&["open"], &["blocks"], &["E-IMPORT", "E-WIT"]),
        ];
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (imports, exports, expected) in cases {
            let mut findings = Findings::default();
            let requested = check(&owned(imports), &owned(exports), &mut findings);
            let codes: Vec<_> = findings.into_vec().into_iter().map(|problem| problem.code).collect();
            assert_eq!(codes, expected, "{imports:?} {exports:?}");
            let http = imports.iter().any(|name| name.starts_with("wasi:http/") && name.contains("@0.2."));
            assert_eq!(!requested.is_empty(), http, "{imports:?}");
        }
    }
}
