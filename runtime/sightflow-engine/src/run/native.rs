//! Blocks that the engine runs itself: `image_input` and `parameter_input`.

use serde_json::{Value, json};
use sightflow_images::{Image, ReadOptions, ResizeFilter, probe};
use sightflow_types::Digest;
use sightflow_types::error::{RunError, code};
use sightflow_types::manifest::Role;

use super::cell::Cell;
use super::task::{Delivered, Task};
use crate::images;
use crate::input::ImageSource;

pub(super) async fn image_input(task: &Task) -> Result<Delivered, RunError> {
    let node = &task.plan.nodes[task.index];
    let config = &task.config;
    let flag = |key: &str, default: bool| config.get(key).and_then(Value::as_bool).unwrap_or(default);
    let name = config.get("name").and_then(Value::as_str).unwrap_or(&node.id);
    let only = task.plan.nodes.iter().filter(|node| node.entry.plays(Role::RunImage)).count() == 1;
    let Some(source) = task.run.image_for(name, only) else {
        if flag("required", true) {
            return Err(RunError::new(code::BAD_INPUT, format!("the run gave no image `{name}`")));
        }
        let outputs = node.entry.manifest.outputs.iter().map(|port| (port.name.clone(), Cell::plain(Value::Null)));
        return Ok(Delivered { outputs: outputs.collect(), attempts: 1, ..Delivered::default() });
    };
    let (bytes, digest, url, reference) = match source {
        ImageSource::Reference(reference) => {
            let text = reference.get("digest").and_then(Value::as_str).unwrap_or_default();
            let digest: Digest = text
                .parse()
                .map_err(|_| RunError::new(code::IMAGE, format!("the image `{name}` has no valid digest")))?;
            (task.parts.images.load(&digest).await?, digest, None, Some(reference))
        }
        ImageSource::Url(url) => {
            let (bytes, digest) = task.parts.images.fetch(&node.id, url).await?;
            (bytes, digest, Some(url.clone()), None)
        }
    };
    let found = probe(&bytes).map_err(|error| RunError::new(code::IMAGE, format!("the image `{name}`: {error}")))?;
    let refuse = |reason: String| RunError::new(code::BAD_INPUT, format!("the image `{name}` {reason}"));
    let limit = config.get("max_file_size_mb").and_then(Value::as_f64).unwrap_or(0.0);
    if limit > 0.0 && bytes.len() as f64 > limit * f64::from(1 << 20) {
        return Err(refuse(format!("has {} bytes; `max_file_size_mb` allows {limit} MiB", bytes.len())));
    }
    let format = found.format.as_str().to_uppercase();
    if let Some(allowed) = config.get("allowed_formats").and_then(Value::as_array)
        && !allowed.iter().any(|name| name.as_str() == Some(&format))
    {
        return Err(refuse(format!("is {format}; `allowed_formats` has {}", Value::Array(allowed.clone()))));
    }
    let upright = flag("apply_exif_rotation", true);
    let view = reference.and_then(|reference| reference.get("view")).filter(|view| !view.is_null());
    let image = if view.is_some() {
        // A view of a stored image: its coordinates are those of the upright picture.
        images::open(task.parts.images.as_ref(), reference.unwrap_or(&Value::Null)).await?
    } else {
        let options =
            ReadOptions { ignore_orientation: !upright, keep_alpha: !flag("convert_to_rgb", true), cache: None };
        Image::from_encoded_with(bytes, digest, found, options)
    };
    let original = image.size();
    let smallest = config.get("min_dimension").and_then(Value::as_u64).unwrap_or(0);
    if u64::from(original.0.min(original.1)) < smallest {
        return Err(refuse(format!("is {}×{}; `min_dimension` asks for {smallest}", original.0, original.1)));
    }
    // The header promised an image; whether the rest keeps the promise is known here, once, and off the async threads.
    let target = if flag("auto_resize", false) { config.get("max_dimension").and_then(Value::as_u64) } else { None };
    let image = blocking(move || {
        image.view()?;
        match target.and_then(|longest| shrunk(original, longest)) {
            Some((width, height)) => image.resize(width, height, ResizeFilter::Lanczos3),
            None => Ok(image),
        }
    })
    .await?
    .map_err(|error| RunError::new(code::IMAGE, format!("the image `{name}`: {error}")))?;
    let (width, height) = image.size();
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
    let mut outputs = vec![("image".to_owned(), Cell::image(&task.table, image))];
    outputs.extend(values.into_iter().map(|(port, value)| (port.to_owned(), Cell::plain(value))));
    Ok(Delivered { outputs, attempts: 1, ..Delivered::default() })
}

/// The size with the longest side at `longest`, if that is smaller.
fn shrunk((width, height): (u32, u32), longest: u64) -> Option<(u32, u32)> {
    let side = u64::from(width.max(height));
    let scaled = |length: u32| ((f64::from(length) * longest as f64 / side as f64).round() as u32).max(1);
    (side > longest).then(|| (scaled(width), scaled(height)))
}

/// Runs pixel work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, RunError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| RunError::new(code::INTERNAL, format!("image work stopped: {error}")))
}

pub(super) fn parameter_input(task: &Task) -> Delivered {
    let parameters = &task.parameters;
    let name = task.config.get("parameter_name").and_then(Value::as_str);
    let value = name.and_then(|name| parameters.get(name)).cloned().unwrap_or(Value::Null);
    let outputs = vec![
        ("parameters".to_owned(), Cell::new(Value::Object((**parameters).clone()))),
        ("value".to_owned(), Cell::new(value)),
    ];
    Delivered { outputs, attempts: 1, ..Delivered::default() }
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
