//! One pass over the sections: what the component is made of. Nothing here looks into a function.

use wasmparser::{Encoding, Parser, Payload};

use super::{bounds, identity};
use crate::finding::{Findings, code};

/// What was counted and named.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// Names of what the component imports.
    pub(super) imports: Vec<String>,
    /// Names of what it exports.
    pub(super) exports: Vec<String>,
    /// The section about its identity.
    pub(super) identity: Option<Vec<u8>>,
    modules: u64,
    instances: u64,
    functions: u64,
    function_bytes: u64,
    code_bytes: u64,
    nesting: u64,
    declarations: u64,
    names: u64,
}

/// Reads the shape; what is wrong with it becomes findings. `None` if it is not even a component.
pub(super) fn read(bytes: &[u8], findings: &mut Findings) -> Option<Shape> {
    if let Some(words) = something_else(bytes) {
        findings.add(code::SHAPE, words);
        return None;
    }
    let mut walk = Walk::default();
    for payload in Parser::new(0).parse_all(bytes) {
        if let Err(error) = payload.and_then(|payload| walk.take(&payload)) {
            findings.add(code::SHAPE, format!("not a WebAssembly component: {error}"));
            return None;
        }
        // What is beyond a bound is not counted to its end.
        if walk.shape.report(findings) {
            return None;
        }
    }
    let Walk { mut shape, nested_identity, .. } = walk;
    shape.identity = shape.identity.or(nested_identity);
    Some(shape)
}

/// What the bytes are, if they are no component at all.
fn something_else(bytes: &[u8]) -> Option<&'static str> {
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    if bytes.starts_with(COMPONENT) {
        return None;
    }
    let text = bytes.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| b"(;".contains(byte));
    Some(match bytes {
        [] => "the package is empty",
        // What `wasmtime compile` writes is an ELF file, too.
        [0x7f, b'E', b'L', b'F', ..] => {
            "not a WebAssembly component but machine code (ELF, `.cwasm`), which is never accepted: upload the `.wasm` file"
        }
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => {
            "not a WebAssembly component but a core module: build for `wasm32-wasip2`, or wrap it with `wasm-tools component new`"
        }
        _ if text => "not a WebAssembly component but its text format: convert it with `wasm-tools parse`",
        _ => "not a WebAssembly component: the file begins with something else",
    })
}

#[derive(Default)]
struct Walk {
    shape: Shape,
    /// Modules and components that are open; the first is the component itself.
    open: Vec<Encoding>,
    nested_identity: Option<Vec<u8>>,
}

impl Walk {
    fn take(&mut self, payload: &Payload<'_>) -> wasmparser::Result<()> {
        let top = self.open.len() == 1;
        let shape = &mut self.shape;
        match payload {
            Payload::Version { encoding, .. } => {
                self.open.push(*encoding);
                match encoding {
                    Encoding::Module => shape.modules += 1,
                    Encoding::Component => shape.nesting = shape.nesting.max(self.open.len() as u64),
                }
            }
            Payload::End(_) => {
                self.open.pop();
            }
            Payload::CodeSectionEntry(body) => {
                let bytes = body.range().len() as u64;
                shape.functions += 1;
                shape.code_bytes += bytes;
                shape.function_bytes = shape.function_bytes.max(bytes);
            }
            // Known before the bodies are read.
            Payload::FunctionSection(section) if u64::from(section.count()) > bounds::FUNCTIONS => {
                shape.functions = shape.functions.max(u64::from(section.count()));
            }
            Payload::InstanceSection(section) => shape.instances += u64::from(section.count()),
            Payload::ComponentInstanceSection(section) => shape.instances += u64::from(section.count()),
            Payload::TypeSection(section) => shape.declarations += u64::from(section.count()),
            Payload::CoreTypeSection(section) => shape.declarations += u64::from(section.count()),
            Payload::ComponentTypeSection(section) => shape.declarations += u64::from(section.count()),
            Payload::ComponentCanonicalSection(section) => shape.declarations += u64::from(section.count()),
            Payload::ComponentAliasSection(section) => shape.declarations += u64::from(section.count()),
            Payload::ComponentImportSection(section) if top => {
                shape.names += u64::from(section.count());
                for import in section.clone().into_iter().take(NAMES_READ) {
                    shape.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if top => {
                shape.names += u64::from(section.count());
                for export in section.clone().into_iter().take(NAMES_READ) {
                    shape.exports.push(export?.name.name.to_owned());
                }
            }
            Payload::CustomSection(section) if section.name() == identity::SECTION => {
                let kept = section.data()[..section.data().len().min(identity::MOST_BYTES + 1)].to_vec();
                if top {
                    shape.identity = Some(kept);
                } else {
                    self.nested_identity = Some(kept);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Names of one section that are read; more are beyond the bound anyway.
const NAMES_READ: usize = bounds::NAMES as usize;

impl Shape {
    /// Adds a finding for each bound that is passed; whether there was one.
    fn report(&self, findings: &mut Findings) -> bool {
        let counts = [
            (self.modules, bounds::CORE_MODULES, "core modules"),
            (self.instances, bounds::INSTANCES, "instances"),
            (self.functions, bounds::FUNCTIONS, "functions"),
            (self.function_bytes, bounds::FUNCTION_BYTES, "bytes of code in one function"),
            (self.code_bytes, bounds::CODE_BYTES, "bytes of code"),
            (self.nesting, bounds::NESTING, "components within each other"),
            (self.declarations, bounds::DECLARATIONS, "types and aliases"),
            (self.names, bounds::NAMES, "imports and exports"),
        ];
        let mut beyond = false;
        for (count, most, what) in counts {
            if count > most {
                beyond = true;
                findings
                    .add(code::SIZE, format!("the component has {count} {what} or more; at most {most} are accepted"));
            }
        }
        beyond
    }
}
