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

/// Resolves every import of `component`. An import that is not on the list is an error that names it.
pub(crate) fn link(engine: &Engine, component: &Component) -> Result<Exports, LoadError> {
    let mut linker: Linker<CallState> = Linker::new(engine);
    for (import, item) in component.component_type().imports(engine) {
        // The screen said so before, in more words.
        let refused = || LoadError::refused(code::IMPORT, format!("`{import}` is not given to blocks"));
        let (interface, version) = import.split_once('@').ok_or_else(refused)?;
        let ComponentItem::ComponentInstance(instance) = item.ty else { return Err(refused()) };
        let linked = match interface {
            "sightflow:block/images" if version.starts_with("0.1.") => {
                images::add_to_linker::<_, HasSelf<CallState>>(&mut linker, |state| state)
            }
            "sightflow:block/image-ops" if version.starts_with("0.1.") => {
                image_ops::add_to_linker::<_, HasSelf<CallState>>(&mut linker, |state| state)
            }
            "sightflow:block/log" if version.starts_with("0.1.") => {
                log::add_to_linker::<_, HasSelf<CallState>>(&mut linker, |state| state)
            }
            _ if version.starts_with("0.2.") && wasi_package(interface) => {
                link_wasi(engine, &mut linker, import, interface, &instance)
            }
            _ => return Err(refused()),
        };
        linked.map_err(|error| differs(&error))?;
    }
    Exports::new(linker.instantiate_pre(component).map_err(|error| differs(&error))?)
}

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
