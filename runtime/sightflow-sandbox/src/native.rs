//! Machine code that this installation made.

use wasmtime::Engine;
use wasmtime::component::Component;

use crate::host::failure::chain;

/// wasmtime's form of a compiled component. A value exists only for code that comes from this program's own compiler: made
/// in this process, by a child of it that runs the same program, or read from the cache under its MAC.
pub(crate) struct Native(Vec<u8>);

impl Native {
    /// Compiles a component on this thread.
    pub(crate) fn compile(engine: &Engine, component: &[u8]) -> Result<Self, String> {
        engine.precompile_component(component).map(Self).map_err(|error| chain(&error))
    }

    /// What a child wrote that the caller started with the compiler's own program.
    pub(crate) fn from_child(code: Vec<u8>) -> Self {
        Self(code)
    }

    /// What the cache read and whose MAC it checked.
    pub(crate) fn from_cache(code: Vec<u8>) -> Self {
        Self(code)
    }

    /// The bytes, to be sent or stored.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Makes it executable in this process.
    ///
    /// # Errors
    /// The engine says why it does not take it: made for another engine, or larger than a slot of the pool.
    pub(crate) fn load(&self, engine: &Engine) -> Result<Component, String> {
        // SAFETY: `deserialize` demands bytes that wasmtime's compiler produced and nobody changed. Each constructor above
        // stands for a way on which nobody else could write: this process's memory, the pipe of a child that was started
        // from our own executable and read nothing but the component, and a file under a MAC whose key only this user
        // can read, of which `self` is a private copy.
        unsafe { Component::deserialize(engine, &self.0) }.map_err(|error| chain(&error))
    }
}
