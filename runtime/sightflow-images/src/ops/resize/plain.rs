//! Convolution in f32, row by row: for targets that are tiny, and for means of areas.

use std::collections::VecDeque;

use super::ResizeFilter;
use crate::work::Work;
use crate::{ImageError, PixelFormat, Pixels, View};

/// Weights of the source pixels of one target column or row; taps beyond an edge count for the edge.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

fn taps(work: &Work, from: u32, to: u32, filter: ResizeFilter) -> Result<Vec<Taps>, ImageError> {
    let widened = (f64::from(from) / f64::from(to)).max(1.0);
    let weights = (2.0 * filter.support() * widened).ceil() as u64 + 2;
    work.spend(u64::from(to) * (32 + 16 * weights))?;
    Ok(all_taps(from, to, filter))
}

fn all_taps(from: u32, to: u32, filter: ResizeFilter) -> Vec<Taps> {
    if from == to {
        return (0..from as usize).map(|first| Taps { first, weights: vec![1.0] }).collect();
    }
    if filter == ResizeFilter::Area {
        return (0..to).map(|target| covered(from, to, target)).collect();
    }
    let scale = f64::from(from) / f64::from(to);
    let widened = scale.max(1.0);
    let reach = filter.support() * widened;
    let last = i64::from(from) - 1;
    (0..to)
        .map(|target| {
            let centre = (f64::from(target) + 0.5) * scale - 0.5;
            let (start, end) = ((centre - reach).ceil() as i64, (centre + reach).floor() as i64);
            let (first, final_tap) = (start.clamp(0, last), end.clamp(0, last));
            let mut weights = vec![0.0; (final_tap - first + 1) as usize];
            for tap in start..=end {
                weights[(tap.clamp(0, last) - first) as usize] += filter.weight((tap as f64 - centre) / widened);
            }
            let total: f64 = weights.iter().sum();
            Taps { first: first as usize, weights: weights.iter().map(|weight| (weight / total) as f32).collect() }
        })
        .collect()
}

/// The pixels that one of `to` equal parts of a line of `from` pixels covers, each by how much of it is covered.
fn covered(from: u32, to: u32, target: u32) -> Taps {
    let (from, to, target) = (u64::from(from), u64::from(to), u64::from(target));
    if to >= from {
        return Taps { first: ((2 * target + 1) * from / (2 * to)) as usize, weights: vec![1.0] };
    }
    // In whole `to`-ths of a pixel, so that nothing is rounded.
    let (start, end) = (target * from, (target + 1) * from);
    let (first, past) = (start / to, end.div_ceil(to));
    let overlap = |pixel: u64| end.min((pixel + 1) * to) - start.max(pixel * to);
    Taps { first: first as usize, weights: (first..past).map(|pixel| overlap(pixel) as f32 / from as f32).collect() }
}

