//! Gaussian blur, separable, border reflect-101.

use crate::work::Work;
use crate::{ImageError, Pixels, View};

/// Above this the kernel is applied as three running means, whose cost does not grow with sigma.
const LARGEST_EXACT_SIGMA: f32 = 20.0;

/// `sigma` in 0 exclusive..=1000.
pub(crate) fn gaussian(work: &Work, view: &View, sigma: f32) -> Result<Pixels, ImageError> {
    view.format().require_8_bits("blurring")?;
    let (w, h, channels) = (view.width() as usize, view.height() as usize, view.format().channels());
    let line = if sigma <= LARGEST_EXACT_SIGMA { Kernel::weights(sigma) } else { Kernel::means(sigma) };
    let (stride, length) = (w * channels, w * h * channels);
    let held = work.take((2 * length + line.scratch_bytes(w, channels).max(line.scratch_bytes(h, BAND))) as u64)?;
    // Rows: one line of interleaved channels; neighbours are `channels` apart.
    let mut rows = Vec::with_capacity(length);
    let mut scratch = Scratch::default();
    for row in view.rows() {
        work.spend(line.steps(w, channels))?;
        line.apply(&mut scratch, w, channels, |i| &row[i * channels..], &mut rows);
    }
    // Columns, a band of them at a time: as one line whose elements are `BAND` bytes wide.
    let mut data = vec![0; length];
    let mut column = Vec::new();
    for left in (0..stride).step_by(BAND) {
        let width = BAND.min(stride - left);
        column.clear();
        work.spend(line.steps(h, width))?;
        line.apply(&mut scratch, h, width, |y| &rows[y * stride + left..][..width], &mut column);
        for (y, part) in column.chunks_exact(width).enumerate() {
            data[y * stride + left..][..width].copy_from_slice(part);
        }
    }
    drop(rows);
    Ok(Pixels::from_held(view.width(), view.height(), view.format(), data, held))
}

/// Bytes of a row that are blurred together, downwards.
const BAND: usize = 96;

enum Kernel {
    /// Weights from the centre outwards.
    Weights(Vec<f32>),
    /// Radius of three means in a row: whole elements, and the weight of the two outermost ones.
    Means { whole: usize, fraction: f32 },
}

/// Buffers that are used again for every line.
#[derive(Default)]
struct Scratch {
    line: Vec<f32>,
    sums: Vec<f32>,
}

impl Kernel {
    fn weights(sigma: f32) -> Self {
        let radius = (3.0 * sigma).ceil().max(1.0) as usize;
        let sigma = f64::from(sigma);
        let weights: Vec<f64> = (0..=radius).map(|i| (-0.5 * (i as f64 / sigma).powi(2)).exp()).collect();
        let total = weights[0] + 2.0 * weights[1..].iter().sum::<f64>();
        Self::Weights(weights.iter().map(|weight| (weight / total) as f32).collect())
    }

    /// Three means of one radius whose variances add up to σ²: with `r` whole elements on each side and two of weight
    /// `f`, one mean has variance `(r(r+1)(2r+1)/3 + 2f(r+1)²) / (2r+1+2f)`.
    fn means(sigma: f32) -> Self {
        let variance = f64::from(sigma).powi(2) / 3.0;
        let whole = ((12.0 * variance + 1.0).sqrt() / 2.0 - 0.5).floor();
        let (length, squares) = (2.0 * whole + 1.0, whole * (whole + 1.0) * (2.0 * whole + 1.0) / 3.0);
        let fraction = (variance * length - squares) / (2.0 * ((whole + 1.0).powi(2) - variance));
        Self::Means { whole: whole as usize, fraction: fraction.clamp(0.0, 1.0) as f32 }
    }

    /// Elements that a line needs beyond each end.
    fn margin(&self) -> usize {
        match self {
            Self::Weights(weights) => weights.len() - 1,
            Self::Means { whole, .. } => 3 * (whole + 1),
        }
    }

