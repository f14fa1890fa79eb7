//! Encodes the block interface as a component type, with which uploads are compared.

use std::error::Error;
use std::path::Path;

const INTERFACE: &str = "../../wit/v0_1";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={INTERFACE}");
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_path(INTERFACE)?;
    let encoded = wit_component::encode(&resolve, package)?;
    std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join("interface_v0_1.wasm"), encoded)?;
    Ok(())
}
