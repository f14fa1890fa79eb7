//! The kernels against burn's operations, on sizes that leave remainders everywhere.

use burn_backend::ops::FloatTensorOps;
use burn_flex::{Flex, FlexDevice, FlexTensor};

use super::*;
use crate::SimdLevel;
use crate::params::{AutoPad, Padding};
use crate::value::{Value, upload};

/// Runs checks with the kernels of every level that this CPU has.
fn at_every_level(check: impl Fn()) {
    for level in SimdLevel::available() {
        println!("level {level}");
        level.scope(&check);
    }
}

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|index| ((index * 37 + 11) % 101) as f32 / 50.0 - 1.0).collect()
}

fn image(dims: [usize; 4]) -> FlexTensor {
    upload::<Flex>(numbers(dims.iter().product()), &dims, &FlexDevice)
}

fn check(what: &str, found: Result<FlexTensor, String>, expected: FlexTensor) {
    let found = found.unwrap_or_else(|reason| panic!("{what}: {reason}"));
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
    at_every_level(check_convolutions);
}

fn check_convolutions() {
    let activations = [
        None,
        Some(Activation::Clip(-0.5, 0.5)),
        Some(Activation::LeakyRelu(0.1)),
        Some(Activation::HardSwish),
        Some(Activation::Silu),
        Some(Activation::Sigmoid),
        Some(Activation::HardSigmoid(0.2, 0.5)),
    ];
    let cases = [
        // Input [N, C, H, W], outputs, convolution.
        ([2, 3, 9, 11], 5, convolution([3, 3], 2, 1, UNEVEN, 1)),
        ([1, 7, 13, 17], 33, convolution([1, 1], 1, 1, NO_PADDING, 1)),
        ([1, 4, 10, 10], 40, convolution([5, 3], 1, 2, AutoPad::SameUpper, 1)),
        ([2, 4, 10, 9], 16, convolution([2, 2], 3, 1, AutoPad::SameLower, 1)),
        ([2, 19, 9, 8], 37, convolution([3, 3], 1, 1, UNEVEN, 1)),
        ([1, 16, 2, 33], 16, convolution([3, 3], 1, 1, AutoPad::SameUpper, 1)),
        ([1, 40, 15, 3], 33, convolution([3, 3], 1, 1, NO_PADDING, 1)),
        ([1, 300, 5, 4], 17, convolution([1, 1], 1, 1, NO_PADDING, 1)),
        ([1, 40, 9, 7], 33, convolution([3, 3], 2, 1, AutoPad::SameUpper, 1)),
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
                    Flex::convolve(&own, image(dims)),
                    burn.run(image(dims)).expect("runs"),
                );
            }
        }
    }
}

#[test]
fn a_part_of_a_split_tensor_is_taken_where_it_lies() {
    at_every_level(check_a_part_of_a_split_tensor_is_taken_where_it_lies);
}

fn check_a_part_of_a_split_tensor_is_taken_where_it_lies() {
    let whole = memory::channels_last(numbers(6 * 6 * 8), [1, 8, 6, 6]);
    let range = |start, end| burn_backend::Slice::new(start, Some(end), 1);
    let part = Flex::float_slice(whole, &[range(0, 1), range(3, 7), range(0, 6), range(0, 6)]);
    assert_eq!(ChannelsLast::of(part.clone()).expect("an image").pixel, 8);
    let conv = convolution([3, 3], 1, 1, UNEVEN, 1);
    let weights = HostTensor::float(vec![5, 4, 3, 3], numbers(5 * 4 * 9));
    let own = Flex::prepare_convolution(&conv, &weights, None, &FlexDevice).expect("fits");
    let burn = BurnConvolution::<Flex>::prepare(&conv, &weights, None, &FlexDevice).expect("fits");
    check("split", Flex::convolve(&own, part.clone()), burn.run(part.clone()).expect("runs"));
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
    at_every_level(check_other_operators);
}

fn check_other_operators() {
    // Channels that fill vectors of every level, and some that do not.
    for channels in [1, 5, 16, 67, 150] {
        check_operators([2, channels, 9, 7]);
    }
}

fn check_operators(dims: [usize; 4]) {
    for padding in [NO_PADDING, UNEVEN, AutoPad::SameUpper] {
        let window = Window { kernel: [3, 3], stride: [2, 2], dilation: [1, 1], padding };
        check(
            "max_pool",
            Flex::max_pool(image(dims), &window),
            generic::max_pool::<Flex>(image(dims), &window).expect("runs"),
        );
    }
    for size in [[18, 14], [5, 4], [9, 7]] {
        check(
            "resize",
            Flex::resize(image(dims), size, ResizeKind::Linear),
            generic::resize::<Flex>(image(dims), size, ResizeKind::Linear),
        );
        check(
            "resize",
            Flex::resize(image(dims), size, ResizeKind::Nearest),
            generic::resize::<Flex>(image(dims), size, ResizeKind::Nearest),
        );
    }
    let padding = Padding { top: 1, left: 2, bottom: 0, right: 3 };
    check(
        "pad",
        Flex::pad(image(dims), padding, -2.0, &FlexDevice),
        crate::kernels::pad_with::<Flex>(image(dims), padding, -2.0, &FlexDevice),
    );
    let mean = Flex::float_mean_dim(Flex::float_mean_dim(image(dims), 3), 2);
    check("mean", Flex::mean_of_pixels(image(dims)), mean);
    let too_large = Window { kernel: [20, 3], stride: [1, 1], dilation: [1, 1], padding: NO_PADDING };
    assert!(Flex::max_pool(image(dims), &too_large).is_err());
}

