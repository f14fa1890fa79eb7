//! Inputs that are nearly right: what was broken on its way, or by somebody on purpose. Included by the tests that feed them to
//! whatever reads what comes from outside.

/// How many inputs a test makes of its seeds: `SIGHTFLOW_FUZZ_ROUNDS`, which `cargo xtask fuzz` sets, or so many.
pub(crate) fn rounds(few: usize) -> usize {
    std::env::var("SIGHTFLOW_FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(few)
}

/// Makes inputs; the same ones for the same number.
pub(crate) struct Mutator(u64);

impl Mutator {
    /// `SIGHTFLOW_FUZZ_SEED` takes the place of the number.
    pub(crate) fn new(number: u64) -> Self {
        let seed = std::env::var("SIGHTFLOW_FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(number);
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below a bound (xorshift64*).
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        if bound == 0 { 0 } else { number as usize % bound }
    }

    /// A seed with one to eight changes: bits and bytes, ranges that are left out, repeated or brought from another seed, and
    /// an early end.
    pub(crate) fn mutate(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        const EXTREMES: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'{', b'9'];
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(8) {
            let at = self.below(bytes.len());
            let end = (at + 1 + self.below(16)).min(bytes.len());
            match self.below(7) {
                _ if bytes.is_empty() => bytes.push(EXTREMES[self.below(EXTREMES.len())]),
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = EXTREMES[self.below(EXTREMES.len())],
                2 => drop(bytes.drain(at..end)),
                3 => {
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
                4 => {
                    let other = &seeds[self.below(seeds.len())];
                    let from = self.below(other.len());
                    let part = other[from..(from + 1 + self.below(64)).min(other.len())].to_vec();
                    bytes.splice(at..end, part);
                }
                5 if self.below(4) == 0 => bytes.truncate(at),
                _ => bytes[at..end].fill(EXTREMES[self.below(EXTREMES.len())]),
            }
        }
        bytes
    }
}
