//! Equalisation of the lightness L of CIELAB; colour stays.

use std::sync::LazyLock;

use sightflow_block::{Color, Image, ImageError, PixelFormat, Rect};

use crate::surface::{self, stripes};

/// What becomes of each of 256 levels of lightness.
type Table = [f64; 256];

/// Equalises the whole image at once.
pub(super) fn equalize(rgb: &Image) -> Result<Image, ImageError> {
    let histograms = histograms(rgb, 1)?;
    if levels(&histograms[0]) < 2 {
        return Ok(rgb.clone());
    }
    let table = cumulative(&histograms[0]);
    apply(rgb, |_, _, level| interpolate(&table, level))
}

/// Contrast-limited adaptive equalisation: a table for each tile, mixed linearly between the tiles' centres.
pub(super) fn clahe(rgb: &Image, clip_limit: f64, grid: u32) -> Result<Image, ImageError> {
    let (width, height) = rgb.size();
    let grid = grid.min(width).min(height);
    let histograms = histograms(rgb, grid)?;
    if histograms.iter().all(|histogram| levels(histogram) < 2) {
        return Ok(rgb.clone());
    }
    let tables: Vec<_> = histograms.iter().map(|histogram| cumulative(&clipped(histogram, clip_limit))).collect();
    let tiles = grid as usize;
    // The two tiles whose centres enclose a place, and the share of the second.
    let around = |v: u32, length: u32| {
        let place = ((f64::from(v) + 0.5) * f64::from(grid) / f64::from(length) - 0.5).clamp(0.0, f64::from(grid - 1));
        let first = place as usize;
        (first, (first + 1).min(tiles - 1), place - first as f64)
    };
    apply(rgb, |x, y, level| {
        let ((left, right, dx), (top, bottom, dy)) = (around(x, width), around(y, height));
        let at = |row: usize, column: usize| interpolate(&tables[row * tiles + column], level);
        let upper = at(top, left) * (1.0 - dx) + at(top, right) * dx;
        let lower = at(bottom, left) * (1.0 - dx) + at(bottom, right) * dx;
        upper * (1.0 - dy) + lower * dy
    })
}

/// How many levels occur.
fn levels(histogram: &[f64; 256]) -> usize {
    histogram.iter().filter(|count| **count > 0.0).count()
}

/// For each of grid × grid tiles, row by row, how often each level of lightness occurs.
fn histograms(rgb: &Image, grid: u32) -> Result<Vec<[f64; 256]>, ImageError> {
    let (width, height) = rgb.size();
    let mut histograms = vec![[0.0; 256]; (grid * grid) as usize];
    let tile = |v: u32, length: u32| (u64::from(v) * u64::from(grid) / u64::from(length)) as usize;
    for (y, rows) in stripes(height, width as usize * 3) {
        let pixels = rgb.read(Rect { x: 0, y, width, height: rows }, PixelFormat::Rgb8)?;
        for (row, line) in (y..).zip(pixels.chunks_exact(width as usize * 3)) {
            let first = tile(row, height) * grid as usize;
            for (x, pixel) in (0..width).zip(line.chunks_exact(3)) {
                let level = 2.55 * Lab::of([pixel[0], pixel[1], pixel[2]]).lightness;
                histograms[first + tile(x, width)][level.round().clamp(0.0, 255.0) as usize] += 1.0;
            }
        }
    }
    Ok(histograms)
}

/// No level above `limit` times the mean count; what is cut off is spread over all levels.
fn clipped(histogram: &[f64; 256], limit: f64) -> [f64; 256] {
    let total: f64 = histogram.iter().sum();
    let most = (limit * total / 256.0).max(1.0);
    let excess: f64 = histogram.iter().map(|count| (count - most).max(0.0)).sum();
    histogram.map(|count| count.min(most) + excess / 256.0)
}

/// The table that makes the levels equally frequent.
fn cumulative(histogram: &[f64; 256]) -> Table {
    let total: f64 = histogram.iter().sum();
    let mut below = 0.0;
    histogram.map(|count| {
        below += count;
        255.0 * below / total.max(1.0)
    })
}

