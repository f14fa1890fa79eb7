//! What is not a package is refused, and the text says why.

use sightflow_sandbox::{LoadError, MAX_PACKAGE_BYTES, Sandbox};

use crate::guests::{Bench, component, config, version, wat};

fn refusal(bytes: &[u8]) -> LoadError {
    Sandbox::new(&config()).expect("a sandbox").load("test/broken", &version(), bytes).expect_err("refused")
}

#[test]
fn packages_that_are_refused() {
    let import = |interface: &str| wat(&format!(r#"(component (import "{interface}" (instance)))"#));
    let many_memories = wat(
        r#"(component (core module $m (memory 1)) (core instance (instantiate $m)) (core instance (instantiate $m))
            (core instance (instantiate $m)) (core instance (instantiate $m)) (core instance (instantiate $m)))"#,
    );
    let cases = [
        (b"not wasm".to_vec(), "not a WebAssembly component"),
        (component()[..1000].to_vec(), "not a WebAssembly component"),
        (wat("(module)"), "not a WebAssembly component"),
        (b"(component)".to_vec(), "not a WebAssembly component"),
        (wat("(component)"), "sightflow:block/blocks"),
        (import("wasi:http/outgoing-handler@0.2.6"), "imports `wasi:http/outgoing-handler@0.2.6`"),
        (import("sightflow:block/secrets@0.1.0"), "imports `sightflow:block/secrets@0.1.0`"),
        (import("sightflow:block/images@9.0.0"), "imports `sightflow:block/images@9.0.0`"),
        (import("wasi:cli/environment@0.3.0"), "imports `wasi:cli/environment@0.3.0`"),
        (import("wasi:clicks/now@0.2.0"), "imports `wasi:clicks/now@0.2.0`"),
        (wat(r#"(component (import "open" (func)))"#), "imports `open`"),
        (many_memories, "memories"),
        (vec![0; MAX_PACKAGE_BYTES + 1], "at most"),
    ];
    for (bytes, expected) in cases {
        let error = refusal(&bytes).to_string();
        assert!(error.contains(expected), "expected {expected:?}: {error}");
    }
}

#[test]
fn compiled_code_is_never_accepted() {
    let (_directory, path) = crate::guests::temporary();
    let sandbox =
        Sandbox::new(&sightflow_sandbox::SandboxConfig { cache: Some(path.clone()), ..config() }).expect("a sandbox");
    sandbox.load("test/hostile", &version(), component()).expect("loads");
    let entry = std::fs::read_dir(&path)
        .expect("a directory")
        .flatten()
        .find(|entry| entry.file_name() != "key")
        .expect("an entry");
    let stored = std::fs::read(entry.path()).expect("compiled code");
    for bytes in [&stored[..], &stored[32..]] {
        assert!(matches!(sandbox.load("test/compiled", &version(), bytes), Err(LoadError::Invalid(_))));
    }
}

#[test]
fn a_package_knows_what_it_is() {
    let Bench { package, .. } = Bench::new();
    assert_eq!((package.name(), package.version()), ("test/hostile", &version()));
    assert_eq!(package.manifests().len(), 44);
    assert_eq!(package.manifest("echo").map(|manifest| manifest.category.as_str()), Some("logic"));
    let digest = Bench::new().package.digest();
    assert_eq!(package.digest(), digest);
}
