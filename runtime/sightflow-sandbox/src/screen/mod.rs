//! Looks at a package before anything of it is compiled: size, shape, interfaces, validity, identity. All of it reads
//! the binary once or twice and runs nothing, so what will be refused costs little.

mod bounds;
mod describe;
mod identity;
mod interfaces;
mod shape;
mod wit;

use sightflow_types::Problem;
use wasmparser::Validator;
use wasmparser::types::Types;

pub use bounds::MAX_PACKAGE_BYTES;
pub use identity::{Identity, IdentityError, identity, with_identity};
pub(crate) use wit::ENCODED as ENCODED_INTERFACE;

use crate::engine;
use crate::finding::{Findings, code};

/// A component that may be compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screened {
    /// Names of the interfaces that it imports.
    pub imports: Vec<String>,
    /// Names of what it exports.
    pub exports: Vec<String>,
    /// Imports that are given only to packages with a grant; without one the package does not load.
    pub requested: Vec<String>,
    /// Who it says that it is.
    pub identity: Option<Identity>,
}

/// Looks at a component without compiling it.
///
/// # Errors
/// Every finding that can be made at once: first about size, shape and names, and where these are right about validity
/// and the types of interfaces.
pub fn screen(bytes: &[u8]) -> Result<Screened, Vec<Problem>> {
    let mut findings = Findings::default();
    match look(bytes, &mut findings) {
        Some(screened) if findings.is_empty() => Ok(screened),
        _ => Err(findings.into_vec()),
    }
}

fn look(bytes: &[u8], findings: &mut Findings) -> Option<Screened> {
    if bytes.len() > MAX_PACKAGE_BYTES {
        let words = format!("the package has {} bytes; at most {MAX_PACKAGE_BYTES} are accepted", bytes.len());
        findings.add(code::SIZE, words);
        return None;
    }
    let shape = shape::read(bytes, findings)?;
    let requested = interfaces::check(&shape.imports, &shape.exports, findings);
    let identity = match shape.identity.as_deref().map(Identity::parse).transpose() {
        Ok(identity) => identity,
        Err(error) => {
            findings.add(code::MANIFEST, error.to_string());
            None
        }
    };
    let types = validate(bytes, findings)?;
    wit::compare(types.as_ref(), &shape.imports, &shape.exports, findings);
    Some(Screened { imports: shape.imports, exports: shape.exports, requested, identity })
}

/// Whether the binary keeps the rules of WebAssembly, every function included.
fn validate(bytes: &[u8], findings: &mut Findings) -> Option<Types> {
    let refused = match Validator::new_with_features(engine::features()).validate_all(bytes) {
        Ok(types) => return Some(types),
        Err(error) => error,
    };
    let mut words = format!("not a valid WebAssembly component: {refused}");
    if refused.message().contains("async") {
        words.push_str(
            "; blocks are synchronous: build without asynchronous functions (`componentize-qjs` needs its option `sync`)",
        );
    }
    findings.add(code::SHAPE, words);
    None
}
