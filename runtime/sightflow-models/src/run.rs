//! A graph made ready for a device, and running it.

use burn_backend::tensor::{Device, FloatTensor};

use sightflow_types::model::TensorLayout;

use crate::error::PassFailure;
use crate::graph::{Graph, Step, ValueId};
use crate::kernels::Kernels;
use crate::ops::{Args, Op};
use crate::value::{HostTensor, Value, upload};

/// Steps with their weights on the device.
pub(crate) struct Program<B: Kernels> {
    steps: Vec<Ready<B>>,
    constants: Vec<Value<B>>,
    slots: usize,
    input: ValueId,
    outputs: Vec<(String, Source)>,
    device: Device<B>,
}

struct Ready<B: Kernels> {
    name: String,
    action: Action<B>,
    inputs: Vec<Source>,
    outputs: Vec<ValueId>,
}

enum Action<B: Kernels> {
    Convolve(B::Prepared),
    Run(Op),
}

/// Where an input comes from.
#[derive(Clone, Copy)]
enum Source {
    /// A value of this run; `last` if nobody takes it afterwards, so that its buffer can be reused.
    Slot {
        id: ValueId,
        last: bool,
    },
    Constant(usize),
    Absent,
}

impl<B: Kernels> Program<B> {
    /// Moves a graph's constants to the device and packs the weights.
    ///
    /// # Errors
    /// What the device cannot take, with the node's name.
    pub(crate) fn prepare(graph: &Graph, device: Device<B>) -> Result<Self, String> {
        let mut program = Self {
            steps: Vec::new(),
            constants: Vec::new(),
            slots: graph.values,
            input: graph.input,
            outputs: Vec::new(),
            device,
        };
        let mut loaded = vec![None; graph.values];
        for step in &graph.steps {
            let ready =
                program.prepare_step(graph, step, &mut loaded).map_err(|reason| format!("{}: {reason}", step.name))?;
            program.steps.push(ready);
        }
        for (name, id) in &graph.outputs {
            let source = program.source(graph, *id, &mut loaded);
            program.outputs.push((name.clone(), source));
        }
        program.mark_last_uses();
        Ok(program)
    }

    fn prepare_step(&mut self, graph: &Graph, step: &Step, loaded: &mut [Option<usize>]) -> Result<Ready<B>, String> {
        let constant = |index: usize| step.inputs.get(index).copied().flatten().map(|id| graph.constants.get(&id));
        let own_weights = match (&step.op, constant(1), constant(2)) {
            (Op::Convolution(conv), Some(Some(weights)), bias) if bias != Some(None) => {
                Some((conv, weights, bias.flatten()))
            }
            _ => None,
        };
        let (action, taken): (_, usize) = match own_weights {
            Some((conv, weights, bias)) => {
                (Action::Convolve(B::prepare_convolution(&conv.sized(weights)?, weights, bias, &self.device)?), 1)
            }
            None => (Action::Run(step.op.clone()), step.inputs.len()),
        };
        let source = |id: &Option<ValueId>| id.map_or(Source::Absent, |id| self.source(graph, id, loaded));
        let inputs = step.inputs[..taken].iter().map(source).collect();
        Ok(Ready { name: step.name.clone(), action, inputs, outputs: step.outputs.clone() })
    }

    fn source(&mut self, graph: &Graph, id: ValueId, loaded: &mut [Option<usize>]) -> Source {
        let Some(tensor) = graph.constants.get(&id) else {
            return Source::Slot { id, last: false };
        };
        let index = *loaded[id].get_or_insert_with(|| {
            self.constants.push(Value::from_constant(tensor, &self.device));
            self.constants.len() - 1
        });
        Source::Constant(index)
    }

    fn mark_last_uses(&mut self) {
        let mut seen = vec![false; self.slots];
        for (_, source) in &self.outputs {
            if let Source::Slot { id, .. } = source {
                seen[*id] = true;
            }
        }
        for source in self.steps.iter_mut().rev().flat_map(|step| step.inputs.iter_mut().rev()) {
            if let Source::Slot { id, last } = source {
                *last = !std::mem::replace(&mut seen[*id], true);
            }
        }
    }

    /// Runs the graph on images in the order images, rows, columns, channels, and returns all outputs by name. Asks
    /// before each step whether to stop.
    ///
    /// # Errors
    /// The first step that fails, with its node's name; or that it was cancelled.
    pub(crate) fn run_images(
        &self,
        data: Vec<f32>,
        size: [usize; 3],
        layout: TensorLayout,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Vec<(String, HostTensor)>, PassFailure> {
        let [count, height, width] = size;
        let image = match layout {
            TensorLayout::Nchw => B::upload_images(data, size, &self.device),
            TensorLayout::Nhwc => upload::<B>(data, &[count, height, width, 3], &self.device),
        };
        let outputs = self.run(image, cancelled);
        B::after_run();
        outputs
    }

    /// Runs the graph on `image` and returns all outputs by name.
    ///
    /// # Errors
    /// The first step that fails, with its node's name.
    fn run(
        &self,
        image: FloatTensor<B>,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Vec<(String, HostTensor)>, PassFailure> {
        let mut slots: Vec<Option<Value<B>>> = (0..self.slots).map(|_| None).collect();
        slots[self.input] = Some(Value::Float(image));
        for step in &self.steps {
            if cancelled() {
                return Err(PassFailure::Cancelled);
            }
            let results = self.step(step, &mut slots).map_err(|reason| format!("{}: {reason}", step.name))?;
            for (id, result) in step.outputs.iter().zip(results) {
                slots[*id] = Some(result);
            }
        }
        let mut outputs = Vec::with_capacity(self.outputs.len());
        for (name, source) in &self.outputs {
            let value = self.load(*source, &mut slots).ok_or_else(|| "an output was not made".to_owned())?;
            outputs.push((name.clone(), value.into_host()?));
        }
        Ok(outputs)
    }

    fn step(&self, step: &Ready<B>, slots: &mut [Option<Value<B>>]) -> Result<Vec<Value<B>>, String> {
        let inputs = step.inputs.iter().map(|source| self.load(*source, slots)).collect();
        let mut args = Args::new(inputs, step.outputs.len(), &self.device);
        match &step.action {
            Action::Convolve(prepared) => Ok(vec![Value::Float(B::convolve(prepared, args.float(0)?)?)]),
            Action::Run(op) => op.run(args),
        }
    }

    fn load(&self, source: Source, slots: &mut [Option<Value<B>>]) -> Option<Value<B>> {
        match source {
            Source::Slot { id, last: true } => slots[id].take(),
            Source::Slot { id, last: false } => slots[id].clone(),
            Source::Constant(index) => Some(self.constants[index].clone()),
            Source::Absent => None,
        }
    }
}
