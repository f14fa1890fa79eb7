//! Steps that are cheaper together: batch normalisation, padding and activations go into their convolution.

use super::{Graph, Step, ValueId};
use crate::ops::Op;
use crate::params::{Activation, AutoPad, Binary, Padding};
use crate::value::HostTensor;

impl Graph {
    /// Joins what belongs together. Steps that became superfluous stay until unused ones are dropped.
    pub(super) fn fuse(&mut self) {
        self.settle_resizes();
        self.settle_clips();
        self.find_silu();
        self.find_hard_swish();
        self.fold_normalization();
        self.fold_padding();
        self.fold_activations();
    }

    /// Constant scales become settings: sizes must be known before anything runs.
    pub(super) fn settle_resizes(&mut self) {
        for step in &mut self.steps {
            let Op::Resize(resize) = &mut step.op else { continue };
            let scales = step.inputs.get(resize.scales_input).copied().flatten();
            let scales = scales.and_then(|id| self.constants.get(&id)?.floats());
            resize.scales = scales.filter(|scales| !scales.is_empty()).map(<[f32]>::to_vec);
        }
    }

    /// `Clip` with constant bounds is an activation.
    fn settle_clips(&mut self) {
        for step in &mut self.steps {
            let bound = |index: usize, missing: f32| match step.inputs.get(index).copied().flatten() {
                None => Some(missing),
                Some(id) => self.constants.get(&id)?.floats().and_then(|data| data.first().copied()),
            };
            if step.op != Op::Clip {
                continue;
            }
            if let (Some(low), Some(high)) = (bound(1, f32::NEG_INFINITY), bound(2, f32::INFINITY)) {
                step.op = Op::Activation(Activation::Clip(low, high));
                step.inputs.truncate(1);
            }
        }
    }

    /// `x · sigmoid(x)`.
    fn find_silu(&mut self) {
        let makers = self.makers();
        for index in 0..self.steps.len() {
            let (Op::Binary(Binary::Mul), &[Some(a), Some(b)]) = (&self.steps[index].op, &self.steps[index].inputs[..])
            else {
                continue;
            };
            let gates = |gate: ValueId, x: ValueId| {
                makers[gate]
                    .map(|maker| &self.steps[maker])
                    .is_some_and(|step| step.op == Op::Activation(Activation::Sigmoid) && step.inputs == [Some(x)])
            };
            let x = if gates(b, a) {
                a
            } else if gates(a, b) {
                b
            } else {
                continue;
            };
            self.steps[index].op = Op::Activation(Activation::Silu);
            self.steps[index].inputs = vec![Some(x)];
        }
        // The gates would count as uses of what they gate.
        self.drop_unused();
    }

    /// `clip(x + 3, 0, 6) / 6`, and `x` times it in any order.
    fn find_hard_swish(&mut self) {
        let makers = self.makers();
        for index in 0..self.steps.len() {
            let found = self.gated(index, &makers);
            if let Some((activation, x)) = found {
                self.steps[index].op = Op::Activation(activation);
                self.steps[index].inputs = vec![Some(x)];
            }
        }
        self.drop_unused();
    }

