//! Pixel values as a model sees them: `v = (p/255 − mean)/std`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sightflow_block::{BlockError, Color, Image, ImageError, PixelFormat, Rect};

use super::{CUSTOM, ChannelOrder, Layout, NormalizeConfig, Preset, Tensor};
use crate::surface::{self, stripes};

/// Most elements of a tensor.
const MAX_ELEMENTS: u64 = 1 << 20;

/// Mean and standard deviation of red, green and blue, in 0..255.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scaling {
    mean: [f64; 3],
    std: [f64; 3],
    unit: f64,
}

impl Scaling {
    /// The pixels themselves.
    pub(super) const PIXELS: Self = Self { mean: [0.0; 3], std: [1.0; 3], unit: 1.0 };

    pub(super) fn of(config: &NormalizeConfig) -> Result<Self, BlockError> {
        let (mean, std) = match config.preset {
            Preset::Imagenet | Preset::Dinov2 => ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            Preset::Clip => ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]),
            Preset::MinusOneOne => ([0.5; 3], [0.5; 3]),
            Preset::ZeroOne | Preset::Clahe | Preset::Histogram => ([0.0; 3], [1.0; 3]),
            Preset::None => return Ok(Self::PIXELS),
            Preset::Custom => {
                let mean = custom(config.mean.as_deref(), [config.mean_r, config.mean_g, config.mean_b])?;
                (mean, custom(config.std.as_deref(), [config.std_r, config.std_g, config.std_b])?)
            }
        };
        if std.iter().any(|v| *v <= 0.0) {
            return Err(BlockError::bad_config("std", "a standard deviation is above 0").key("std"));
        }
        Ok(Self { mean, std, unit: 255.0 })
    }

    pub(super) fn value(&self, channel: usize, pixel: u8) -> f64 {
        (f64::from(pixel) / self.unit - self.mean[channel]) / self.std[channel]
    }

    /// For each channel what becomes of each pixel value.
    fn table<T: Copy + Default>(&self, map: impl Fn(f64) -> T) -> [[T; 256]; 3] {
        let mut table = [[T::default(); 256]; 3];
        for (channel, values) in table.iter_mut().enumerate() {
            for (pixel, value) in (0u8..=255).zip(values) {
                *value = map(self.value(channel, pixel));
            }
        }
        table
    }
}

/// Three numbers, each from its own key or from the list.
fn custom(list: Option<&[f64]>, single: [Option<f64>; 3]) -> Result<[f64; 3], BlockError> {
    let mut values = [0.0; 3];
    for (channel, value) in values.iter_mut().enumerate() {
        let given = single[channel].or_else(|| list.and_then(|list| list.get(channel).copied()));
        *value = given.ok_or_else(|| BlockError::bad_config("missing", CUSTOM).key("preset"))?;
    }
    Ok(values)
}

/// The values for eyes.
pub(super) fn preview(rgb: &Image, scaling: &Scaling) -> Result<Image, ImageError> {
    let table = scaling.table(|v| (128.0 + 64.0 * v).round().clamp(0.0, 255.0) as u8);
    map_pixels(rgb, |[r, g, b]| [table[0][usize::from(r)], table[1][usize::from(g)], table[2][usize::from(b)]])
}

/// Every pixel of an RGB image changed, in stripes.
fn map_pixels(rgb: &Image, change: impl Fn([u8; 3]) -> [u8; 3]) -> Result<Image, ImageError> {
    let (width, height) = rgb.size();
    let mut canvas = surface::canvas((width, height), PixelFormat::Rgb8, Color::default())?;
    for (y, rows) in stripes(height, width as usize * 3) {
        let area = Rect { x: 0, y, width, height: rows };
        let mut pixels = rgb.read(area, PixelFormat::Rgb8)?;
        for pixel in pixels.chunks_exact_mut(3) {
            let changed = change([pixel[0], pixel[1], pixel[2]]);
            pixel.copy_from_slice(&changed);
        }
        canvas.write(area, PixelFormat::Rgb8, &pixels)?;
    }
    Ok(canvas.finish())
}

/// The values as a tensor.
pub(super) fn tensor(rgb: &Image, scaling: &Scaling, config: &NormalizeConfig) -> Result<Tensor, BlockError> {
    let (width, height) = rgb.size();
    let elements = 3 * u64::from(width) * u64::from(height);
    if elements > MAX_ELEMENTS {
        let message =
            format!("a tensor of {elements} elements is above the limit of {MAX_ELEMENTS}; resize the image first");
        return Err(BlockError::bad_input("tensor_too_large", message).port("image"));
    }
    let table = scaling.table(|v| (v as f32).to_le_bytes());
    let channels = match config.channel_order {
        ChannelOrder::Rgb => [0, 1, 2],
        ChannelOrder::Bgr => [2, 1, 0],
    };
    // At most 1 MiB of pixels.
    let pixels = rgb.read(Rect { x: 0, y: 0, width, height }, PixelFormat::Rgb8)?;
    let mut bytes = Vec::with_capacity(4 * pixels.len());
    let shape = match config.output_format {
        Layout::Chw => {
            for channel in channels {
                for pixel in pixels.chunks_exact(3) {
                    bytes.extend_from_slice(&table[channel][usize::from(pixel[channel])]);
                }
            }
            [3, height, width]
        }
        Layout::Hwc => {
            for pixel in pixels.chunks_exact(3) {
                for channel in channels {
                    bytes.extend_from_slice(&table[channel][usize::from(pixel[channel])]);
                }
            }
            [height, width, 3]
        }
    };
    Ok(Tensor { shape, dtype: "f32", layout: config.output_format.as_str(), base64: STANDARD.encode(bytes) })
}
