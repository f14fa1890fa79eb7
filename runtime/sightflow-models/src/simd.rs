//! Which vector instructions the kernels on the CPU use: chosen once, here.

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use pulp::{Arch, WithSimd};

/// A set of vector instructions.
///
/// The level holds for this crate's own kernels: convolutions, pools, element-wise functions, resizing, means. What burn
/// does itself is not lowered: its matrix product (`gemm`) and its element-wise functions (`macerator`) look at the CPU
/// themselves, without a setting for it, and take the best that they find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SimdLevel {
    /// No vector instructions beyond what every CPU of the target has.
    Scalar,
    /// 128 bits, on ARM.
    Neon,
    /// 256 bits with fused multiply-add (AVX2, FMA), on x86.
    Avx2,
    /// 512 bits (AVX-512 F, BW, CD, DQ, VL), on x86.
    Avx512,
}

/// Why a level cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SimdError {
    /// Not one of the names.
    #[error("unknown SIMD level `{0}`; known: avx512, avx2, neon, scalar")]
    Unknown(String),
    /// This CPU does not have it.
    #[error("this CPU has no {level}; it has {}", names(.available))]
    Missing {
        /// What was asked for.
        level: SimdLevel,
        /// What there is, best first.
        available: Vec<SimdLevel>,
    },
    /// Models use another level by now.
    #[error("the SIMD level is {current} already; set it before the first model is loaded")]
    TooLate {
        /// The level in use.
        current: SimdLevel,
    },
}

fn names(levels: &[SimdLevel]) -> String {
    levels.iter().map(|level| level.as_str()).collect::<Vec<_>>().join(", ")
}

/// What new models use; set by the first who asks or lowers.
static CHOSEN: OnceLock<SimdLevel> = OnceLock::new();

thread_local! {
    /// The level of the model that is loaded or run on this thread.
    static IN_USE: Cell<Option<SimdLevel>> = const { Cell::new(None) };
}

impl SimdLevel {
    const BEST_FIRST: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Scalar];

    /// Every level that this CPU has, best first; the last is always [`SimdLevel::Scalar`].
    pub fn available() -> Vec<Self> {
        Self::BEST_FIRST.into_iter().filter(|level| level.arch().is_some()).collect()
    }

    /// The best level of this CPU.
    pub fn detected() -> Self {
        Self::BEST_FIRST.into_iter().find(|level| level.arch().is_some()).unwrap_or(Self::Scalar)
    }

    /// The level that models use: the best, unless [`SimdLevel::lower_to`] was called before. From the first call on it
    /// stays.
    pub fn current() -> Self {
        *CHOSEN.get_or_init(Self::detected)
    }

    /// Lets all models of this process use `level`. To be called before the first one is loaded.
    ///
    /// # Errors
    /// [`SimdError::Missing`] if this CPU does not have the level, [`SimdError::TooLate`] if another one is in use.
    pub fn lower_to(level: Self) -> Result<(), SimdError> {
        level.check()?;
        match *CHOSEN.get_or_init(|| level) {
            current if current == level => Ok(()),
            current => Err(SimdError::TooLate { current }),
        }
    }

    /// The name in settings, logs and rows: `avx512`, `avx2`, `neon`, `scalar`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// # Errors
    /// [`SimdError::Missing`] if this CPU does not have the level.
    pub(crate) fn check(self) -> Result<(), SimdError> {
        match self.arch() {
            Some(_) => Ok(()),
            None => Err(SimdError::Missing { level: self, available: Self::available() }),
        }
    }

    /// Runs `work` with this level on this thread. The level must be available.
    pub(crate) fn scope<T>(self, work: impl FnOnce() -> T) -> T {
        struct Restore(Option<SimdLevel>);
        impl Drop for Restore {
            fn drop(&mut self) {
                IN_USE.set(self.0);
            }
        }
        let _restore = Restore(IN_USE.replace(Some(self)));
        work()
    }

    /// None if this CPU does not have it.
    fn arch(self) -> Option<Arch> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => pulp::x86::V4::try_new().map(Arch::V4),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => pulp::x86::V3::try_new().map(Arch::V3),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => pulp::aarch64::Neon::try_new().map(Arch::Neon),
            Self::Scalar => Some(Arch::Scalar),
            _ => None,
        }
    }
}

/// Runs a kernel with the instructions of this thread's level.
#[inline]
pub(crate) fn dispatch<W: WithSimd>(work: W) -> W::Output {
    let level = IN_USE.get().unwrap_or_else(SimdLevel::current);
    level.arch().unwrap_or(Arch::Scalar).dispatch(work)
}

impl fmt::Display for SimdLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SimdLevel {
    type Err = SimdError;

    fn from_str(text: &str) -> Result<Self, SimdError> {
        let known = Self::BEST_FIRST.into_iter().find(|level| level.as_str() == text);
        known.ok_or_else(|| SimdError::Unknown(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without the crate features that bring the vector instructions, everything would run a hundred times slower.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_best_level_is_what_the_cpu_has() {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = avx2
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512cd")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        let mut expected = vec![SimdLevel::Scalar];
        expected.splice(0..0, avx2.then_some(SimdLevel::Avx2));
        expected.splice(0..0, avx512.then_some(SimdLevel::Avx512));
        assert_eq!(SimdLevel::available(), expected);
        assert_eq!(SimdLevel::detected(), expected[0]);
        assert_eq!(SimdLevel::current(), expected[0], "nothing lowered it");
    }

    #[cfg(target_arch = "aarch64")]
    #[test]
    fn the_best_level_is_what_the_cpu_has() {
        assert_eq!(SimdLevel::available(), [SimdLevel::Neon, SimdLevel::Scalar]);
        assert_eq!(SimdLevel::current(), SimdLevel::Neon);
    }

    #[test]
    fn a_level_decides_how_wide_vectors_are() {
        struct Lanes;
        impl WithSimd for Lanes {
            type Output = usize;
            fn with_simd<S: pulp::Simd>(self, _simd: S) -> usize {
                S::F32_LANES
            }
        }
        for level in SimdLevel::available() {
            let lanes = match level {
                SimdLevel::Avx512 => 16,
                SimdLevel::Avx2 => 8,
                SimdLevel::Neon => 4,
                SimdLevel::Scalar => 1,
            };
            assert_eq!(level.scope(|| dispatch(Lanes)), lanes, "{level}");
        }
        assert_eq!(dispatch(Lanes), SimdLevel::current().scope(|| dispatch(Lanes)), "a scope ends");
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        let missing = if cfg!(target_arch = "x86_64") { SimdLevel::Neon } else { SimdLevel::Avx2 };
        let error = SimdLevel::lower_to(missing).expect_err("another kind of CPU");
        assert!(error.to_string().starts_with(&format!("this CPU has no {missing}; it has ")), "{error}");
        assert!(error.to_string().ends_with("scalar"), "{error}");
        let current = SimdLevel::current();
        assert_eq!(SimdLevel::lower_to(current), Ok(()));
        if current != SimdLevel::Scalar {
            assert_eq!(SimdLevel::lower_to(SimdLevel::Scalar), Err(SimdError::TooLate { current }));
        }
        for level in SimdLevel::BEST_FIRST {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        assert_eq!("sse".parse::<SimdLevel>(), Err(SimdError::Unknown("sse".to_owned())));
    }
}
