//! Colour spaces of three channels of 8 bits, as OpenCV's `cvtColor` lays them out.

use sightflow_types::image_ops::ColorSpace;

use super::lab::LAB;
use crate::work::Work;
use crate::{Image, ImageError, PixelFormat, Pixels};

/// Steps a pixel.
const STEPS: u64 = 48;

impl Image {
    /// From one colour space to another, both as rgb8. Between hsv and lab the way is through rgb. From rgb to hsv it is
    /// OpenCV's answer. To and from lab few values differ from it by 1, and from hsv many, for they are rounded here; where
    /// OpenCV takes several pixels at once, it cuts them off.
    ///
    /// # Errors
    /// [`ImageError::Unsupported`] for another format; those of [`Image::view`] and of `work`.
    pub fn convert_color_in(&self, work: &Work, current: ColorSpace, wanted: ColorSpace) -> Result<Self, ImageError> {
        if self.format() != PixelFormat::Rgb8 {
            return Err(ImageError::Unsupported(format!("colour spaces need rgb8, not {}", self.format().name())));
        }
        if current == wanted {
            return Ok(self.clone());
        }
        let view = self.view_in(work)?;
        let held = work.take(view.bytes())?;
        let mut data = Vec::with_capacity(view.bytes() as usize);
        let tables = Tables::new();
        for row in view.rows() {
            work.spend(STEPS * u64::from(view.width()))?;
            for pixel in row.as_chunks::<3>().0 {
                let rgb = match current {
                    ColorSpace::Rgb => *pixel,
                    ColorSpace::Hsv => hsv_to_rgb(*pixel),
                    ColorSpace::Lab => LAB.to_rgb(*pixel),
                };
                data.extend_from_slice(&match wanted {
                    ColorSpace::Rgb => rgb,
                    ColorSpace::Hsv => tables.hsv(rgb),
                    ColorSpace::Lab => LAB.of_rgb(rgb),
                });
            }
        }
        Ok(Self::from_pixels(Pixels::from_held(view.width(), view.height(), PixelFormat::Rgb8, data, held)))
    }
}

/// Bits behind the point of OpenCV's reciprocals.
const SHIFT: i32 = 12;

struct Tables {
    /// 255/v and 30/d, with [`SHIFT`] bits behind the point; 0 of 0.
    saturation: [i32; 256],
    hue: [i32; 256],
}

impl Tables {
    fn new() -> Self {
        let reciprocal = |scale: f64| {
            std::array::from_fn(|value| match value {
                0 => 0,
                _ => (scale * f64::from(1 << SHIFT) / value as f64).round_ties_even() as i32,
            })
        };
        Self { saturation: reciprocal(255.0), hue: reciprocal(30.0) }
    }

    fn hsv(&self, rgb: [u8; 3]) -> [u8; 3] {
        let [red, green, blue] = rgb.map(i32::from);
        let value = red.max(green).max(blue);
        let span = value - red.min(green).min(blue);
        let rounded = |product: i32| (product + (1 << (SHIFT - 1))) >> SHIFT;
        let saturation = rounded(span * self.saturation[value as usize]);
        let around = if value == red {
            green - blue
        } else if value == green {
            blue - red + 2 * span
        } else {
            red - green + 4 * span
        };
        let hue = rounded(around * self.hue[span as usize]);
        [if hue < 0 { hue + 180 } else { hue } as u8, saturation as u8, value as u8]
    }
}

fn hsv_to_rgb([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    let (saturation, value) = (f32::from(saturation) / 255.0, f32::from(value));
    let hue = f32::from(hue) / 30.0;
    let part = hue.fract();
    let low = value * (1.0 - saturation);
    let falling = value * (1.0 - saturation * part);
    let rising = value * (1.0 - saturation * (1.0 - part));
    let rgb = match hue as u32 % 6 {
        0 => [value, rising, low],
        1 => [falling, value, low],
        2 => [low, value, rising],
        3 => [low, falling, value],
        4 => [rising, low, value],
        _ => [value, low, falling],
    };
    rgb.map(|channel| channel.round_ties_even() as u8)
}
