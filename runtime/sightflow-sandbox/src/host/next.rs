//! How a next version of the interface will stand beside this one: `tests/wit/v0_2` changes the log and keeps the rest.
//! `crate::versions` tests it.
//!
//! An interface that changes gets bindings and an implementation of its own and a line in `linker::OFFERED`; components
//! that were built before keep theirs.

use wasmtime::component::{HasSelf, Linker};

use super::bindings::sightflow::block::log as first;
use super::state::CallState;

mod bindings {
    wasmtime::component::bindgen!({
        path: ["../../wit/v0_1", "tests/wit/v0_2"],
        world: "sightflow:block/next-package@0.2.0",
        imports: { default: trappable },
        with: {
            "sightflow:block/images@0.1.0": crate::host::bindings::sightflow::block::images,
            "sightflow:block/image-ops@0.1.0": crate::host::bindings::sightflow::block::image_ops,
            "sightflow:block/log@0.1.0": crate::host::bindings::sightflow::block::log,
        },
    });
}

use bindings::sightflow::block0_2_0::log as second;

pub(super) fn add_to_linker(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    second::add_to_linker::<_, HasSelf<CallState>>(linker, |state| state)
}

impl second::Host for CallState {
    fn log(&mut self, level: second::Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            second::Level::Debug => first::Level::Debug,
            second::Level::Info => first::Level::Info,
            second::Level::Warn => first::Level::Warn,
            second::Level::Error => first::Level::Error,
        };
        first::Host::log(self, level, message)
    }

    fn enabled(&mut self, level: second::Level) -> wasmtime::Result<bool> {
        Ok(level != second::Level::Debug)
    }
}
