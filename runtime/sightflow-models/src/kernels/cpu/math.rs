//! Functions of vectors.
//!
//! Bounds are selected by comparison instead of with `min` and `max`, whose answer for NaN depends on the CPU: a NaN is
//! neither below nor above anything, so it stays.

use pulp::{Simd, WithSimd};

use crate::params::Activation;

/// The activation of each element. Sigmoid and SiLU are within 3e-7 of the true value, relative, for inputs from −87 on;
/// below, within 1e-36.
#[inline(always)]
pub(super) fn activate<S: Simd>(simd: S, x: S::f32s, activation: Activation) -> S::f32s {
    match activation {
        Activation::Clip(low, high) => clip(simd, x, low, high),
        Activation::LeakyRelu(alpha) => {
            let negative = simd.less_than_f32s(x, simd.splat_f32s(0.0));
            simd.select_f32s(negative, simd.mul_f32s(x, simd.splat_f32s(alpha)), x)
        }
        Activation::Sigmoid => sigmoid(simd, x),
        Activation::Silu => simd.mul_f32s(x, sigmoid(simd, x)),
        Activation::HardSigmoid(alpha, beta) => hard_sigmoid(simd, x, alpha, beta),
        Activation::HardSwish => simd.mul_f32s(x, hard_sigmoid(simd, x, 1.0 / 6.0, 0.5)),
    }
}

/// Activations of a few instructions, which are applied while results are in registers. For the others the compiler would
/// move the sums to memory, in the innermost loop too: those are applied to the results where they are stored.
#[inline(always)]
pub(super) fn activate_in_registers<S: Simd>(simd: S, values: &mut [S::f32s], activation: Option<Activation>) {
    match activation {
        Some(Activation::Clip(low, high)) => {
            for value in values {
                *value = clip(simd, *value, low, high);
            }
        }
        Some(activation @ Activation::LeakyRelu(_)) => {
            for value in values {
                *value = activate(simd, *value, activation);
            }
        }
        _ => {}
    }
}

/// The other activations, on stored results.
#[inline(always)]
pub(super) fn activate_stored<S: Simd>(simd: S, elements: &mut [f32], activation: Option<Activation>) {
    if let Some(activation) = activation
        && !matches!(activation, Activation::Clip(..) | Activation::LeakyRelu(_))
    {
        Activate { elements, activation }.with_simd(simd);
    }
}

#[inline(always)]
fn clip<S: Simd>(simd: S, x: S::f32s, low: f32, high: f32) -> S::f32s {
    let (low, high) = (simd.splat_f32s(low), simd.splat_f32s(high));
    let x = simd.select_f32s(simd.less_than_f32s(x, low), low, x);
    simd.select_f32s(simd.less_than_f32s(high, x), high, x)
}

#[inline(always)]
fn hard_sigmoid<S: Simd>(simd: S, x: S::f32s, alpha: f32, beta: f32) -> S::f32s {
    clip(simd, simd.mul_add_e_f32s(x, simd.splat_f32s(alpha), simd.splat_f32s(beta)), 0.0, 1.0)
}

/// `1 / (1 + exp(−x))`.
#[inline(always)]
fn sigmoid<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let gate = simd.div_f32s(one, simd.add_f32s(one, exp(simd, simd.neg_f32s(x))));
    // What comes out there is no longer exact, and the true value is below 1e-38.
    simd.select_f32s(simd.less_than_f32s(x, simd.splat_f32s(-LARGEST)), simd.splat_f32s(0.0), gate)
}

/// Powers beyond this are cut: `exp` of it is the last with its exponent.
const LARGEST: f32 = 87.5;

/// `exp(x)` between −87.5 and 87.5, and that of the bound outside.
///
/// The method and the coefficients are those of the Cephes library (S. Moshier, `expf.c`): x = n · ln 2 + r, a polynomial
/// of degree 5 for r, and n put into the exponent.
#[inline(always)]
fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    const LN_2_HIGH: f32 = 0.693_359_4; // 355 / 512, exactly
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // A sum with it is rounded to a whole number, which then stands in the last bits.
    const ROUND: f32 = 12_582_912.0;
    let splat = |number| simd.splat_f32s(number);
    let x = clip(simd, x, -LARGEST, LARGEST);
    let shifted = simd.mul_add_e_f32s(x, splat(std::f32::consts::LOG2_E), splat(ROUND));
    let n = simd.sub_f32s(shifted, splat(ROUND));
    let r = simd.mul_add_e_f32s(n, splat(-LN_2_HIGH), x);
    let r = simd.mul_add_e_f32s(n, splat(-LN_2_LOW), r);
    let mut sum = splat(1.987_569_1e-4);
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5] {
        sum = simd.mul_add_e_f32s(sum, r, splat(coefficient));
    }
    let sum = simd.mul_add_e_f32s(sum, simd.mul_f32s(r, r), simd.add_f32s(r, splat(1.0)));
    let bias = simd.splat_u32s(127);
    let exponent = simd.add_u32s(simd.transmute_u32s_f32s(shifted), bias);
    let power = simd.wrapping_dyn_shl_u32s(exponent, simd.splat_u32s(23));
    simd.mul_f32s(sum, simd.transmute_f32s_u32s(power))
}