    /// What [`Kernel::apply`] costs for one line.
    fn steps(&self, count: usize, size: usize) -> u64 {
        let values = (count + 2 * self.margin()) * size;
        let passes = match self {
            // Four multiplications at once, at least.
            Self::Weights(weights) => 2 + weights.len() / 4,
            Self::Means { .. } => 8,
        };
        (16 + values * passes) as u64
    }

    /// Bytes of the buffers for one line.
    fn scratch_bytes(&self, count: usize, size: usize) -> usize {
        (count + 2 * self.margin()) * size * 2 * size_of::<f32>()
    }

    /// Blurs one line of `count` elements of `size` bytes each and appends the result to `out`. `from` gives the bytes
    /// from an element on: at least that element, and as many as lie next to each other.
    fn apply<'a>(
        &self,
        scratch: &mut Scratch,
        count: usize,
        size: usize,
        from: impl Fn(usize) -> &'a [u8],
        out: &mut Vec<u8>,
    ) {
        let margin = self.margin();
        scratch.line.clear();
        let mut append = |bytes: &[u8]| scratch.line.extend(bytes.iter().map(|&byte| f32::from(byte)));
        for i in 1..=margin {
            append(&from(reflect(i as isize - 1 - margin as isize, count))[..size]);
        }
        let mut next = 0;
        while next < count {
            let bytes = from(next);
            append(bytes);
            next += bytes.len() / size;
        }
        for i in 0..margin {
            append(&from(reflect((count + i) as isize, count))[..size]);
        }
        match self {
            Self::Weights(weights) => {
                let length = count * size;
                scratch.sums.clear();
                scratch.sums.extend(scratch.line[margin * size..][..length].iter().map(|v| v * weights[0]));
                for (distance, weight) in weights.iter().enumerate().skip(1) {
                    let before = &scratch.line[(margin - distance) * size..][..length];
                    let after = &scratch.line[(margin + distance) * size..][..length];
                    for ((sum, a), b) in scratch.sums.iter_mut().zip(before).zip(after) {
                        *sum += weight * (a + b);
                    }
                }
                out.extend(scratch.sums.iter().map(|sum| (sum + 0.5) as u8));
            }
            Self::Means { whole, fraction } => {
                for _ in 0..3 {
                    mean(&scratch.line, size, *whole, *fraction, &mut scratch.sums);
                    std::mem::swap(&mut scratch.line, &mut scratch.sums);
                }
                out.extend(scratch.line.iter().map(|value| (value + 0.5) as u8));
            }
        }
    }
}

/// A running mean; the result is `whole + 1` elements shorter on each side.
fn mean(line: &[f32], size: usize, whole: usize, fraction: f32, out: &mut Vec<f32>) {
    let radius = whole + 1;
    let count = line.len() / size;
    let weight = 1.0 / (2.0 * f64::from(fraction) + (2 * whole + 1) as f64);
    let element = |i: usize| &line[i * size..][..size];
    // In f64, so that a long running sum does not drift.
    let mut sums = vec![0.0f64; size];
    for i in 1..2 * radius {
        sums.iter_mut().zip(element(i)).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    out.clear();
    for centre in radius..count - radius {
        let (before, after) = (element(centre - radius), element(centre + radius));
        out.extend(sums.iter().zip(before).zip(after).map(|((sum, before), after)| {
            ((sum + f64::from(fraction) * (f64::from(*before) + f64::from(*after))) * weight) as f32
        }));
        let leaves = element(centre - whole);
        for ((sum, enters), leaves) in sums.iter_mut().zip(after).zip(leaves) {
            *sum += f64::from(*enters) - f64::from(*leaves);
        }
    }
}

/// Index of the element that stands at `i` when a line of `count` is mirrored at its outermost elements.
fn reflect(i: isize, count: usize) -> usize {
    if count == 1 {
        return 0;
    }
    let period = 2 * (count - 1);
    let i = i.rem_euclid(period as isize) as usize;
    if i < count { i } else { period - i }
}
