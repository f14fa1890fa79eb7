//! The WASI of packages that only compute is our own. It is whole: whatever there is in the WASI that `wasmtime-wasi` serves can
//! be imported, and gives nothing.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve};

use sightflow_sandbox::{LoadError, Sandbox};

use crate::guests::{config, version};

/// Where the sources of a dependency lie.
fn sources(name: &str) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--offline", "--manifest-path"]);
    let output = cargo.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).output().expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata");
    let package = metadata["packages"].as_array().expect("packages").iter().find(|package| package["name"] == name);
    let manifest = package.and_then(|package| package["manifest_path"].as_str()).expect("it is a dependency");
    PathBuf::from(manifest).parent().expect("a folder").to_owned()
}

/// A component that imports everything of WASI that there is, and all of our interface besides.
fn imports_everything() -> (Vec<u8>, usize) {
    let mut resolve = Resolve::default();
    resolve.push_path(sources("wasmtime-wasi").join("src/p2/wit")).expect("its WIT can be read");
    resolve.push_path("../../wit/v0_1").expect("ours, too");
    let interfaces = resolve.interfaces.iter().filter_map(|(id, interface)| {
        let package = &resolve.packages[interface.package?].name;
        (package.namespace == "wasi" && interface.name.is_some()).then(|| resolve.id_of(id)).flatten()
    });
    let wanted: Vec<String> = interfaces.filter(|name| !name.starts_with("wasi:cli/run@")).collect();
    let imports: String = wanted.iter().map(|name| format!("import {name};\n")).collect();
    let text =
        format!("package test:all;\nworld everything {{ {imports} include sightflow:block/block-package@0.1.0; }}");
    let package = resolve.push_str("all.wit", &text).expect("a world");
    let world = resolve.select_world(&[package], Some("everything")).expect("the world");
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("embedded");
    let component = ComponentEncoder::default().module(&module).expect("a module").encode().expect("a component");
    (component, wanted.len())
}

#[test]
fn everything_that_there_is_can_be_imported() {
    let (component, interfaces) = imports_everything();
    assert!(interfaces >= 27, "{interfaces} interfaces");
    let sandbox = Sandbox::new(&config()).expect("a sandbox starts");
    let Err(LoadError::Refused(findings)) = sandbox.load("test/everything", &version(), &component) else {
        panic!("a module of dummies answers no catalogue")
    };
    // It is linked and instantiated; only then does it fail, because its functions are empty.
    let found: Vec<_> = findings.iter().map(|finding| (finding.code.as_str(), finding.message.as_str())).collect();
    assert!(matches!(found[..], [("E-MANIFEST", message)] if message.contains("`catalog` failed")), "{found:?}");
}
