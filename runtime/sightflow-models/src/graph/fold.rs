//! Steps that depend on constants only run once, when the model is loaded.

use burn_flex::{Flex, FlexDevice};

use super::plan::{Ledger, Limits};
use super::{Graph, Step};
use crate::ModelError;
use crate::error::catching;
use crate::ops::{Args, Known};
use crate::value::{HostTensor, Value};

/// Results of constant steps may take this much beside twice the bytes of the file's own constants.
const SLACK: u64 = 64 << 20;
/// Work of all constant steps together: some seconds.
const MOST_WORK: u64 = 20_000_000_000;

impl Graph {
    /// Replaces every step whose inputs are all constants by its results.
    ///
    /// # Errors
    /// [`ModelError::TooLarge`] if the constants multiply, [`ModelError::Unrunnable`] if a step cannot take its inputs.
    pub(super) fn fold(&mut self) -> Result<(), ModelError> {
        self.settle_resizes();
        let given: u64 = self.constants.values().map(|constant| Known::of_constant(constant).bytes()).sum();
        let limits = Limits { bytes: SLACK.saturating_add(given.saturating_mul(2)), work: MOST_WORK };
        // Results stay alive until the whole graph is read.
        let mut ledger = Ledger { limits, alive: 0, peak: 0, work: 0 };
        let mut kept = Vec::with_capacity(self.steps.len());
        for step in std::mem::take(&mut self.steps) {
            let constant = |id: &Option<usize>| id.is_none_or(|id| self.constants.contains_key(&id));
            if step.inputs.is_empty() || !step.inputs.iter().all(constant) {
                kept.push(step);
                continue;
            }
            let known = |id: &Option<usize>| id.map(|id| Known::of_constant(&self.constants[&id]));
            let inputs: Vec<_> = step.inputs.iter().map(known).collect();
            let (results, work) = step.foresee(&inputs, &ledger)?;
            ledger.make(&step.name, &results, 0)?;
            ledger.work(&step.name, work)?;
            let whole = |known: Known| match known {
                Known::Host(tensor) => Some(tensor),
                Known::Float(_) => None,
            };
            let results = match results.into_iter().map(whole).collect() {
                Some(results) => results,
                None => self.compute(&step)?,
            };
            self.constants.extend(step.outputs.iter().copied().zip(results));
        }
        self.steps = kept;
        Ok(())
    }

    fn compute(&self, step: &Step) -> Result<Vec<HostTensor>, ModelError> {
        let device = FlexDevice;
        let load = |id: &Option<usize>| id.map(|id| Value::<Flex>::from_constant(&self.constants[&id], &device));
        let args = Args::new(step.inputs.iter().map(load).collect(), step.outputs.len(), &device);
        catching(|| step.op.run(args)?.into_iter().map(Value::into_host).collect())
            .map_err(|reason: String| ModelError::Unrunnable(format!("{}: {reason}", step.name)))
    }
}
