//! Functions of one and two numbers on tensors in whatever order their elements lie.

use burn_backend::TensorData;
use burn_flex::{Flex, FlexTensor};

use super::arrange;
use super::math::Activate;
use super::memory::{ChannelsLast, buffer, channels_last, recycle};
use crate::kernels::generic;
use crate::params::{Activation, Binary, Unary};
use crate::simd::dispatch;

pub(super) fn activate(x: FlexTensor, activation: Activation) -> Result<FlexTensor, String> {
    in_place(x, |elements| dispatch(Activate { elements, activation }))
}

pub(super) fn unary(op: Unary, x: FlexTensor) -> Result<FlexTensor, String> {
    match op {
        Unary::Exp => map(x, f32::exp),
        Unary::Neg => map(x, |x| -x),
        Unary::Sqrt => map(x, f32::sqrt),
        Unary::Tanh => map(x, f32::tanh),
    }
}

pub(super) fn with_number(op: Binary, x: FlexTensor, number: f32) -> Result<FlexTensor, String> {
    match op {
        Binary::Add => map(x, |x| x + number),
        Binary::Sub => map(x, |x| x - number),
        Binary::Mul => map(x, |x| x * number),
        Binary::Div => map(x, |x| x / number),
    }
}

pub(super) fn binary(op: Binary, a: FlexTensor, b: FlexTensor) -> Result<FlexTensor, String> {
    match op {
        Binary::Add => combine(op, a, b, |a, b| a + b),
        Binary::Sub => combine(op, a, b, |a, b| a - b),
        Binary::Mul => combine(op, a, b, |a, b| a * b),
        Binary::Div => combine(op, a, b, |a, b| a / b),
    }
}

#[inline(always)]
fn map(x: FlexTensor, f: impl Fn(f32) -> f32) -> Result<FlexTensor, String> {
    in_place(x, |elements| dispatch(|| elements.iter_mut().for_each(|x| *x = f(*x))))
}

#[inline(always)]
fn in_place(x: FlexTensor, work: impl FnOnce(&mut [f32])) -> Result<FlexTensor, String> {
    let mut x = owned(x)?;
    work(own_elements(&mut x).ok_or("a tensor that is still shared")?);
    Ok(x)
}

/// The elements of a tensor that owns all of its memory and nothing else, in whatever order they lie.
fn own_elements(x: &mut FlexTensor) -> Option<&mut [f32]> {
    let elements = x.layout().num_elements();
    x.try_storage_mut::<f32>().filter(|storage| storage.len() == elements)
}

/// The same tensor in memory of its own.
fn owned(mut x: FlexTensor) -> Result<FlexTensor, String> {
    if own_elements(&mut x).is_some() {
        return Ok(x);
    }
    if is_whole(&x) {
        let from = x.storage::<f32>();
        let mut data = buffer(from.len())?;
        data.copy_from_slice(from);
        let length = data.len();
        return Ok(FlexTensor::from_data(TensorData::new(data, [length])).with_layout(x.layout().clone()));
    }
    match ChannelsLast::of(x.clone()) {
        Ok(image) => arrange::concat(std::slice::from_ref(&image)),
        Err(_) => Ok(x.to_contiguous()),
    }
}

/// Whether the tensor is all of its memory.
fn is_whole(x: &FlexTensor) -> bool {
    x.layout().num_elements() == x.storage::<f32>().len()
}

#[inline(always)]
fn combine(
    op: Binary,
    mut a: FlexTensor,
    mut b: FlexTensor,
    f: impl Fn(f32, f32) -> f32 + Copy,
) -> Result<FlexTensor, String> {
    if a.layout() == b.layout() && is_whole(&a) && is_whole(&b) {
        if own_elements(&mut a).is_none()
            && let Some(to) = own_elements(&mut b)
        {
            let from = a.storage::<f32>();
            dispatch(|| to.iter_mut().zip(from).for_each(|(b, a)| *b = f(*a, *b)));
            return Ok(b);
        }
        let mut a = owned(a)?;
        let to = own_elements(&mut a).ok_or("a tensor that is still shared")?;
        let from = b.storage::<f32>();
        dispatch(|| to.iter_mut().zip(from).for_each(|(a, b)| *a = f(*a, *b)));
        recycle(b);
        return Ok(a);
    }
    let (of_a, of_b) = (sizes(&a), sizes(&b));
    match (of_a, of_b) {
        (Some(of_a), Some(of_b)) if covers(of_a, of_b) => spread(a, b, f),
        (Some(of_a), Some(of_b)) if covers(of_b, of_a) => spread(b, a, |b, a| f(a, b)),
        _ => Ok(generic::binary::<Flex>(op, a, b)),
    }
}

fn sizes(x: &FlexTensor) -> Option<[usize; 4]> {
    let sizes: Vec<usize> = x.layout().shape().iter().copied().collect();
    sizes.try_into().ok().filter(|sizes: &[usize; 4]| !sizes.contains(&0))
}

/// Whether the smaller is repeated along some dimensions of the larger one, and the larger along none.
fn covers(large: [usize; 4], small: [usize; 4]) -> bool {
    large.iter().zip(small).all(|(large, small)| small == *large || small == 1)
}

/// Combines images with what is repeated along some of their dimensions: a number for each channel, for each pixel, or
/// for each image.
#[inline(always)]
fn spread(large: FlexTensor, small: FlexTensor, f: impl Fn(f32, f32) -> f32 + Copy) -> Result<FlexTensor, String> {
    let (x, by) = (ChannelsLast::of(large)?, ChannelsLast::of(small)?);
    let dims = [x.count, x.channels, x.height, x.width];
    let mut out = buffer(x.count * x.channels * x.height * x.width)?;
    dispatch(|| {
        let (from, with) = (x.data(), by.data());
        let along = |size: usize, index: usize| if size == 1 { 0 } else { index };
        let mut lines = out.chunks_exact_mut(x.width * x.channels);
        for n in 0..x.count {
            for (y, line) in (0..x.height).zip(&mut lines) {
                let row = &from[(n * x.height + y) * x.width * x.pixel..];
                let first = (along(by.count, n) * by.height + along(by.height, y)) * by.width;
                for (column, (out, pixel)) in line.chunks_exact_mut(x.channels).zip(row.chunks(x.pixel)).enumerate() {
                    let at = (first + along(by.width, column)) * by.pixel;
                    let pixel = &pixel[..out.len()];
                    if by.channels == 1 {
                        let with = with[at];
                        out.iter_mut().zip(pixel).for_each(|(to, x)| *to = f(*x, with));
                    } else {
                        let with = &with[at..at + out.len()];
                        out.iter_mut().zip(pixel).zip(with).for_each(|((to, x), with)| *to = f(*x, *with));
                    }
                }
            }
        }
    });
    x.recycle();
    by.recycle();
    Ok(channels_last(out, dims))
}