/// A table's value between levels.
fn interpolate(table: &Table, level: f64) -> f64 {
    let level = level.clamp(0.0, 255.0);
    let first = level as usize;
    let share = level - first as f64;
    table[first] * (1.0 - share) + table[(first + 1).min(255)] * share
}

/// Every pixel's lightness changed by a function of column, row and level.
fn apply(rgb: &Image, change: impl Fn(u32, u32, f64) -> f64) -> Result<Image, ImageError> {
    let (width, height) = rgb.size();
    let mut canvas = surface::canvas((width, height), PixelFormat::Rgb8, Color::default())?;
    for (y, rows) in stripes(height, width as usize * 3) {
        let area = Rect { x: 0, y, width, height: rows };
        let mut pixels = rgb.read(area, PixelFormat::Rgb8)?;
        for (row, line) in (y..).zip(pixels.chunks_exact_mut(width as usize * 3)) {
            for (x, pixel) in (0..width).zip(line.chunks_exact_mut(3)) {
                let lab = Lab::of([pixel[0], pixel[1], pixel[2]]);
                let lightness = change(x, row, 2.55 * lab.lightness) / 2.55;
                pixel.copy_from_slice(&Lab { lightness, ..lab }.rgb());
            }
        }
        canvas.write(area, PixelFormat::Rgb8, &pixels)?;
    }
    Ok(canvas.finish())
}

/// CIELAB under D65.
#[derive(Debug, Clone, Copy)]
struct Lab {
    /// 0..=100.
    lightness: f64,
    a: f64,
    b: f64,
}

/// X and Z of white; its Y is 1.
const WHITE: [f64; 2] = [0.950_456, 1.088_754];

/// Light intensity 0..=1 of each sRGB value.
static LINEAR: LazyLock<[f64; 256]> = LazyLock::new(|| {
    std::array::from_fn(|v| {
        let v = v as f64 / 255.0;
        if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    })
});

impl Lab {
    fn of(rgb: [u8; 3]) -> Self {
        let [r, g, b] = rgb.map(|v| LINEAR[usize::from(v)]);
        let x = (0.412_453 * r + 0.357_580 * g + 0.180_423 * b) / WHITE[0];
        let y = 0.212_671 * r + 0.715_160 * g + 0.072_169 * b;
        let z = (0.019_334 * r + 0.119_193 * g + 0.950_227 * b) / WHITE[1];
        let f = |t: f64| if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 };
        Self { lightness: 116.0 * f(y) - 16.0, a: 500.0 * (f(x) - f(y)), b: 200.0 * (f(y) - f(z)) }
    }

    fn rgb(self) -> [u8; 3] {
        let fy = (self.lightness + 16.0) / 116.0;
        let (fx, fz) = (fy + self.a / 500.0, fy - self.b / 200.0);
        let back = |f: f64| if f > 0.206_893 { f * f * f } else { (f - 16.0 / 116.0) / 7.787 };
        let (x, y, z) = (back(fx) * WHITE[0], back(fy), back(fz) * WHITE[1]);
        let linear = [
            3.240_479 * x - 1.537_150 * y - 0.498_535 * z,
            -0.969_256 * x + 1.875_992 * y + 0.041_556 * z,
            0.055_648 * x - 0.204_043 * y + 1.057_311 * z,
        ];
        linear.map(|v| {
            let v = if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
            (255.0 * v).round().clamp(0.0, 255.0) as u8
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Lab;

    #[test]
    fn lab_is_reversible() {
        for rgb in [[0, 0, 0], [255, 255, 255], [255, 0, 0], [12, 200, 99], [1, 2, 3], [100, 100, 100]] {
            assert_eq!(Lab::of(rgb).rgb(), rgb);
        }
        assert!((Lab::of([255, 255, 255]).lightness - 100.0).abs() < 0.01);
        assert!((Lab::of([119, 119, 119]).lightness - 50.03).abs() < 0.05);
    }
}