#[test]
fn functions_of_two_numbers() {
    at_every_level(check_functions_of_two_numbers);
}

fn check_functions_of_two_numbers() {
    let dims = [2, 19, 5, 4];
    let interleaved = |dims: [usize; 4]| memory::channels_last(numbers(dims.iter().product()), dims);
    let rows = |dims: [usize; 4]| image(dims);
    let small = [dims, [2, 19, 1, 1], [1, 19, 1, 1], [2, 1, 5, 4], [1, 1, 1, 4], [1, 1, 1, 1], [1, 19, 5, 1]];
    for op in [Binary::Add, Binary::Sub, Binary::Mul, Binary::Div] {
        for of_small in small {
            for large in [&interleaved as &dyn Fn([usize; 4]) -> FlexTensor, &rows] {
                for small in [&interleaved as &dyn Fn([usize; 4]) -> FlexTensor, &rows] {
                    let what = format!("{op:?} {of_small:?}");
                    // Away from zero, where a quotient is not within the bound.
                    let large = || Flex::float_add_scalar(large(dims), 2.0.into());
                    let small = || Flex::float_add_scalar(small(of_small), 2.0.into());
                    check(&what, Flex::binary(op, large(), small()), generic::binary::<Flex>(op, large(), small()));
                    check(&what, Flex::binary(op, small(), large()), generic::binary::<Flex>(op, small(), large()));
                    // What others still use is left as it is.
                    let (kept, other) = (large(), small());
                    check(
                        &what,
                        Flex::binary(op, kept.clone(), other.clone()),
                        generic::binary::<Flex>(op, large(), small()),
                    );
                    check(&what, Ok(kept), large());
                    check(&what, Ok(other), small());
                }
            }
        }
        check(
            &format!("{op:?} 3"),
            Flex::with_number(op, interleaved(dims), 3.0),
            generic::with_number::<Flex>(op, interleaved(dims), 3.0),
        );
    }
    // Neither covers the other.
    let (column, row) = ([2, 19, 5, 1], [1, 1, 1, 4]);
    check(
        "both repeated",
        Flex::binary(Binary::Mul, image(column), image(row)),
        Flex::float_mul(image(column), image(row)),
    );
}

#[test]
fn functions_of_one_number_keep_the_order_in_memory() {
    at_every_level(|| {
        let dims = [2, 19, 5, 4];
        let whole = memory::channels_last(numbers(2 * 19 * 5 * 4), dims);
        let range = |start, end| burn_backend::Slice::new(start, Some(end), 1);
        let part = Flex::float_slice(whole.clone(), &[range(0, 2), range(3, 15), range(0, 5), range(0, 4)]);
        for activation in [Activation::Sigmoid, Activation::HardSwish, Activation::Clip(-0.5, 0.5)] {
            for x in [&whole, &part, &image(dims)] {
                let found = Flex::activate(x.clone(), activation).expect("runs");
                assert_eq!(ChannelsLast::of(x.clone()).is_ok(), ChannelsLast::of(found.clone()).is_ok());
                check(&format!("{activation:?}"), Ok(found), generic::activate::<Flex>(x.clone(), activation));
            }
        }
        for op in [Unary::Exp, Unary::Neg, Unary::Tanh] {
            check(&format!("{op:?}"), Flex::unary(op, whole.clone()), generic::unary::<Flex>(op, whole.clone()));
        }
        check("untouched", Ok(whole), memory::channels_last(numbers(2 * 19 * 5 * 4), dims));
    });
}

#[test]
fn memory_is_used_again_but_never_shared() {
    let dims = [1, 4, 8, 8];
    let place = |tensor: &FlexTensor| tensor.storage::<f32>().as_ptr();
    let first = memory::channels_last(numbers(256), dims);
    let (kept, at) = (first.clone(), place(&first));
    memory::recycle(first);
    let other = memory::buffer(256).expect("memory");
    assert_ne!(other.as_ptr(), at, "another tensor still has it");
    assert_eq!(kept.storage::<f32>(), numbers(256));
    memory::recycle(kept);
    let small = memory::buffer(10).expect("memory");
    assert_ne!(small.as_ptr(), at, "far too large");
    let again = memory::buffer(200).expect("memory");
    assert_eq!((again.as_ptr(), again.len()), (at, 200));
    // Results do not depend on what a buffer held before.
    let conv = convolution([3, 3], 1, 1, UNEVEN, 1);
    let weights = HostTensor::float(vec![5, 4, 3, 3], numbers(5 * 4 * 9));
    let own = Flex::prepare_convolution(&conv, &weights, None, &FlexDevice).expect("fits");
    let fresh = Flex::convolve(&own, image(dims)).expect("runs");
    memory::recycle(memory::channels_last(vec![f32::NAN; 512], [1, 8, 8, 8]));
    check("recycled", Flex::convolve(&own, image(dims)), fresh);
}
