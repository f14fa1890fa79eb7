//! CIE L*a*b* (D65) in 8 bits with the whole numbers that OpenCV's `cvtColor` computes with.

use std::sync::LazyLock;

/// Tables for both ways; they are the same for every image.
pub(super) static LAB: LazyLock<Lab> = LazyLock::new(Lab::new);

/// From sRGB to XYZ, and back.
const TO_XYZ: [[f64; 3]; 3] =
    [[0.412_453, 0.357_58, 0.180_423], [0.212_671, 0.715_16, 0.072_169], [0.019_334, 0.119_193, 0.950_227]];
const FROM_XYZ: [[f64; 3]; 3] =
    [[3.240_479, -1.537_15, -0.498_535], [-0.969_256, 1.875_991, 0.041_556], [0.055_648, -0.204_043, 1.057_311]];

/// XYZ of white.
const WHITE: [f64; 3] = [0.950_456, 1.0, 1.088_754];

/// Bits behind the point of the matrices' numbers, and of roots.
const MATRIX: u32 = 12;
const ROOT: u32 = 15;

/// One, on the way back.
const ONE: i32 = 1 << 14;

/// Values of linear light: eight for each of the 255.
const LIGHTS: usize = 8 * 255 + 1;

pub(super) struct Lab {
    linear: [i32; 256],
    roots: [i32; LIGHTS],
    to_xyz: [[i32; 3]; 3],
    from_xyz: [[i32; 3]; 3],
    /// Of each lightness: Y and f(Y).
    lightness: [(i32, i32); 256],
    encoded: [u8; 4096],
}

fn whole(value: f64) -> i32 {
    value.round_ties_even() as i32
}

/// `value` without so many bits behind the point, rounded.
fn rounded(value: i32, bits: u32) -> i32 {
    (value + (1 << (bits - 1))) >> bits
}

fn times(matrix: &[[i32; 3]; 3], [a, b, c]: [i32; 3], bits: u32) -> [i32; 3] {
    matrix.map(|[x, y, z]| rounded(x * a + y * b + z * c, bits))
}

impl Lab {
    fn new() -> Self {
        let one = f64::from(1 << MATRIX);
        let linear = |value: usize| {
            let value = value as f64 / 255.0;
            let light = if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) };
            whole(light * (LIGHTS - 1) as f64)
        };
        let root = |light: usize| {
            let light = light as f64 / (LIGHTS - 1) as f64;
            let root = if light < 0.008_856 { light * 7.787 + 16.0 / 116.0 } else { light.cbrt() };
            whole(root * f64::from(1 << ROOT))
        };
        let lightness = |value: usize| {
            let value = value as f64;
            let (y, fy) = if value <= 20.0 {
                (value * 180.0 / 414_613.0, 16.0 / 116.0 + value * 5.0 / 1479.0)
            } else {
                let fy = (value * 100.0 / 255.0 + 16.0) / 116.0;
                (fy.powi(3), fy)
            };
            (whole(y * f64::from(ONE)), whole(fy * f64::from(ONE)))
        };
        let encoded = |light: usize| {
            let light = light as f64 / 4095.0;
            whole(255.0 * if light <= 0.003_130_8 { 12.92 * light } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 })
                as u8
        };
        let of = |number: &dyn Fn(usize, usize) -> f64| {
            std::array::from_fn(|row| std::array::from_fn(|column| whole(one * number(row, column))))
        };
        Self {
            linear: std::array::from_fn(linear),
            roots: std::array::from_fn(root),
            to_xyz: of(&|row, column| TO_XYZ[row][column] / WHITE[row]),
            from_xyz: of(&|row, column| FROM_XYZ[row][column] * WHITE[column]),
            lightness: std::array::from_fn(lightness),
            encoded: std::array::from_fn(encoded),
        }
    }

    pub(super) fn of_rgb(&self, rgb: [u8; 3]) -> [u8; 3] {
        let light = rgb.map(|value| self.linear[usize::from(value)]);
        let root = |value: i32| self.roots[value.clamp(0, LIGHTS as i32 - 1) as usize];
        let [fx, fy, fz] = times(&self.to_xyz, light, MATRIX).map(root);
        let middle = 128 << ROOT;
        let lab = [296 * fy - (((16 * 255) << ROOT) + 50) / 100, 500 * (fx - fy) + middle, 200 * (fy - fz) + middle];
        lab.map(|value| rounded(value, ROOT).clamp(0, 255) as u8)
    }

    pub(super) fn to_rgb(&self, [light, a, b]: [u8; 3]) -> [u8; 3] {
        let (y, fy) = self.lightness[usize::from(light)];
        // a/500 and b/200, both without their 128.
        let a = ((5 * i32::from(a) * 53_687 + (1 << 7)) >> 13) - 128 * ONE / 500;
        let b = ((i32::from(b) * 41_943 + (1 << 4)) >> 9) - 128 * ONE / 200 + 1;
        let power = |f: i32| if f <= 3390 { f * 108 / 841 - 290 } else { f * f / ONE * f / ONE };
        let light = times(&self.from_xyz, [power(fy + a), y, power(fy - b)], MATRIX + 2);
        light.map(|value| self.encoded[value.clamp(0, 4095) as usize])
    }
}
