//! Which packages can stand side by side.

use semver::Version;
use sightflow_sandbox::{BlockRegistry, RegistryError, Sandbox};

use crate::guests::{component, config};

fn registry() -> (Sandbox, BlockRegistry) {
    let sandbox = Sandbox::new(&config()).expect("a sandbox");
    let package = sandbox.load("test/hostile", &Version::new(1, 4, 2), component()).expect("loads");
    let mut registry = BlockRegistry::default();
    registry.add(package).expect("added");
    (sandbox, registry)
}

#[test]
fn two_packages_cannot_share_a_block_name() {
    let (sandbox, mut registry) = registry();
    let second = sandbox.load("test/second", &Version::new(1, 0, 0), component()).expect("loads");
    let error = registry.add(second).expect_err("refused");
    assert!(
        matches!(&error, RegistryError::Taken { owner, package, .. } if owner == "test/hostile" && package == "test/second"),
        "{error}"
    );
    assert_eq!(registry.packages().len(), 1);
}

#[test]
fn the_embedded_packages_load() {
    let sandbox = Sandbox::new(&config()).expect("a sandbox");
    let registry = BlockRegistry::first_party(&sandbox).expect("they load");
    let blocks = registry.packages().iter().flat_map(|package| package.manifests());
    assert!(blocks.count() >= registry.packages().len());
}
