//! The innermost part of convolutions: a block of results stays in registers while its products are added up.
//!
//! A block is some rows of inputs by two vectors of output channels. Weights are packed so that they are read in order.

use pulp::{Simd, WithSimd};

use crate::simd::dispatch;

/// Rows of inputs of a block.
pub(super) const ROWS: usize = 6;
/// Vectors of output channels of a block.
pub(super) const VECTORS: usize = 2;

/// The results of a block.
pub(super) type Sums<S> = [[<S as Simd>::f32s; VECTORS]; ROWS];

/// Output channels of a block with this thread's instructions.
pub(super) fn width() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self, _simd: S) -> usize {
            VECTORS * S::F32_LANES
        }
    }
    dispatch(Lanes)
}

/// Weights by block of output channels, then product, then channel; channels that fill the last block are zero.
pub(super) fn pack(outputs: usize, products: usize, weight: impl Fn(usize, usize) -> f32) -> Vec<f32> {
    let width = width();
    let mut packed = vec![0.0; outputs.div_ceil(width) * products * width];
    for output in 0..outputs {
        let (block, lane) = (output / width, output % width);
        for product in 0..products {
            packed[(block * products + product) * width + lane] = weight(output, product);
        }
    }
    packed
}

/// A bias for each output, zero for what fills the last block.
pub(super) fn pack_bias(outputs: usize, bias: Option<&[f32]>) -> Result<Vec<f32>, String> {
    let mut packed = vec![0.0; outputs.next_multiple_of(width())];
    if let Some(bias) = bias {
        let to = &mut packed[..outputs];
        if bias.len() != outputs {
            return Err("a bias of another length than the outputs".to_owned());
        }
        to.copy_from_slice(bias);
    }
    Ok(packed)
}

/// Adds the products of rows and weights: element `i` of each row times the pair of vectors `i`.
#[inline(always)]
pub(super) fn add_products<S: Simd>(simd: S, rows: [&[f32]; ROWS], weights: &[S::f32s], sums: &mut Sums<S>) {
    let (weights, _) = weights.as_chunks::<VECTORS>();
    let mut of_length = rows;
    for row in &mut of_length {
        *row = &row[..weights.len()];
    }
    let rows = of_length;
    let mut block = *sums;
    for (product, weights) in weights.iter().enumerate() {
        for lane in 0..ROWS {
            let value = simd.splat_f32s(rows[lane][product]);
            for vector in 0..VECTORS {
                block[lane][vector] = simd.mul_add_e_f32s(value, weights[vector], block[lane][vector]);
            }
        }
    }
    *sums = block;
}

/// Stores the first channels of a result.
#[inline(always)]
pub(super) fn store<S: Simd>(simd: S, out: &mut [f32], sum: [S::f32s; VECTORS]) {
    let (whole, rest) = S::as_mut_simd_f32s(out);
    let stored = whole.len();
    for (to, from) in whole.iter_mut().zip(sum) {
        *to = from;
    }
    if let (false, Some(last)) = (rest.is_empty(), sum.get(stored)) {
        simd.partial_store_f32s(rest, *last);
    }
}
