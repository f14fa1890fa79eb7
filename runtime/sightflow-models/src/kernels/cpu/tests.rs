//! The kernels against burn's operations, on sizes that leave remainders everywhere.

use burn_backend::ops::FloatTensorOps;
use burn_flex::{Flex, FlexDevice, FlexTensor};

use super::*;
use crate::ops::{AutoPad, Padding};
use crate::value::{Value, upload};

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|index| ((index * 37 + 11) % 101) as f32 / 50.0 - 1.0).collect()
}

fn image(dims: [usize; 4]) -> FlexTensor {
    upload::<Flex>(numbers(dims.iter().product()), &dims, &FlexDevice)
}

fn check(what: &str, found: FlexTensor, expected: FlexTensor) {
    let host = |tensor| Value::<Flex>::Float(tensor).into_host().expect("readable");
    let (found, expected) = (host(found), host(expected));
    assert_eq!(found.shape, expected.shape, "{what}");
    let pairs = found.floats().expect("floats").iter().zip(expected.floats().expect("floats"));
    for (index, (found, expected)) in pairs.enumerate() {
        assert!((found - expected).abs() <= 1e-4, "{what}, element {index}: {found} instead of {expected}");
    }
}

fn convolution(kernel: [usize; 2], stride: usize, dilation: usize, padding: AutoPad, groups: usize) -> Convolution {
    let window = Window { kernel, stride: [stride; 2], dilation: [dilation; 2], padding };
    Convolution { window, groups, activation: None }
}

const NO_PADDING: AutoPad = AutoPad::Explicit(Padding { top: 0, left: 0, bottom: 0, right: 0 });
const UNEVEN: AutoPad = AutoPad::Explicit(Padding { top: 0, left: 2, bottom: 1, right: 0 });

#[test]
fn convolutions() {
    let activations = [
        None,
        Some(Activation::Clip(-0.5, 0.5)),
        Some(Activation::LeakyRelu(0.1)),
        Some(Activation::HardSwish),
        Some(Activation::Silu),
    ];
    let cases = [
        // Input [N, C, H, W], outputs, convolution.
        ([2, 3, 9, 11], 5, convolution([3, 3], 2, 1, UNEVEN, 1)),
        ([1, 7, 13, 17], 33, convolution([1, 1], 1, 1, NO_PADDING, 1)),
        ([1, 4, 10, 10], 40, convolution([5, 3], 1, 2, AutoPad::SameUpper, 1)),
        ([2, 4, 10, 9], 16, convolution([2, 2], 3, 1, AutoPad::SameLower, 1)),
        ([2, 67, 9, 8], 67, convolution([3, 3], 2, 1, UNEVEN, 67)),
        ([1, 150, 7, 7], 150, convolution([5, 5], 1, 1, AutoPad::SameUpper, 150)),
        ([1, 6, 7, 7], 8, convolution([3, 3], 1, 1, AutoPad::SameUpper, 2)),
    ];
    for (dims, outputs, conv) in cases {
        for activation in activations {
            let conv = Convolution { activation, ..conv.clone() };
            let shape = vec![outputs, dims[1] / conv.groups, conv.window.kernel[0], conv.window.kernel[1]];
            let weights = HostTensor::float(shape.clone(), numbers(shape.iter().product()));
            let bias = HostTensor::float(vec![outputs], numbers(outputs));
            for bias in [None, Some(&bias)] {
                let own = Flex::prepare_convolution(&conv, &weights, bias, &FlexDevice).expect("fits");
                let burn = BurnConvolution::<Flex>::prepare(&conv, &weights, bias, &FlexDevice).expect("fits");
                check(
                    &format!("{dims:?} {conv:?}"),
                    Flex::convolve(&own, image(dims)).expect("runs"),
                    burn.run(image(dims)),
                );
            }
        }
    }
}

