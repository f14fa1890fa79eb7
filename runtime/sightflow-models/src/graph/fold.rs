//! Steps that depend on constants only run once, when the model is loaded.

use burn_flex::{Flex, FlexDevice};

use super::Graph;
use crate::ModelError;
use crate::error::catching;
use crate::ops::Args;
use crate::value::Value;

impl Graph {
    /// Replaces every step whose inputs are all constants by its results.
    pub(super) fn fold(&mut self) -> Result<(), ModelError> {
        let mut kept = Vec::with_capacity(self.steps.len());
        for step in std::mem::take(&mut self.steps) {
            let constant = |id: &Option<usize>| id.is_none_or(|id| self.constants.contains_key(&id));
            if step.inputs.is_empty() || !step.inputs.iter().all(constant) {
                kept.push(step);
                continue;
            }
            let device = FlexDevice;
            let load = |id: &Option<usize>| id.map(|id| Value::<Flex>::from_constant(&self.constants[&id], &device));
            let args = Args::new(step.inputs.iter().map(load).collect(), step.outputs.len(), &device);
            let results =
                catching(|| step.op.run(args)?.into_iter().map(Value::into_host).collect::<Result<Vec<_>, _>>())
                    .map_err(|reason| ModelError::Malformed(format!("{}: {reason}", step.name)))?;
            self.constants.extend(step.outputs.iter().copied().zip(results));
        }
        self.steps = kept;
        Ok(())
    }
}