    fn gated(&self, index: usize, makers: &[Option<usize>]) -> Option<(Activation, ValueId)> {
        const SIXTH: Activation = Activation::HardSigmoid(1.0 / 6.0, 0.5);
        let step = |id: ValueId| makers[id].map(|maker| &self.steps[maker]);
        // `clip(x + 3, 0, 6)` of this `x`.
        let ramp = |id: ValueId| match step(id)? {
            Step { op: Op::Activation(Activation::Clip(0.0, 6.0)), inputs, .. } => {
                let sum = step((*inputs.first()?)?)?;
                let (x, three) = self.with_number(sum, Binary::Add)?;
                (three == 3.0).then_some(x)
            }
            _ => None,
        };
        let factors = |step: &Step| match (&step.op, &step.inputs[..]) {
            (Op::Binary(Binary::Mul), &[Some(a), Some(b)]) => Some((a, b)),
            _ => None,
        };
        let this = &self.steps[index];
        let sixth = match (self.with_number(this, Binary::Div), self.with_number(this, Binary::Mul)) {
            (Some((x, 6.0)), _) => Some(x),
            (_, Some((x, factor))) if (factor * 6.0 - 1.0).abs() < 1e-6 => Some(x),
            _ => None,
        };
        if let Some(of) = sixth {
            if let Some(x) = ramp(of) {
                return Some((SIXTH, x));
            }
            let (a, b) = factors(step(of)?)?;
            return ((ramp(a) == Some(b)).then_some(b).or((ramp(b) == Some(a)).then_some(a)))
                .map(|x| (Activation::HardSwish, x));
        }
        let (a, b) = factors(this)?;
        let gates = |gate: ValueId, x: ValueId| {
            let of_x = step(gate).filter(|step| step.inputs == [Some(x)]);
            matches!(of_x, Some(Step { op: Op::Activation(Activation::HardSigmoid(alpha, 0.5)), .. })
                if (alpha * 6.0 - 1.0).abs() < 1e-6)
        };
        let x = if gates(b, a) { a } else { gates(a, b).then_some(b)? };
        Some((Activation::HardSwish, x))
    }

    /// The other operand where one is a constant number; the number is on the right unless the order does not matter.
    fn with_number(&self, step: &Step, op: Binary) -> Option<(ValueId, f32)> {
        let (Op::Binary(own), &[Some(a), Some(b)]) = (&step.op, &step.inputs[..]) else {
            return None;
        };
        let number = |id: ValueId| self.constants.get(&id)?.floats().filter(|data| data.len() == 1).map(|data| data[0]);
        match (*own == op, number(a), number(b)) {
            (true, None, Some(number)) => Some((a, number)),
            (true, Some(number), None) if op != Binary::Div && op != Binary::Sub => Some((b, number)),
            _ => None,
        }
    }

    /// `BatchNormalization(Conv(x))` is a convolution with other weights.
    fn fold_normalization(&mut self) {
        let (makers, uses) = (self.makers(), self.uses());
        for index in 0..self.steps.len() {
            let Op::BatchNormalization { epsilon } = self.steps[index].op else {
                continue;
            };
            let Some(conv) = self.sole_convolution(index, &makers, &uses) else {
                continue;
            };
            let Some((weights, bias)) = self.normalized_weights(&self.steps[conv], &self.steps[index], epsilon) else {
                continue;
            };
            let (weights, bias) = (self.add_constant(weights), self.add_constant(bias));
            let image = self.steps[conv].inputs[0];
            self.steps[conv].inputs = vec![image, Some(weights), Some(bias)];
            self.bypass(index, conv);
        }
        self.drop_unused();
    }

    fn normalized_weights(&self, conv: &Step, norm: &Step, epsilon: f32) -> Option<(HostTensor, HostTensor)> {
        let constant = |step: &Step, index: usize| self.constants.get(&step.inputs.get(index).copied().flatten()?);
        let weights = constant(conv, 1)?;
        let (outputs, data) = (*weights.shape.first()?, weights.floats()?);
        let channel = |index: usize| constant(norm, index)?.floats().filter(|data| data.len() == outputs);
        let (scale, shift, mean, variance) = (channel(1)?, channel(2)?, channel(3)?, channel(4)?);
        let bias = match conv.inputs.get(2).copied().flatten() {
            Some(id) => self.constants.get(&id)?.floats()?.to_vec(),
            None => vec![0.0; outputs],
        };
        let factor = |c: usize| f64::from(scale[c]) / (f64::from(variance[c]) + f64::from(epsilon)).sqrt();
        let per_output = data.len() / outputs.max(1);
        let folded =
            data.iter().enumerate().map(|(at, weight)| (f64::from(*weight) * factor(at / per_output)) as f32).collect();
        let shifted = (0..outputs)
            .map(|c| ((f64::from(bias[c]) - f64::from(mean[c])) * factor(c) + f64::from(shift[c])) as f32)
            .collect();
        Some((HostTensor::float(weights.shape.clone(), folded), HostTensor::float(vec![outputs], shifted)))
    }

