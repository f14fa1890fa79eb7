//! Affine and perspective maps, as OpenCV's `warpAffine` and `warpPerspective`; places between pixels are exact here, where
//! OpenCV rounds them to 1/32.

use crate::work::Work;
use crate::{Border, Image, ImageError, Pixels, ResizeFilter, check_size};

/// Steps a pixel.
const STEPS: u64 = 24;

/// No image has such a place; beyond it places are not told apart.
const FAR: f64 = 1e12;

/// Rows of a matrix of three by three.
type Matrix = [[f64; 3]; 3];

impl Image {
    /// The image under an affine map: two rows of three, from source to destination.
    ///
    /// # Errors
    /// As [`Image::warp_perspective_in`].
    pub fn warp_affine_in(
        &self,
        work: &Work,
        matrix: [f64; 6],
        size: (u32, u32),
        filter: ResizeFilter,
        border: Border,
    ) -> Result<Self, ImageError> {
        let [a, b, c, d, e, f] = matrix;
        self.warp_perspective_in(work, [a, b, c, d, e, f, 0.0, 0.0, 1.0], size, filter, border)
    }

    /// The image under a perspective map: three rows of three, from source to destination. The filter is `Nearest` or
    /// `Bilinear`; what lies outside of the image is `border`.
    ///
    /// # Errors
    /// [`ImageError::Invalid`] for numbers that are not finite, a map that cannot be inverted and an opacity that the format
    /// cannot hold, [`ImageError::Unsupported`] for another filter and formats without 8 bits; those of [`check_size`], [`Image::view`] and `work`.
    pub fn warp_perspective_in(
        &self,
        work: &Work,
        matrix: [f64; 9],
        (width, height): (u32, u32),
        filter: ResizeFilter,
        border: Border,
    ) -> Result<Self, ImageError> {
        self.format().require_8_bits("a warp")?;
        let bilinear = match filter {
            ResizeFilter::Nearest => false,
            ResizeFilter::Bilinear => true,
            other => {
                return Err(ImageError::Unsupported(format!("a warp is nearest or bilinear, not {}", other.name())));
            }
        };
        let fill = match border {
            Border::Constant(ink) => ink.pixel(self.format())?,
            Border::Replicate | Border::Reflect101 => [0; 4],
        };
        let [a, b, c, d, e, f, g, h, i] = matrix;
        let inverse = inverted([[a, b, c], [d, e, f], [g, h, i]])?;
        check_size(width, height)?;
        let view = self.view_in(work)?;
        let channels = view.format().channels();
        let length = width as usize * height as usize * channels;
        let held = work.take(length as u64)?;
        let mut data = Vec::with_capacity(length);
        let pixel = |x: f64, y: f64| {
            let column = border.place(x as i64, view.width());
            let row = border.place(y as i64, view.height());
            match (column, row) {
                (Some(x), Some(y)) => &view.row(y as u32)[x * channels..][..channels],
                _ => &fill[..channels],
            }
        };
        for y in 0..height {
            work.spend(STEPS * u64::from(width))?;
            for x in 0..width {
                let at = |row: [f64; 3]| row[0] * f64::from(x) + row[1] * f64::from(y) + row[2];
                let depth = at(inverse[2]);
                let place = |row| if depth == 0.0 { 0.0 } else { (at(row) / depth).clamp(-FAR, FAR) };
                let (x, y) = (place(inverse[0]), place(inverse[1]));
                if !bilinear {
                    data.extend_from_slice(pixel(x.round_ties_even(), y.round_ties_even()));
                    continue;
                }
                let (left, top) = (x.floor(), y.floor());
                let (right_share, bottom_share) = ((x - left) as f32, (y - top) as f32);
                let upper = (pixel(left, top), pixel(left + 1.0, top));
                let lower = (pixel(left, top + 1.0), pixel(left + 1.0, top + 1.0));
                for channel in 0..channels {
                    let between = |(a, b): (&[u8], &[u8])| {
                        let (a, b) = (f32::from(a[channel]), f32::from(b[channel]));
                        a + (b - a) * right_share
                    };
                    let (upper, lower) = (between(upper), between(lower));
                    data.push((upper + (lower - upper) * bottom_share).round_ties_even() as u8);
                }
            }
        }
        Ok(Self::from_pixels(Pixels::from_held(width, height, view.format(), data, held)))
    }
}

/// From destination to source.
fn inverted(m: Matrix) -> Result<Matrix, ImageError> {
    if !m.iter().flatten().all(|value| value.is_finite()) {
        return Err(ImageError::invalid("the numbers of a matrix must be finite"));
    }
    let minor = |r: [usize; 2], c: [usize; 2]| m[r[0]][c[0]] * m[r[1]][c[1]] - m[r[0]][c[1]] * m[r[1]][c[0]];
    let others = |index: usize| match index {
        0 => [1, 2],
        1 => [0, 2],
        _ => [0, 1],
    };
    let cofactor = |row: usize, column: usize| {
        let minor = minor(others(row), others(column));
        if (row + column).is_multiple_of(2) { minor } else { -minor }
    };
    let determinant: f64 = (0..3).map(|column| m[0][column] * cofactor(0, column)).sum();
    let inverse: Matrix = std::array::from_fn(|row| std::array::from_fn(|column| cofactor(column, row) / determinant));
    if determinant == 0.0 || !inverse.iter().flatten().all(|value| value.is_finite()) {
        return Err(ImageError::invalid("the matrix cannot be inverted"));
    }
    Ok(inverse)
}
