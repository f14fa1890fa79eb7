//! `image_input`: an image of the run.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use sightflow_images::{Image, ImageError, PixelFormat, ReadOptions, ResizeFilter, probe};
use sightflow_types::error::{RunError, code};

use super::{NativeBlock, NativeCall, NativeOutcome};
use crate::blocking::blocking;
use crate::cell::{Cell, Outputs};
use crate::image_source::ImageSource;
use crate::images::{self, Recipe};

#[derive(Debug)]
pub(super) struct ImageInput;

#[async_trait]
impl NativeBlock for ImageInput {
    fn manifest(&self) -> &'static str {
        include_str!("image_input.json")
    }

    fn waits_for_others(&self) -> bool {
        true
    }

    async fn run(&self, call: NativeCall<'_>) -> Result<NativeOutcome, RunError> {
        outputs(call).await.map(NativeOutcome::Delivered)
    }
}

async fn outputs(call: NativeCall<'_>) -> Result<Outputs, RunError> {
    let name = call.text("name").unwrap_or(call.node);
    let Some(source) = call.run.image_for(name, call.only_image) else {
        if call.flag("required", true) {
            return Err(RunError::new(code::BAD_INPUT, format!("the run gave no image `{name}`")));
        }
        return Ok(call.ports.iter().map(|port| (Arc::from(port.name.as_str()), Cell::plain(Value::Null))).collect());
    };
    let (bytes, digest, url, reference) = match source {
        ImageSource::Stored(reference) => {
            (call.io.load(&reference.digest).await?, reference.digest, None, Some(reference))
        }
        ImageSource::Url(url) => {
            let (bytes, digest) = call.io.fetch(call.node, url).await?;
            (bytes, digest, Some(url.clone()), None)
        }
    };
    let found = probe(&bytes).map_err(|error| RunError::new(code::IMAGE, format!("the image `{name}`: {error}")))?;
    let refuse = |reason: String| RunError::new(code::BAD_INPUT, format!("the image `{name}` {reason}"));
    let limit = call.config.get("max_file_size_mb").and_then(Value::as_f64).unwrap_or(0.0);
    if limit > 0.0 && bytes.len() as f64 > limit * f64::from(1 << 20) {
        return Err(refuse(format!("has {} bytes; `max_file_size_mb` allows {limit} MiB", bytes.len())));
    }
    let format = found.format.as_str().to_uppercase();
    if let Some(allowed) = call.config.get("allowed_formats").and_then(Value::as_array)
        && !allowed.iter().any(|name| name.as_str() == Some(&format))
    {
        return Err(refuse(format!("is {format}; `allowed_formats` has {}", Value::Array(allowed.clone()))));
    }
    let upright = call.flag("apply_exif_rotation", true);
    let image = if let Some(view) = reference.filter(|reference| reference.view.is_some()) {
        // A view of a stored image: its coordinates are those of the upright picture.
        images::reopen(call.io, view, PixelFormat::Rgb8).await?
    } else {
        let options =
            ReadOptions { ignore_orientation: !upright, keep_alpha: !call.flag("convert_to_rgb", true), cache: None };
        Image::from_encoded_with(bytes, digest, found, options)
    };
    let original = image.size();
    let smallest = call.whole("min_dimension").unwrap_or(0);
    if u64::from(original.0.min(original.1)) < smallest {
        return Err(refuse(format!("is {}×{}; `min_dimension` asks for {smallest}", original.0, original.1)));
    }
    // The header promised an image; whether the rest keeps the promise is known here, once, and off the async threads.
    let target = if call.flag("auto_resize", false) { call.whole("max_dimension") } else { None };
    let (whole, image) = blocking(move || {
        image.view()?;
        Ok::<_, ImageError>(match target.and_then(|longest| shrunk(original, longest)) {
            Some((width, height)) => (Some(image.clone()), image.resize(width, height, ResizeFilter::Lanczos3)?),
            None => (None, image),
        })
    })
    .await?
    .map_err(|error| RunError::new(code::IMAGE, format!("the image `{name}`: {error}")))?;
    let size @ (width, height) = image.size();
    let picture = match whole {
        // Made again from the stored one whenever that is needed.
        Some(whole) => {
            let from = Arc::clone(call.table.add(whole).origin());
            call.table.add_made(image, &Arc::new(Recipe::Resize { from, size }), 0)
        }
        None => call.table.add(image),
    };
    let values = [
        ("width", json!(width)),
        ("height", json!(height)),
        ("original_width", json!(original.0)),
        ("original_height", json!(original.1)),
        ("format", json!(format)),
        ("was_resized", json!((width, height) != original)),
        ("was_rotated", json!(upright && found.orientation != 1)),
        ("image_url", json!(url)),
    ];
    let mut outputs = vec![(Arc::from("image"), Cell::image(picture))];
    outputs.extend(values.into_iter().map(|(port, value)| (Arc::from(port), Cell::plain(value))));
    Ok(outputs)
}

/// The size with the longest side at `longest`, if that is smaller.
fn shrunk((width, height): (u32, u32), longest: u64) -> Option<(u32, u32)> {
    let side = u64::from(width.max(height));
    let scaled = |length: u32| ((f64::from(length) * longest as f64 / side as f64).round() as u32).max(1);
    (side > longest).then(|| (scaled(width), scaled(height)))
}

#[cfg(test)]
mod tests {
    use super::shrunk;

    #[test]
    fn only_shrinks() {
        for (size, longest, expected) in [
            ((3000, 4000), 1920, Some((1440, 1920))),
            ((1920, 100), 1920, None),
            ((10, 10), 1920, None),
            ((10_000, 1), 100, Some((100, 1))),
        ] {
            assert_eq!(shrunk(size, longest), expected);
        }
    }
}
