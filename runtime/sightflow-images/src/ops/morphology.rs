//! Erosion, dilation and what is made of them, as OpenCV's `morphologyEx` defines them: the anchor is the middle of the
//! kernel, and what lies outside of the image does not count.

use sightflow_types::image_ops::{KernelShape, Morphology};

use crate::work::Work;
use crate::{Image, ImageError, Pixels, View};

/// Most columns and rows of a kernel.
const MOST: u32 = 255;

/// Most repetitions.
const MOST_ITERATIONS: u32 = 1000;

/// Which columns of each row of a kernel count, as OpenCV's `getStructuringElement`.
struct Kernel {
    runs: Vec<std::ops::Range<usize>>,
    anchor: (usize, usize),
}

impl Kernel {
    fn new(shape: KernelShape, (width, height): (u32, u32)) -> Result<Self, ImageError> {
        if !(1..=MOST).contains(&width) || !(1..=MOST).contains(&height) {
            return Err(ImageError::Invalid(format!("a kernel of {width}×{height}; each must be 1..{MOST}")));
        }
        let (width, height) = (width as usize, height as usize);
        let (column, row) = (width / 2, height / 2);
        let run = |y: usize| match shape {
            KernelShape::Rectangle => 0..width,
            KernelShape::Cross if y == row => 0..width,
            KernelShape::Cross => column..column + 1,
            KernelShape::Ellipse if width == 1 && height == 1 => 0..1,
            KernelShape::Ellipse => {
                let (radius, dy) = (row as f64, y as f64 - row as f64);
                if dy.abs() > radius {
                    return 0..0;
                }
                let share = if row == 0 { 0.0 } else { (radius * radius - dy * dy) / (radius * radius) };
                let dx = (column as f64 * share.sqrt()).round_ties_even() as usize;
                column.saturating_sub(dx)..(column + dx + 1).min(width)
            }
        };
        Ok(Self { runs: (0..height).map(run).collect(), anchor: (column, row) })
    }
}

/// Which of two values stays.
trait Choice {
    /// The value that never stays.
    const NOTHING: u8;
    fn choose(a: u8, b: u8) -> u8;
}

struct Least;
struct Greatest;

impl Choice for Least {
    const NOTHING: u8 = 255;
    fn choose(a: u8, b: u8) -> u8 {
        a.min(b)
    }
}

impl Choice for Greatest {
    const NOTHING: u8 = 0;
    fn choose(a: u8, b: u8) -> u8 {
        a.max(b)
    }
}

impl Image {
    /// The operation with a kernel of `kernel` (columns, rows) pixels, 1..=255 each. Erosion and dilation are repeated
    /// `iterations` times, 0..=1000, within every operation; 0 of them leave the image as it is.
    ///
    /// # Errors
    /// [`ImageError::Invalid`] for other numbers, [`ImageError::Unsupported`] for formats without 8 bits; those of [`Image::view`] and of `work`.
    pub fn morphology_in(
        &self,
        work: &Work,
        operation: Morphology,
        shape: KernelShape,
        kernel: (u32, u32),
        iterations: u32,
    ) -> Result<Self, ImageError> {
        self.format().require_8_bits("morphology")?;
        let kernel = Kernel::new(shape, kernel)?;
        if iterations > MOST_ITERATIONS {
            return Err(ImageError::Invalid(format!("{iterations} iterations; at most {MOST_ITERATIONS} are done")));
        }
        let erode = |image: &Self| repeated::<Least>(work, image, &kernel, iterations);
        let dilate = |image: &Self| repeated::<Greatest>(work, image, &kernel, iterations);
        match operation {
            Morphology::Erode => erode(self),
            Morphology::Dilate => dilate(self),
            Morphology::Open => dilate(&erode(self)?),
            Morphology::Close => erode(&dilate(self)?),
            Morphology::Gradient => dilate(self)?.less_in(work, &erode(self)?),
            Morphology::TopHat => self.less_in(work, &dilate(&erode(self)?)?),
            Morphology::BlackHat => erode(&dilate(self)?)?.less_in(work, self),
        }
    }
}

fn repeated<C: Choice>(work: &Work, image: &Image, kernel: &Kernel, times: u32) -> Result<Image, ImageError> {
    let mut image = image.clone();
    for _ in 0..times {
        image = Image::from_pixels(once::<C>(work, &image.view_in(work)?, kernel)?);
    }
    Ok(image)
}

/// Rows of the kernel with the same columns share one pass along the rows of the image.
fn once<C: Choice>(work: &Work, view: &View, kernel: &Kernel) -> Result<Pixels, ImageError> {
    let (width, height, channels) = (view.width() as usize, view.height() as usize, view.format().channels());
    let stride = width * channels;
    let held = work.take(view.bytes())?;
    let mut out = vec![C::NOTHING; stride * height];
    // Also room for the two lines of `along`.
    let _along = work.take(view.bytes() + 2 * (stride + kernel.runs[0].len().max(MOST as usize) * channels) as u64)?;
    let mut filtered = vec![0; stride * height];
    let mut runs: Vec<_> = kernel.runs.iter().filter(|run| !run.is_empty()).collect();
    runs.sort_by_key(|run| (run.start, run.end));
    runs.dedup();
    for run in runs {
        let passes = 3 + u64::from(run.len().ilog2());
        let mut lines = (Vec::new(), Vec::new());
        for (y, out) in filtered.chunks_exact_mut(stride).enumerate() {
            work.spend(16 + passes * stride as u64 / 8)?;
            along::<C>(view.row(y as u32), run, kernel.anchor.0, channels, &mut lines, out);
        }
        for (y, out) in out.chunks_exact_mut(stride).enumerate() {
            for (row, _) in kernel.runs.iter().enumerate().filter(|(_, other)| *other == run) {
                let Some(source) = (y + row).checked_sub(kernel.anchor.1).filter(|source| *source < height) else {
                    continue;
                };
                work.spend(4 + stride as u64 / 16)?;
                let line = &filtered[source * stride..][..stride];
                out.iter_mut().zip(line).for_each(|(out, &value)| *out = C::choose(*out, value));
            }
        }
    }
    Ok(Pixels::from_held(view.width(), view.height(), view.format(), out, held))
}

/// What stays of each `run` of columns: windows of 1, 2, 4 … pixels, then two that overlap.
fn along<C: Choice>(
    row: &[u8],
    run: &std::ops::Range<usize>,
    anchor: usize,
    channels: usize,
    (line, next): &mut (Vec<u8>, Vec<u8>),
    out: &mut [u8],
) {
    let length = run.len();
    // The first place of the line stands for this column, which may lie outside.
    let first = run.start as i64 - anchor as i64;
    let columns = (row.len() / channels) as i64;
    let before = (-first).clamp(0, columns + length as i64 - 1) as usize;
    let (from, to) =
        (first.clamp(0, columns) as usize, (first + columns + length as i64 - 1).clamp(0, columns) as usize);
    line.clear();
    line.resize(before * channels, C::NOTHING);
    line.extend_from_slice(&row[from * channels..to * channels]);
    line.resize((columns as usize + length - 1) * channels, C::NOTHING);
    let mut window = 1;
    while 2 * window <= length {
        next.clear();
        next.extend(line.iter().zip(&line[window * channels..]).map(|(&a, &b)| C::choose(a, b)));
        std::mem::swap(line, next);
        window *= 2;
    }
    let second = &line[(length - window) * channels..];
    out.iter_mut().zip(line.iter().zip(second)).for_each(|(out, (&a, &b))| *out = C::choose(a, b));
}
