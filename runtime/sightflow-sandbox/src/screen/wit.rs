//! Compares the interfaces of a component with those of this host, and says what differs in words.

use std::fmt;
use std::sync::LazyLock;

use wasmparser::component_types::{ComponentAnyTypeId, ComponentEntityType, ComponentInstanceType, ComponentItem};
use wasmparser::types::{Types, TypesRef};
use wasmparser::{Validator, WasmFeatures};

use super::describe::{Interface, Item, Resources, add_resources};
use crate::finding::{Findings, code};
use crate::host::linker::is_of;

/// The block interface 0.1, encoded as a component type by the build script.
pub(crate) const ENCODED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/interface_v0_1.wasm"));

/// Each version that this host has, read.
static HOST: LazyLock<Vec<(&str, Types)>> = LazyLock::new(|| {
    let read = |encoded: &[u8]| {
        let mut validator = Validator::new_with_features(WasmFeatures::all());
        // Our own build made it, and a test reads it.
        validator.validate_all(encoded).expect("the encoded block interface is valid")
    };
    Vec::from([
        ("0.1", read(ENCODED)),
        #[cfg(test)]
        ("0.2", read(include_bytes!(concat!(env!("OUT_DIR"), "/interface_v0_2.wasm")))),
    ])
});

/// Adds what differs between the component's interfaces of blocks and this host's.
pub(super) fn compare(types: TypesRef<'_>, imports: &[String], exports: &[String], findings: &mut Findings) {
    let imports: Vec<_> = instances(types, imports, |name| types.component_item_for_import(name));
    let exports: Vec<_> = instances(types, exports, |name| types.component_item_for_export(name));
    let mut resources = Resources::new();
    for (_, instance) in imports.iter().chain(&exports) {
        add_resources(instance, &mut resources);
    }
    for (name, instance) in &imports {
        with_ours(name, |ours, version| {
            let theirs = Interface::new(types, instance, &resources);
            Sides { name, version, ours, theirs: &theirs }.imported(findings);
        });
    }
    for (name, instance) in &exports {
        with_ours(name, |ours, version| {
            let theirs = Interface::new(types, instance, &resources);
            Sides { name, version, ours, theirs: &theirs }.exported(findings);
        });
    }
}

fn instances<'a, 'n>(
    types: TypesRef<'a>,
    names: &'n [String],
    item: impl Fn(&str) -> Option<&'a ComponentItem>,
) -> Vec<(&'n str, &'a ComponentInstanceType)> {
    let instance = |name: &str| match item(name)?.ty {
        ComponentEntityType::Instance(id) => types.get(id),
        _ => None,
    };
    names.iter().filter_map(|name| Some((name.as_str(), instance(name)?))).collect()
}

/// Does something with this host's interface of the same name and version, if there is one.
fn with_ours(name: &str, work: impl FnOnce(&Interface<'_>, &str)) {
    let Some((name, version)) = name.split_once('@') else { return };
    let Some((_, types)) = HOST.iter().find(|(line, _)| is_of(version, line)) else { return };
    let types = types.as_ref();
    let component = |interface: &str| match types.component_item_for_export(interface)?.ty {
        ComponentEntityType::Type { created: ComponentAnyTypeId::Component(id), .. } => types.get(id),
        _ => None,
    };
    let Some(component) = name.strip_prefix("sightflow:block/").and_then(component) else { return };
    let instance = |item: &ComponentItem| match item.ty {
        ComponentEntityType::Instance(id) => types.get(id),
        _ => None,
    };
    let mut resources = Resources::new();
    for instance in component.imports.values().chain(component.exports.values()).filter_map(instance) {
        add_resources(instance, &mut resources);
    }
    let own = component.exports.iter().find_map(|(name, item)| Some((name.split_once('@')?.1, instance(item)?)));
    if let Some((version, instance)) = own {
        work(&Interface::new(types, instance, &resources), version);
    }
}

/// The same interface, as the component has it and as this host has it.
struct Sides<'a> {
    /// As the component calls it.
    name: &'a str,
    /// This host's version.
    version: &'a str,
    ours: &'a Interface<'a>,
    theirs: &'a Interface<'a>,
}

impl Sides<'_> {
    /// A component imports an interface: this host has to have everything that it asks for.
    fn imported(&self, findings: &mut Findings) {
        let mut explained = false;
        for item in self.theirs.items() {
            let Some(wanted) = self.theirs.item(item) else { continue };
            match self.ours.item(item) {
                None => self.report(
                    findings,
                    format_args!("the component imports `{item}: {}`, which this host does not have", wanted.named),
                ),
                Some(had) => self.same(item, &wanted, &had, &mut explained, findings),
            }
        }
    }

    /// A component exports an interface: it has to have everything that this host calls.
    fn exported(&self, findings: &mut Findings) {
        let mut explained = false;
        for item in self.ours.items() {
            let Some(wanted) = self.ours.item(item) else { continue };
            match self.theirs.item(item) {
                None if self.ours.is_function(item) => self.report(
                    findings,
                    format_args!("the component does not export `{item}: {}`, which this host calls", wanted.named),
                ),
                // A type that nothing uses may be left out; one that is used shows in the functions.
                None => {}
                Some(has) => self.same(item, &has, &wanted, &mut explained, findings),
            }
        }
    }

    /// Reports a difference; not that of a function whose types were reported already.
    fn same(&self, item: &str, theirs: &Item, ours: &Item, explained: &mut bool, findings: &mut Findings) {
        if theirs.spelled == ours.spelled || (*explained && theirs.named == ours.named) {
            return;
        }
        *explained |= !self.ours.is_function(item);
        let (theirs, ours) = match theirs.named == ours.named {
            true => (&theirs.spelled, &ours.spelled),
            false => (&theirs.named, &ours.named),
        };
        self.report(findings, format_args!("`{item}` is `{theirs}` in the component and `{ours}` in this host"));
    }

    fn report(&self, findings: &mut Findings, what: fmt::Arguments<'_>) {
        findings.add(code::WIT, format!("`{}` (this host has {}): {what}", self.name, self.version));
    }
}
