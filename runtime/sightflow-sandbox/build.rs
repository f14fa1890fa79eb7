//! Encodes the block interface as a component type, with which uploads are compared.

use std::error::Error;
use std::path::Path;

const INTERFACE: &str = "../../wit/v0_1";
/// The next version, which only tests have; it uses what it does not change.
const NEXT: &str = "tests/wit/v0_2";

fn main() -> Result<(), Box<dyn Error>> {
    let mut resolve = wit_parser::Resolve::default();
    for (directory, file) in [(INTERFACE, "interface_v0_1.wasm"), (NEXT, "interface_v0_2.wasm")] {
        println!("cargo::rerun-if-changed={directory}");
        let (package, _) = resolve.push_path(directory)?;
        let encoded = wit_component::encode(&resolve, package)?;
        std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join(file), encoded)?;
    }
    Ok(())
}