    /// `Conv(Pad(x))` with zeros is a convolution with more padding.
    fn fold_padding(&mut self) {
        let (makers, uses) = (self.makers(), self.uses());
        for index in 0..self.steps.len() {
            let Some(image) = self.steps[index].inputs.first().copied().flatten() else {
                continue;
            };
            let Some(maker) = makers[image].filter(|_| uses[image] == 1) else {
                continue;
            };
            let Some(added) = self.zeros_around(&self.steps[maker]) else {
                continue;
            };
            let inside = self.steps[maker].inputs[0];
            let Op::Convolution(conv) = &mut self.steps[index].op else {
                continue;
            };
            let AutoPad::Explicit(own) = conv.window.padding else {
                continue;
            };
            conv.window.padding = AutoPad::Explicit(Padding {
                top: own.top + added.top,
                left: own.left + added.left,
                bottom: own.bottom + added.bottom,
                right: own.right + added.right,
            });
            self.steps[index].inputs[0] = inside;
        }
        self.drop_unused();
    }

    fn zeros_around(&self, step: &Step) -> Option<Padding> {
        let Op::Pad(pad) = &step.op else { return None };
        let constant = |index: usize| step.inputs.get(index).copied().flatten().map(|id| self.constants.get(&id));
        let value = match constant(2) {
            Some(tensor) => tensor?.scalar()?,
            None => f64::from(pad.value()),
        };
        let given = match constant(1) {
            Some(tensor) => tensor?.to_ints(),
            None => None,
        };
        (value == 0.0 && step.inputs.len() <= 3).then(|| pad.of_pixels(given))?
    }

    /// Activations of convolutions that nobody else sees.
    fn fold_activations(&mut self) {
        let (makers, uses) = (self.makers(), self.uses());
        for index in 0..self.steps.len() {
            let Op::Activation(activation) = self.steps[index].op else {
                continue;
            };
            let Some(maker) = self.sole_convolution(index, &makers, &uses) else {
                continue;
            };
            let Op::Convolution(conv) = &mut self.steps[maker].op else {
                continue;
            };
            if conv.activation.is_none() {
                conv.activation = Some(activation);
                self.bypass(index, maker);
            }
        }
        self.drop_unused();
    }

    /// The convolution that makes a step's first input for this step only.
    fn sole_convolution(&self, index: usize, makers: &[Option<usize>], uses: &[usize]) -> Option<usize> {
        let input = self.steps[index].inputs.first().copied().flatten()?;
        let maker = makers[input].filter(|_| uses[input] == 1)?;
        // A maker that was bypassed already makes another value by now.
        let is_convolution = matches!(&self.steps[maker].op, Op::Convolution(conv) if conv.activation.is_none());
        (is_convolution && self.steps[maker].outputs == [input]).then_some(maker)
    }

    /// Lets `maker` make what the step `index` made; the step is left without a result.
    fn bypass(&mut self, index: usize, maker: usize) {
        self.steps[maker].outputs = std::mem::take(&mut self.steps[index].outputs);
        self.steps[index].inputs.clear();
    }

    fn add_constant(&mut self, tensor: HostTensor) -> ValueId {
        let id = self.values;
        self.values += 1;
        self.constants.insert(id, tensor);
        id
    }

    /// The step that makes each value.
    fn makers(&self) -> Vec<Option<usize>> {
        let mut makers = vec![None; self.values];
        for (index, step) in self.steps.iter().enumerate() {
            step.outputs.iter().for_each(|id| makers[*id] = Some(index));
        }
        makers
    }
}
