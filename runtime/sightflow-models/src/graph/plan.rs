//! What a run needs, by arithmetic alone: nothing is allocated that was not counted before.
//!
//! No shape depends on the values of an image, so the plan of a batch is exact in what there is, and an upper bound in
//! what lives at once: views and results that are made in place count as copies.

use burn_flex::{Flex, FlexDevice};

use super::{Graph, Step};
use crate::ModelError;
use crate::error::catching;
use crate::ops::{Args, Inputs, Known};
use crate::value::Value;

/// The most that a graph may ask for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes alive at once.
    pub(crate) bytes: u64,
    /// Multiply-adds, or operations of that size.
    pub(crate) work: u64,
}

/// What a run needs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// Bytes alive at once at most, without the weights.
    pub(crate) peak: u64,
    /// Shapes of the graph's outputs.
    pub(crate) outputs: Vec<Vec<usize>>,
}

impl Graph {
    /// Goes through the steps for an input of this shape.
    ///
    /// # Errors
    /// [`ModelError::TooLarge`] for the first step that exceeds a limit, [`ModelError::Unrunnable`] for the first that
    /// cannot take its inputs.
    pub(crate) fn plan(&self, image: &[usize], limits: Limits) -> Result<Plan, ModelError> {
        let mut ledger = Ledger { limits, alive: 0, peak: 0, work: 0 };
        let mut values: Vec<Option<Known>> = vec![None; self.values];
        let mut uses = self.uses();
        let image = Known::Float(image.to_vec());
        ledger.make("the image", std::slice::from_ref(&image), 0)?;
        values[self.input] = Some(image);
        for step in &self.steps {
            let inputs: Vec<_> = step.inputs.iter().map(|id| id.and_then(|id| self.known(id, &values))).collect();
            let (results, work) = step.foresee(&inputs, &ledger)?;
            // A computed input may have to be copied into another order.
            let computed = step.inputs.iter().flatten().filter_map(|id| values[*id].as_ref());
            let copies = computed.filter(|known| matches!(known, Known::Float(_))).map(Known::bytes);
            ledger.make(&step.name, &results, copies.fold(0, u64::saturating_add))?;
            ledger.work(&step.name, work)?;
            for id in step.inputs.iter().flatten() {
                uses[*id] -= 1;
                if uses[*id] == 0 {
                    ledger.alive -= values[*id].take().map_or(0, |known| known.bytes());
                }
            }
            for (id, result) in step.outputs.iter().zip(results) {
                if uses[*id] == 0 {
                    ledger.alive -= result.bytes();
                } else {
                    values[*id] = Some(result);
                }
            }
        }
        // Outputs are brought into the order of their dimensions for the reader.
        let outputs: Vec<_> = self.outputs.iter().filter_map(|(_, id)| self.known(*id, &values)).collect();
        ledger.make("the outputs", &outputs, 0)?;
        Ok(Plan { peak: ledger.peak, outputs: outputs.iter().map(|known| known.shape().to_vec()).collect() })
    }

    fn known(&self, id: usize, values: &[Option<Known>]) -> Option<Known> {
        match self.constants.get(&id) {
            Some(constant) => Some(Known::of_constant(constant)),
            None => values[id].clone(),
        }
    }
}

impl Step {
    /// The results, as far as they can be known, and the work that it takes to make them.
    ///
    /// # Errors
    /// As [`Graph::plan`].
    pub(super) fn foresee(&self, inputs: &[Option<Known>], ledger: &Ledger) -> Result<(Vec<Known>, u64), ModelError> {
        let unrunnable = |reason| ModelError::Unrunnable(format!("{}: {reason}", self.name));
        let view = Inputs { values: inputs, outputs: self.outputs.len() };
        let shapes = catching(|| self.op.shapes(&view)).map_err(unrunnable)?;
        let work = self.op.work(&view, &shapes);
        if let Some(dimensions) = self.op.of_dimensions(&view) {
            return Ok((vec![Known::Host(dimensions)], work));
        }
        let results: Vec<_> = shapes.into_iter().map(Known::Float).collect();
        // What is on the host is computed at once, because later shapes may depend on it; but not before it was counted.
        if inputs.iter().flatten().any(|known| matches!(known, Known::Float(_))) {
            return Ok((results, work));
        }
        ledger.fits(&self.name, results.iter().map(|known| known.bytes().saturating_mul(2)))?;
        ledger.clone().work(&self.name, work)?;
        let device = FlexDevice;
        let load = |known: &Option<Known>| match known {
            Some(Known::Host(tensor)) => Some(Value::<Flex>::Host(tensor.clone())),
            Some(Known::Float(_)) | None => None,
        };
        let args = Args::new(inputs.iter().map(load).collect(), self.outputs.len(), &device);
        let values = catching(|| self.op.run(args)).map_err(unrunnable)?;
        Ok((values.iter().map(Known::of_value).collect(), work))
    }
}

/// Counts what a run takes.
#[derive(Debug, Clone)]
pub(super) struct Ledger {
    pub(super) limits: Limits,
    pub(super) alive: u64,
    pub(super) peak: u64,
    pub(super) work: u64,
}

impl Ledger {
    /// New values, and bytes that are needed only while they are made.
    pub(super) fn make(&mut self, node: &str, values: &[Known], passing: u64) -> Result<(), ModelError> {
        self.fits(node, values.iter().map(Known::bytes).chain([passing]))?;
        self.alive += values.iter().map(Known::bytes).sum::<u64>();
        self.peak = self.peak.max(self.alive + passing);
        Ok(())
    }

    pub(super) fn work(&mut self, node: &str, work: u64) -> Result<(), ModelError> {
        self.work = self.work.saturating_add(work);
        let most = self.limits.work;
        match self.work <= most {
            true => Ok(()),
            false => {
                Err(ModelError::TooLarge { node: node.to_owned(), needed: self.work, most, unit: "multiply-adds" })
            }
        }
    }

    /// Whether there is room for more bytes.
    pub(super) fn fits(&self, node: &str, bytes: impl Iterator<Item = u64>) -> Result<(), ModelError> {
        let needed = bytes.fold(self.alive, u64::saturating_add);
        let most = self.limits.bytes;
        match needed <= most {
            true => Ok(()),
            false => Err(ModelError::TooLarge { node: node.to_owned(), needed, most, unit: "bytes" }),
        }
    }
}
