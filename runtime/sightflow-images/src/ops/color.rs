//! Colour spaces of three channels of 8 bits, as OpenCV's `cvtColor` lays them out.

use crate::work::Work;
use crate::{Image, ImageError, PixelFormat, Pixels};

/// What the three channels of an rgb8 image mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColorSpace {
    /// Red, green, blue of sRGB.
    Rgb,
    /// Hue in halves of degrees (0..180), saturation, value.
    Hsv,
    /// CIE L*a*b* (D65): L·255/100, a + 128, b + 128.
    Lab,
}

impl ColorSpace {
    /// Every space.
    pub const ALL: [Self; 3] = [Self::Rgb, Self::Hsv, Self::Lab];

    /// What users call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rgb => "rgb",
            Self::Hsv => "hsv",
            Self::Lab => "lab",
        }
    }
}

/// Steps a pixel: roots and powers are slow.
const STEPS: u64 = 48;

impl Image {
    /// From one colour space to another, both as rgb8. Between hsv and lab the way is through rgb. From rgb to hsv it is
    /// OpenCV's answer; elsewhere it may differ from it by 1, and on the way back from lab by 2.
    ///
    /// # Errors
    /// [`ImageError::Invalid`] for another format; those of [`Image::view`] and of `work`.
    pub fn convert_color_in(&self, work: &Work, current: ColorSpace, wanted: ColorSpace) -> Result<Self, ImageError> {
        if self.format() != PixelFormat::Rgb8 {
            return Err(ImageError::Invalid(format!("colour spaces need rgb8, not {}", self.format().name())));
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
                    ColorSpace::Lab => lab_to_rgb(*pixel),
                };
                data.extend_from_slice(&match wanted {
                    ColorSpace::Rgb => rgb,
                    ColorSpace::Hsv => tables.hsv(rgb),
                    ColorSpace::Lab => tables.lab(rgb),
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
    linear: [f32; 256],
}

impl Tables {
    fn new() -> Self {
        let reciprocal = |scale: f64| {
            std::array::from_fn(|value| match value {
                0 => 0,
                _ => (scale * f64::from(1 << SHIFT) / value as f64).round_ties_even() as i32,
            })
        };
        let linear = |value: usize| {
            let value = value as f32 / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        Self { saturation: reciprocal(255.0), hue: reciprocal(30.0), linear: std::array::from_fn(linear) }
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

    fn lab(&self, rgb: [u8; 3]) -> [u8; 3] {
        let [red, green, blue] = rgb.map(|value| self.linear[usize::from(value)]);
        let x = (0.412_453 * red + 0.357_58 * green + 0.180_423 * blue) / WHITE.0;
        let y = 0.212_671 * red + 0.715_16 * green + 0.072_169 * blue;
        let z = (0.019_334 * red + 0.119_193 * green + 0.950_227 * blue) / WHITE.1;
        let f = |t: f32| if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 };
        let light = if y > 0.008_856 { 116.0 * y.cbrt() - 16.0 } else { 903.3 * y };
        let byte = |value: f32| value.round_ties_even() as u8;
        [byte(light * 2.55), byte(500.0 * (f(x) - f(y)) + 128.0), byte(200.0 * (f(y) - f(z)) + 128.0)]
    }
}

/// X and Z of the white of D65, Y being 1.
const WHITE: (f32, f32) = (0.950_456, 1.088_754);

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

fn lab_to_rgb([light, a, b]: [u8; 3]) -> [u8; 3] {
    let (light, a, b) = (f32::from(light) / 2.55, f32::from(a) - 128.0, f32::from(b) - 128.0);
    let (y, fy) = if light <= 8.0 {
        (light / 903.3, 7.787 * light / 903.3 + 16.0 / 116.0)
    } else {
        let fy = (light + 16.0) / 116.0;
        (fy * fy * fy, fy)
    };
    let inverse = |f: f32| if f > 6.0 / 29.0 { f * f * f } else { (f - 16.0 / 116.0) / 7.787 };
    let (x, z) = (inverse(fy + a / 500.0) * WHITE.0, inverse(fy - b / 200.0) * WHITE.1);
    let rgb = [
        3.240_479 * x - 1.537_15 * y - 0.498_535 * z,
        -0.969_256 * x + 1.875_991 * y + 0.041_556 * z,
        0.055_648 * x - 0.204_043 * y + 1.057_311 * z,
    ];
    rgb.map(|value: f32| {
        let value = value.clamp(0.0, 1.0);
        let encoded = if value <= 0.003_130_8 { 12.92 * value } else { 1.055 * value.powf(1.0 / 2.4) - 0.055 };
        (encoded * 255.0).round_ties_even() as u8
    })
}