#[test]
fn a_part_of_a_split_tensor_is_taken_where_it_lies() {
    let whole = memory::channels_last(numbers(6 * 6 * 8), [1, 8, 6, 6]);
    let range = |start, end| burn_backend::Slice::new(start, Some(end), 1);
    let part = Flex::float_slice(whole, &[range(0, 1), range(3, 7), range(0, 6), range(0, 6)]);
    assert_eq!(ChannelsLast::of(part.clone()).expect("an image").pixel, 8);
    let conv = convolution([3, 3], 1, 1, UNEVEN, 1);
    let weights = HostTensor::float(vec![5, 4, 3, 3], numbers(5 * 4 * 9));
    let own = Flex::prepare_convolution(&conv, &weights, None, &FlexDevice).expect("fits");
    let burn = BurnConvolution::<Flex>::prepare(&conv, &weights, None, &FlexDevice).expect("fits");
    check("split", Flex::convolve(&own, part.clone()).expect("runs"), burn.run(part.clone()));
    let other = memory::channels_last(numbers(6 * 6 * 2), [1, 2, 6, 6]);
    check(
        "concat",
        Flex::concat(vec![part.clone(), other.clone(), part.clone()], 1),
        Flex::float_cat(vec![part.clone(), other, part.clone()], 1),
    );
    check("mean", Flex::mean_of_pixels(part.clone()), Flex::float_mean_dim(Flex::float_mean_dim(part, 3), 2));
}

#[test]
fn other_operators() {
    let dims = [2, 5, 9, 7];
    for padding in [NO_PADDING, UNEVEN, AutoPad::SameUpper] {
        let window = Window { kernel: [3, 3], stride: [2, 2], dilation: [1, 1], padding };
        check(
            "max_pool",
            Flex::max_pool(image(dims), &window).expect("runs"),
            generic::max_pool::<Flex>(image(dims), &window).expect("runs"),
        );
    }
    for size in [[18, 14], [5, 4], [9, 7]] {
        check(
            "resize",
            Flex::resize(image(dims), size, ResizeKind::Linear),
            generic::resize::<Flex>(image(dims), size, ResizeKind::Linear),
        );
    }
    check("add", Flex::add_same_shape(image(dims), image(dims)), Flex::float_add(image(dims), image(dims)));
    let interleaved = || memory::channels_last(numbers(dims.iter().product()), dims);
    check("add", Flex::add_same_shape(interleaved(), image(dims)), Flex::float_add(interleaved(), image(dims)));
    let too_large = Window { kernel: [20, 3], stride: [1, 1], dilation: [1, 1], padding: NO_PADDING };
    assert!(Flex::max_pool(image(dims), &too_large).is_err());
}

#[test]
fn memory_is_used_again_but_never_shared() {
    let dims = [1, 4, 8, 8];
    let place = |tensor: &FlexTensor| tensor.storage::<f32>().as_ptr();
    let first = memory::channels_last(numbers(256), dims);
    let (kept, at) = (first.clone(), place(&first));
    memory::recycle(first);
    let other = memory::buffer(256);
    assert_ne!(other.as_ptr(), at, "another tensor still has it");
    assert_eq!(kept.storage::<f32>(), numbers(256));
    memory::recycle(kept);
    let small = memory::buffer(10);
    assert_ne!(small.as_ptr(), at, "far too large");
    let again = memory::buffer(200);
    assert_eq!((again.as_ptr(), again.len()), (at, 200));
    // Results do not depend on what a buffer held before.
    let conv = convolution([3, 3], 1, 1, UNEVEN, 1);
    let weights = HostTensor::float(vec![5, 4, 3, 3], numbers(5 * 4 * 9));
    let own = Flex::prepare_convolution(&conv, &weights, None, &FlexDevice).expect("fits");
    let fresh = Flex::convolve(&own, image(dims)).expect("runs");
    memory::recycle(memory::channels_last(vec![f32::NAN; 512], [1, 8, 8, 8]));
    check("recycled", Flex::convolve(&own, image(dims)).expect("runs"), fresh);
}
