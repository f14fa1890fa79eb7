//! Packages whose core module is written by hand: the test guest's component with another module in place of its own, so
//! that they follow the interface by themselves.

use std::fmt::Write as _;

use wasmparser::{Encoding, ExternalKind, Parser, Payload, TypeRef, ValType};

use crate::guests::{component, wat};

/// What a crafted guest does; each field is WAT.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crafted {
    /// Beside the functions: globals, tables, memories, more functions. The memory 0 has one page, and its first 2 KiB
    /// hold the answers.
    pub(crate) module: &'static str,
    /// Body of `run`; what it leaves out answers `{}`.
    pub(crate) run: &'static str,
    /// Body of `catalog`.
    pub(crate) catalog: &'static str,
    /// Body of `cabi_realloc`, of its four parameters.
    pub(crate) realloc: &'static str,
    /// Body of the function that is called after the answer of `run` was read.
    pub(crate) post: &'static str,
    /// The same of `catalog`.
    pub(crate) catalog_post: &'static str,
    /// Declaration of the first memory.
    pub(crate) memory: &'static str,
}

/// Answers with an empty document.
const ANSWER: &str = "i32.const 1024";

impl Default for Crafted {
    fn default() -> Self {
        Self {
            module: "",
            run: ANSWER,
            catalog: "i32.const 512",
            // A bump allocator that grows the memory by what is asked for.
            realloc: "(local.set 4 (i32.and (i32.add (global.get $top) (i32.const 15)) (i32.const -16)))
                (global.set $top (i32.add (local.get 4) (local.get 3)))
                (block (br_if 0 (i32.le_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
                  (drop (memory.grow (i32.add (i32.shr_u (local.get 3) (i32.const 16)) (i32.const 1)))))
                (local.get 4)",
            post: "",
            catalog_post: "",
            memory: "1",
        }
    }
}

impl Crafted {
    /// The component.
    pub(crate) fn build(&self) -> Vec<u8> {
        with_module(&wat(&self.text()))
    }

    fn text(&self) -> String {
        let manifest = r#"[{"name":"x","title":"X","description":"Crafted.","category":"logic","inputs":[],"outputs":[],"config":{"type":"object","additionalProperties":false}}]"#;
        let word = |value: usize| {
            u32::try_from(value).expect("small").to_le_bytes().map(|byte| format!("\\{byte:02x}")).concat()
        };
        let mut text = format!(
            r#"(module (memory (export "memory") {}) (global $top (mut i32) (i32.const 2048)) {}
               (data (i32.const 512) "{}{}") (data (i32.const 528) "{}")
               (data (i32.const 1024) "\00\00\00\00{}{}") (data (i32.const 1200) "{{}}")
               (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local i32) {})"#,
            self.memory,
            self.module,
            word(528),
            word(manifest.len()),
            manifest.replace('"', "\\\""),
            word(1200),
            word(2),
            self.realloc,
        );
        for (name, parameters, results) in exported_functions() {
            let body = match name.as_str() {
                "cabi_realloc" => continue,
                name if name.starts_with("cabi_post_") && name.ends_with("#run") => self.post,
                name if name.starts_with("cabi_post_") => self.catalog_post,
                name if name.ends_with("#run") => self.run,
                name if name.ends_with("#catalog") => self.catalog,
                "_initialize" => "",
                _ => "unreachable",
            };
            let _ = write!(
                text,
                "(func (export \"{name}\") {} {} {body})",
                list("param", &parameters),
                list("result", &results)
            );
        }
        text.push(')');
        text
    }
}

fn list(kind: &str, types: &[ValType]) -> String {
    types.iter().map(|ty| format!("({kind} {ty})")).collect()
}

/// Where the guest's own module lies: the largest.
fn own_module() -> std::ops::Range<usize> {
    let mut own = 0..0;
    let mut open = 0;
    for payload in Parser::new(0).parse_all(component()) {
        match payload.expect("a component") {
            Payload::Version { .. } => open += 1,
            Payload::End(_) => open -= 1,
            Payload::ModuleSection { unchecked_range, .. } if open == 1 && unchecked_range.len() > own.len() => {
                own = unchecked_range;
            }
            _ => {}
        }
    }
    own
}

/// Functions that the guest's own module exports, so that one in its place has to.
fn exported_functions() -> Vec<(String, Vec<ValType>, Vec<ValType>)> {
    let bytes = &component()[own_module()];
    let (mut types, mut functions, mut exports) = (Vec::new(), Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.expect("a module") {
            Payload::Version { encoding, .. } => assert_eq!(encoding, Encoding::Module),
            Payload::TypeSection(section) => {
                types.extend(section.into_iter_err_on_gc_types().map(|ty| ty.expect("a type")));
            }
            Payload::ImportSection(section) => {
                functions.extend(section.into_imports().filter_map(|import| match import.expect("an import").ty {
                    TypeRef::Func(ty) => Some(ty),
                    _ => None,
                }));
            }
            Payload::FunctionSection(section) => {
                functions.extend(section.into_iter().map(|ty| ty.expect("a function")));
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export.expect("an export");
                    if export.kind == ExternalKind::Func {
                        exports.push((export.name.to_owned(), export.index));
                    }
                }
            }
            _ => {}
        }
    }
    let signature = |(name, index): (String, u32)| {
        let ty = &types[functions[index as usize] as usize];
        (name, ty.params().to_vec(), ty.results().to_vec())
    };
    exports.into_iter().map(signature).collect()
}

/// The test guest's component with this core module in place of its own.
pub(crate) fn with_module(module: &[u8]) -> Vec<u8> {
    let (template, own) = (component(), own_module());
    let mut length = leb128(own.len());
    // Encoders may pad a length to five bytes.
    if !template[..own.start].ends_with(&length) {
        length = padded(own.len());
    }
    assert!(template[..own.start].ends_with(&length));
    let before = &template[..own.start - length.len()];
    [before, &leb128(module.len()), module, &template[own.end..]].concat()
}

/// The test guest's component with the sections of another behind its own.
pub(crate) fn with_sections(text: &str) -> Vec<u8> {
    [component(), &wat(text)[8..]].concat()
}

fn leb128(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

fn padded(value: usize) -> Vec<u8> {
    (0..5).map(|at| ((value >> (7 * at)) & 0x7f) as u8 | if at < 4 { 0x80 } else { 0 }).collect()
}