/// Rows first, then columns, in f32; alpha is premultiplied, as in the vectorised form.
pub(super) fn resize(
    work: &Work,
    view: &View,
    (width, height): (u32, u32),
    filter: ResizeFilter,
) -> Result<Pixels, ImageError> {
    let channels = view.format().channels();
    let stride = width as usize * channels;
    let length = width as usize * height as usize * view.format().bytes();
    // A kernel of three lobes reaches over at most eight rows of the smaller grid.
    let held = work.take((length + 9 * stride * size_of::<f32>()) as u64)?;
    let mut source = Rows::new(work, view, width, filter)?;
    let lines = taps(work, view.height(), height, filter)?;
    let mut data = Vec::with_capacity(length);
    let finish = |sums: &mut [f32], data: &mut Vec<u8>| {
        if view.format() == PixelFormat::Rgba8 {
            sums.as_chunks_mut::<4>().0.iter_mut().for_each(|[r, g, b, a]| {
                let scale = if *a > 0.5 { 255.0 / *a } else { 0.0 };
                [r, g, b].into_iter().for_each(|c| *c *= scale);
            });
        }
        match view.format() {
            PixelFormat::Gray8 | PixelFormat::Rgb8 | PixelFormat::Rgba8 => {
                data.extend(sums.iter().map(|sum| (sum + 0.5) as u8));
            }
            PixelFormat::Gray16 => data.extend(sums.iter().flat_map(|sum| ((sum + 0.5) as u16).to_le_bytes())),
            PixelFormat::Float32 => data.extend(sums.iter().flat_map(|sum| sum.to_le_bytes())),
        }
    };
    if height >= view.height() {
        // Each target row is made of a few source rows, which the next one needs, too.
        let mut near: VecDeque<(usize, Vec<f32>)> = VecDeque::new();
        let mut sums = vec![0.0; stride];
        for line in &lines {
            while near.front().is_some_and(|(y, _)| *y < line.first) {
                near.pop_front();
            }
            let next = near.back().map_or(line.first, |(y, _)| y + 1);
            for y in next..line.first + line.weights.len() {
                near.push_back((y, source.row(work, y)?));
            }
            work.spend((stride * (line.weights.len() + 1)) as u64)?;
            sums.fill(0.0);
            for ((_, row), weight) in near.iter().zip(&line.weights) {
                add(&mut sums, row, *weight);
            }
            finish(&mut sums, &mut data);
        }
    } else {
        // Each source row is part of a few target rows, which are summed at the same time.
        let mut open: VecDeque<Vec<f32>> = VecDeque::new();
        let (mut done, mut begun) = (0, 0);
        for y in 0..view.height() as usize {
            while lines.get(begun).is_some_and(|line| line.first <= y) {
                open.push_back(vec![0.0; stride]);
                begun += 1;
            }
            let row = source.row(work, y)?;
            work.spend((stride * open.len()) as u64)?;
            for (line, sums) in lines[done..].iter().zip(&mut open) {
                add(sums, &row, line.weights.get(y - line.first).copied().unwrap_or(0.0));
            }
            while let Some(line) =
                lines.get(done).filter(|line| done < begun && line.first + line.weights.len() <= y + 1)
            {
                done += 1;
                work.spend(stride as u64 + line.weights.len() as u64)?;
                if let Some(mut sums) = open.pop_front() {
                    finish(&mut sums, &mut data);
                }
            }
        }
    }
    Ok(Pixels::from_held(width, height, view.format(), data, held))
}

fn add(sums: &mut [f32], row: &[f32], weight: f32) {
    sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += weight * value);
}

/// Rows of a view at another width.
struct Rows<'a> {
    view: &'a View,
    columns: Vec<Taps>,
    /// Multiplications of one row.
    cost: u64,
    source: Vec<f32>,
}

impl<'a> Rows<'a> {
    fn new(work: &Work, view: &'a View, width: u32, filter: ResizeFilter) -> Result<Self, ImageError> {
        let columns = taps(work, view.width(), width, filter)?;
        let weights: usize = columns.iter().map(|taps| taps.weights.len() + 1).sum();
        let cost = ((weights + 2 * view.width() as usize) * view.format().channels()) as u64;
        Ok(Self { view, columns, cost, source: Vec::new() })
    }

    fn row(&mut self, work: &Work, y: usize) -> Result<Vec<f32>, ImageError> {
        work.spend(self.cost)?;
        let channels = self.view.format().channels();
        self.source.clear();
        let row = self.view.row(y as u32);
        match self.view.format() {
            PixelFormat::Gray8 | PixelFormat::Rgb8 | PixelFormat::Rgba8 => {
                self.source.extend(row.iter().map(|&v| f32::from(v)));
            }
            PixelFormat::Gray16 => {
                self.source.extend(row.as_chunks::<2>().0.iter().map(|&v| f32::from(u16::from_le_bytes(v))));
            }
            PixelFormat::Float32 => self.source.extend(row.as_chunks::<4>().0.iter().map(|&v| f32::from_le_bytes(v))),
        }
        if self.view.format() == PixelFormat::Rgba8 {
            self.source.as_chunks_mut::<4>().0.iter_mut().for_each(|[r, g, b, a]| {
                [r, g, b].into_iter().for_each(|c| *c *= *a / 255.0);
            });
        }
        let mut narrow = vec![0.0f32; self.columns.len() * channels];
        for (out, taps) in narrow.chunks_exact_mut(channels).zip(&self.columns) {
            let pixels = self.source[taps.first * channels..].chunks_exact(channels);
            for (pixel, weight) in pixels.zip(&taps.weights) {
                add(out, pixel, *weight);
            }
        }
        Ok(narrow)
    }
}
