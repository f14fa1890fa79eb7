//! Which block a type means.

use semver::Version;
use sightflow_sandbox::{BlockRegistry, RegistryError, ResolveError, Sandbox};

use crate::guests::{component, config};

fn registry() -> (Sandbox, BlockRegistry) {
    let sandbox = Sandbox::new(&config()).expect("a sandbox");
    let package = sandbox.load("test/hostile", &Version::new(1, 4, 2), component()).expect("loads");
    let mut registry = BlockRegistry::default();
    registry.add(package).expect("added");
    (sandbox, registry)
}

#[test]
fn types_are_resolved() {
    let (_sandbox, registry) = registry();
    let cases: [(&str, Result<&str, ResolveError>); 12] = [
        ("bad_input", Ok("bad_input")),
        ("Bad-Input", Ok("bad_input")),
        ("test/hostile/bad-input", Ok("bad_input")),
        ("Test/Hostile/echo@1", Ok("echo")),
        ("echo@^1.4", Ok("echo")),
        ("echo@>=1.4.2, <2", Ok("echo")),
        ("nothing", Err(ResolveError::Unknown("nothing".to_owned()))),
        ("test/hostile/nothing", Err(ResolveError::Unknown("test/hostile/nothing".to_owned()))),
        ("test/other/echo", Err(ResolveError::UnknownPackage("test/other".to_owned()))),
        ("echo@new", Err(ResolveError::BadRequirement("new".to_owned()))),
        ("echo@", Err(ResolveError::BadRequirement(String::new()))),
        (
            "echo@2",
            Err(ResolveError::NoVersion {
                package: "test/hostile".to_owned(),
                requirement: "^2".to_owned(),
                available: "1.4.2".to_owned(),
            }),
        ),
    ];
    for (block_type, expected) in cases {
        let found = registry.resolve(block_type).map(|resolved| resolved.block);
        assert_eq!(found, expected.map(str::to_owned), "{block_type}");
    }
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
    for package in registry.packages() {
        for manifest in package.manifests() {
            let resolved = registry.resolve(&format!("{}/{}", package.name(), manifest.name)).expect("resolves");
            assert_eq!(resolved.package.digest(), package.digest());
        }
    }
}
