//! Links one package: exactly what it imports, from the allow-list, and nothing else.

use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, Linker};

use super::bindings::sightflow::block::{image_ops, images, log};
use super::exports::Exports;
use super::failure::differs;
use super::state::CallState;
use super::wasi;
use crate::LoadError;
use crate::finding::code;

/// An interface of blocks that packages may import, in one version.
pub(crate) struct Offered {
    /// Its name without the version.
    pub(crate) name: &'static str,
    /// Its version without the last number: what is added within one takes nothing away.
    pub(crate) version: &'static str,
    add: fn(&mut Linker<CallState>) -> wasmtime::Result<()>,
}

/// Every released version of every interface, side by side: a component finds the one that it was built for.
pub(crate) const OFFERED: &[Offered] = &[
    Offered {
        name: "sightflow:block/images",
        version: "0.1",
        add: |linker| images::add_to_linker::<_, HasSelf<CallState>>(linker, |state| state),
    },
    Offered {
        name: "sightflow:block/image-ops",
        version: "0.1",
        add: |linker| image_ops::add_to_linker::<_, HasSelf<CallState>>(linker, |state| state),
    },
    Offered {
        name: "sightflow:block/log",
        version: "0.1",
        add: |linker| log::add_to_linker::<_, HasSelf<CallState>>(linker, |state| state),
    },
    #[cfg(test)]
    Offered { name: "sightflow:block/log", version: "0.2", add: super::next::add_to_linker },
];

/// What this host has for an import, for example `sightflow:block/log@0.1.3`.
pub(crate) fn offered(import: &str) -> Option<&'static Offered> {
    let (name, version) = import.split_once('@')?;
    OFFERED.iter().find(|offered| offered.name == name && is_of(version, offered.version))
}

/// Whether `0.1.3` is a version of `0.1`.
pub(crate) fn is_of(version: &str, line: &str) -> bool {
    version.strip_prefix(line).is_some_and(|patch| patch.starts_with('.'))
}

/// Resolves every import of `component`. An import that is not on the list is an error that names it.
pub(crate) fn link(engine: &Engine, component: &Component) -> Result<Exports, LoadError> {
    let mut linker: Linker<CallState> = Linker::new(engine);
    let reaches_out = reaches_out(component.component_type().imports(engine).map(|(import, _)| import));
    if reaches_out {
        // All of it: what it gives is decided by the call's context, and an import that it does not have is said to miss.
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(|error| differs(&error))?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).map_err(|error| differs(&error))?;
    }
    for (import, item) in component.component_type().imports(engine) {
        // The screen said so before, in more words.
        let refused = || LoadError::refused(code::IMPORT, format!("`{import}` is not given to blocks"));
        let (interface, version) = import.split_once('@').ok_or_else(refused)?;
        let ComponentItem::ComponentInstance(instance) = item.ty else { return Err(refused()) };
        let linked = match interface {
            _ if let Some(offered) = offered(import) => (offered.add)(&mut linker),
            _ if reaches_out && version.starts_with("0.2.") && interface.starts_with("wasi:") => Ok(()),
            _ if version.starts_with("0.2.") && wasi_package(interface) => {
                link_wasi(engine, &mut linker, import, interface, &instance)
            }
            _ => return Err(refused()),
        };
        linked.map_err(|error| differs(&error))?;
    }
    Exports::new(linker.instantiate_pre(component).map_err(|error| differs(&error))?, reaches_out)
}

/// Whether a package with these imports is one that reaches out: then it has another WASI.
fn reaches_out<'i>(mut imports: impl Iterator<Item = &'i str>) -> bool {
    imports.any(|import| import.starts_with(HTTP))
}

/// What begins the names of the interfaces that packages import to reach out.
pub(crate) const HTTP: &str = "wasi:http/";

fn wasi_package(interface: &str) -> bool {
    interface.split_once('/').is_some_and(|(package, _)| wasi::INTERFACES.contains(&package))
}

fn link_wasi(
    engine: &Engine,
    linker: &mut Linker<CallState>,
    import: &str,
    interface: &str,
    instance: &wasmtime::component::types::ComponentInstance,
) -> wasmtime::Result<()> {
    let mut target = linker.instance(import)?;
    for (name, item) in instance.exports(engine) {
        match item.ty {
            ComponentItem::Resource(_) => wasi::resource(&mut target, name)?,
            ComponentItem::ComponentFunc(_) => wasi::function(&mut target, interface, name)?,
            // Types need no definition; anything else is not part of WASI and fails to link with its name.
            _ => {}
        }
    }
    Ok(())
}