/// Applies an activation to every element in place.
pub(super) struct Activate<'a> {
    pub(super) elements: &'a mut [f32],
    pub(super) activation: Activation,
}

impl WithSimd for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (whole, rest) = S::as_mut_simd_f32s(self.elements);
        for value in whole {
            *value = activate(simd, *value, self.activation);
        }
        if !rest.is_empty() {
            let value = activate(simd, simd.partial_load_f32s(rest), self.activation);
            simd.partial_store_f32s(rest, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SimdLevel;
    use crate::simd::dispatch;

    fn truth(activation: Activation, x: f32) -> f64 {
        let x = f64::from(x);
        let sigmoid = 1.0 / (1.0 + (-x).exp());
        match activation {
            Activation::Sigmoid => sigmoid,
            Activation::Silu => x * sigmoid,
            Activation::HardSigmoid(alpha, beta) => (f64::from(alpha) * x + f64::from(beta)).clamp(0.0, 1.0),
            Activation::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Activation::LeakyRelu(alpha) => {
                if x < 0.0 {
                    f64::from(alpha) * x
                } else {
                    x
                }
            }
            Activation::Clip(low, high) => x.max(f64::from(low)).min(f64::from(high)),
        }
    }

    const ALL: [Activation; 8] = [
        Activation::Sigmoid,
        Activation::Silu,
        Activation::HardSigmoid(0.2, 0.5),
        Activation::HardSwish,
        Activation::LeakyRelu(0.1),
        Activation::Clip(0.0, f32::INFINITY),
        Activation::Clip(0.0, 6.0),
        Activation::Clip(-0.5, 0.25),
    ];

    fn activated(level: SimdLevel, activation: Activation, values: &[f32]) -> Vec<f32> {
        let mut elements = values.to_vec();
        level.scope(|| dispatch(Activate { elements: &mut elements, activation }));
        elements
    }

    #[test]
    fn close_to_the_truth_over_the_whole_range() {
        let steps = 400_001;
        let values: Vec<f32> = (0..steps).map(|index| (index as f32 / (steps - 1) as f32 - 0.5) * 400.0).collect();
        for level in SimdLevel::available() {
            for activation in ALL {
                let mut worst = 0.0_f64;
                for (x, found) in values.iter().zip(activated(level, activation, &values)) {
                    let expected = truth(activation, *x);
                    // Rounding of one sum near the kink of the hard ones is not relative to the result.
                    let scale = match activation {
                        Activation::HardSigmoid(..) => 1.0,
                        Activation::HardSwish => f64::from(x.abs()).max(1e-3),
                        _ => expected.abs(),
                    };
                    let error = (f64::from(found) - expected).abs();
                    assert!(error <= 3e-7 * scale + 1e-36, "{level} {activation:?} of {x}: {found}, not {expected}");
                    worst = worst.max(error / (scale + 1e-30));
                }
                println!("{level} {activation:?}: {worst:e}");
            }
        }
    }

    #[test]
    fn nan_stays_and_infinity_is_a_number() {
        // Enough for a whole vector and a rest.
        for level in SimdLevel::available() {
            for activation in ALL {
                assert!(activated(level, activation, &[f32::NAN; 19]).iter().all(|value| value.is_nan()), "{level}");
            }
            let check = |activation, x: f32, expected: f32| {
                assert_eq!(activated(level, activation, &[x; 19]), [expected; 19], "{level} {activation:?} of {x}");
            };
            let (most, least) = (f32::INFINITY, f32::NEG_INFINITY);
            check(Activation::Sigmoid, most, 1.0);
            check(Activation::Sigmoid, least, 0.0);
            check(Activation::Silu, most, most);
            check(Activation::HardSwish, most, most);
            check(Activation::HardSigmoid(0.2, 0.5), most, 1.0);
            check(Activation::HardSigmoid(0.2, 0.5), least, 0.0);
            check(Activation::Clip(0.0, 6.0), most, 6.0);
            check(Activation::Clip(0.0, 6.0), least, 0.0);
            check(Activation::Clip(0.0, most), most, most);
            check(Activation::LeakyRelu(0.1), least, least);
        }
    }
}
