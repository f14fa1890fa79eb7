//! What a package exports: `blocks`, and what it may besides.

use std::sync::Arc;

use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Instance, InstancePre, Lift, Lower};
use wasmtime::{AsContextMut, Store};

use super::bindings::exports::sightflow::block::blocks::{BlockError, Payload};
use super::bindings::{BlockPackage, BlockPackageIndices};
use super::failure::differs;
use super::state::CallState;
use super::waiting::wait;
use crate::LoadError;
use crate::finding::code;

/// A linked package, ready to be instantiated.
pub(crate) struct Exports {
    pre: InstancePre<CallState>,
    blocks: BlockPackageIndices,
    catalog: ComponentExportIndex,
    run: ComponentExportIndex,
    check: Option<ComponentExportIndex>,
    run_many: Option<ComponentExportIndex>,
    /// It may wait for others in a call.
    reaches_out: bool,
}

/// An instance of a package.
pub(crate) struct Exported<'a> {
    exports: &'a Exports,
    instance: Instance,
    /// Its `blocks`.
    package: BlockPackage,
}

/// An answer of one call: a payload, or what the block says about its failure.
pub(crate) type WireAnswer = Result<Payload, BlockError>;

impl Exports {
    /// Finds the exports, and sees that their types are those of the interface.
    pub(crate) fn new(pre: InstancePre<CallState>, reaches_out: bool) -> Result<Self, LoadError> {
        let blocks = BlockPackageIndices::new(&pre).map_err(|error| differs(&error))?;
        let find = |interface: &str, function: &str| {
            let interface = format!("sightflow:block/{interface}@0.1.0");
            let instance = pre.component().get_export_index(None, &interface)?;
            pre.component().get_export_index(Some(&instance), function)
        };
        let (check, run_many) = (find("checks", "check"), find("batches", "run-many"));
        let required = |function| {
            find("blocks", function)
                .ok_or_else(|| LoadError::refused(code::WIT, format!("the package does not export `{function}`")))
        };
        let (catalog, run) = (required("catalog")?, required("run")?);
        Ok(Self { catalog, run, check, run_many, pre, blocks, reaches_out })
    }

    /// Whether it may reach out.
    pub(crate) fn reaches_out(&self) -> bool {
        self.reaches_out
    }

    /// Whether it has `checks`.
    pub(crate) fn checks(&self) -> bool {
        self.check.is_some()
    }

    /// Whether it has `batches`.
    pub(crate) fn batches(&self) -> bool {
        self.run_many.is_some()
    }

    pub(crate) fn instantiate(&self, store: &mut Store<CallState>) -> wasmtime::Result<Exported<'_>> {
        let instance = if self.reaches_out {
            let clock = Arc::clone(&store.data().clock);
            wait(&clock, self.pre.instantiate_async(&mut *store))?
        } else {
            self.pre.instantiate(&mut *store)?
        };
        let package = self.blocks.load(&mut *store, &instance)?;
        Ok(Exported { exports: self, instance, package })
    }
}

impl Exported<'_> {
    /// Sees that what the package may export has the interface's types.
    pub(crate) fn verify(&self, store: &mut Store<CallState>) -> wasmtime::Result<()> {
        if let Some(index) = self.exports.check {
            self.instance.get_typed_func::<(&str, &str, &str), (String,)>(&mut *store, index)?;
        }
        if let Some(index) = self.exports.run_many {
            self.instance.get_typed_func::<(&str, &str, &[Payload]), (Vec<WireAnswer>,)>(&mut *store, index)?;
        }
        Ok(())
    }

    /// Calls `blocks.catalog`.
    pub(crate) fn catalog(&self, store: &mut Store<CallState>) -> wasmtime::Result<String> {
        if !self.exports.reaches_out {
            return self.package.sightflow_block_blocks().call_catalog(store);
        }
        let (catalog,): (String,) = self.call(store, self.exports.catalog, ())?;
        Ok(catalog)
    }

    /// Calls `blocks.run`.
    pub(crate) fn run(
        &self,
        store: &mut Store<CallState>,
        block: &str,
        config: &str,
        inputs: &Payload,
    ) -> wasmtime::Result<WireAnswer> {
        if !self.exports.reaches_out {
            return self.package.sightflow_block_blocks().call_run(store, block, config, inputs);
        }
        let (answer,): (WireAnswer,) = self.call(store, self.exports.run, (block, config, inputs))?;
        Ok(answer)
    }

    /// Calls `checks.check`, if the package has it.
    pub(crate) fn check(
        &self,
        store: &mut Store<CallState>,
        block: &str,
        config: &str,
        context: &str,
    ) -> wasmtime::Result<Option<String>> {
        let Some(index) = self.exports.check else { return Ok(None) };
        let (answer,): (String,) = self.call(store, index, (block, config, context))?;
        Ok(Some(answer))
    }

    /// Calls `batches.run-many`, if the package has it.
    pub(crate) fn run_many(
        &self,
        store: &mut Store<CallState>,
        block: &str,
        config: &str,
        items: &[Payload],
    ) -> wasmtime::Result<Option<Vec<WireAnswer>>> {
        let Some(index) = self.exports.run_many else { return Ok(None) };
        let (answers,): (Vec<WireAnswer>,) = self.call(store, index, (block, config, items))?;
        Ok(Some(answers))
    }

    fn call<P, R>(&self, store: &mut Store<CallState>, index: ComponentExportIndex, arguments: P) -> wasmtime::Result<R>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let function = self.instance.get_typed_func::<P, R>(store.as_context_mut(), index)?;
        if !self.exports.reaches_out {
            return function.call(store.as_context_mut(), arguments);
        }
        let clock = Arc::clone(&store.data().clock);
        wait(&clock, function.call_async(store.as_context_mut(), arguments))
    }
}
