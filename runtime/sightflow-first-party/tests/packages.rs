//! What is embedded is what lies in `blocks/`, and it loads.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sightflow_first_party::{PACKAGES, VERSION, load};
use sightflow_sandbox::{Sandbox, SandboxConfig};

#[test]
fn every_folder_of_blocks_is_a_package_that_loads() {
    let folders = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../blocks")).expect("blocks/");
    let folders: BTreeSet<_> = folders
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.join("Cargo.toml").is_file())
        .map(|path| format!("sightflow/{}", path.file_name().expect("a name").to_string_lossy()))
        .collect();
    assert!(folders.contains("sightflow/logic"), "{folders:?}");

    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
    let sandbox = Sandbox::new(&SandboxConfig { cache: Some(cache), ..SandboxConfig::default() }).expect("a sandbox");
    let packages = load(&sandbox).expect("they load");
    assert_eq!(packages.iter().map(|package| package.name().to_owned()).collect::<BTreeSet<_>>(), folders);
    assert_eq!(packages.len(), PACKAGES.len());
    for package in &packages {
        assert_eq!(package.version(), &VERSION);
        assert!(!package.manifests().is_empty(), "{package:?} has no block");
    }
}

/// A definition names a block of ours without its package, so two packages cannot share a name.
#[test]
fn no_two_blocks_share_a_name() {
    let sandbox = Sandbox::new(&SandboxConfig::default()).expect("a sandbox");
    let mut owners = BTreeMap::new();
    for package in load(&sandbox).expect("they load") {
        for manifest in package.manifests() {
            for name in std::iter::once(&manifest.name).chain(&manifest.aliases) {
                let other = owners.insert(name.clone(), package.name().to_owned());
                assert_eq!(other, None, "`{name}` of {}", package.name());
            }
        }
    }
}
