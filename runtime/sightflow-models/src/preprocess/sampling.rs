//! Which source pixels make an output pixel, and how much each counts.

use sightflow_types::model::Interpolation;

/// For every output pixel of one axis: the first source pixel and the weights from there on.
pub(super) struct Taps {
    /// First source pixel, start and end in `weights`; none outside of the scaled view.
    places: Vec<Option<(usize, usize, usize)>>,
    weights: Vec<f32>,
}

impl Taps {
    /// `side` source pixels become `scaled` ones, which start at `offset` of an output with `length` pixels.
    pub(super) fn new(
        side: u32,
        scaled: u32,
        offset: i64,
        length: u32,
        interpolation: Interpolation,
        mirrored: bool,
    ) -> Self {
        let mut taps = Self { places: Vec::with_capacity(length as usize), weights: Vec::new() };
        let ratio = f64::from(side) / f64::from(scaled);
        // When an image shrinks, the kernel grows with it, so that every source pixel counts.
        let stretch = ratio.max(1.0);
        for output in 0..i64::from(length) {
            let at = output - offset;
            if at < 0 || at >= i64::from(scaled) {
                taps.places.push(None);
                continue;
            }
            let at = if mirrored { i64::from(scaled) - 1 - at } else { at };
            let center = (at as f64 + 0.5) * ratio;
            let support = match interpolation {
                Interpolation::Nearest => {
                    let start = taps.weights.len();
                    taps.weights.push(1.0);
                    taps.places.push(Some(((center as usize).min(side as usize - 1), start, start + 1)));
                    continue;
                }
                Interpolation::Bilinear => stretch,
                Interpolation::Bicubic => 2.0 * stretch,
            };
            let first = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(side as usize);
            let weigh = |source: usize| kernel((source as f64 + 0.5 - center) / stretch, interpolation);
            let total: f64 = (first..end).map(weigh).sum();
            let start = taps.weights.len();
            taps.weights.extend((first..end).map(|source| (weigh(source) / total) as f32));
            taps.places.push(Some((first, start, taps.weights.len())));
        }
        taps
    }

    #[inline(always)]
    pub(super) fn at(&self, output: usize) -> Option<(usize, &[f32])> {
        self.places[output].map(|(first, start, end)| (first, &self.weights[start..end]))
    }
}

/// Weight at a distance in pixels; the cubic one has a = −0.5.
fn kernel(distance: f64, interpolation: Interpolation) -> f64 {
    let x = distance.abs();
    match interpolation {
        Interpolation::Nearest | Interpolation::Bilinear => (1.0 - x).max(0.0),
        Interpolation::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
        Interpolation::Bicubic if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
        Interpolation::Bicubic => 0.0,
    }
}
