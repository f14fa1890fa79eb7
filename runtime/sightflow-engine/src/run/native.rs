//! Blocks that the engine runs itself: `image_input` and `parameter_input`.

use std::sync::Arc;

use serde_json::{Value, json};
use sightflow_images::{Image, ImageError, ReadOptions, ResizeFilter, probe};
use sightflow_types::Digest;
use sightflow_types::error::{RunError, code};
use sightflow_types::manifest::Role;

use super::frame::Outputs;
use super::task::Task;
use crate::blocking::blocking;
use crate::cell::Cell;
use crate::images::{self, Recipe};
use crate::input::ImageSource;
use crate::plan::PlanNode;

/// Whether a node's work waits for storage or the network.
pub(super) fn waits_for_others(node: &PlanNode) -> bool {
    node.entry.plays(Role::RunImage)
}

/// What a native block delivers.
pub(super) async fn run(task: &Task) -> Result<Outputs, RunError> {
    if task.node().entry.plays(Role::RunImage) { image_input(task).await } else { Ok(parameter_input(task)) }
}

async fn image_input(task: &Task) -> Result<Outputs, RunError> {
    let (node, ground) = (task.node(), &task.ground);
    let config = &task.config;
    let flag = |key: &str, default: bool| config.get(key).and_then(Value::as_bool).unwrap_or(default);
    let name = config.get("name").and_then(Value::as_str).unwrap_or(&node.id);
    let only = ground.plan.nodes.iter().filter(|node| node.entry.plays(Role::RunImage)).count() == 1;
    let Some(source) = ground.run.image_for(name, only) else {
        if flag("required", true) {
            return Err(RunError::new(code::BAD_INPUT, format!("the run gave no image `{name}`")));
        }
        let ports = node.entry.manifest.outputs.iter();
        return Ok(ports.map(|port| (Arc::from(port.name.as_str()), Cell::plain(Value::Null))).collect());
    };
    let (bytes, digest, url, reference) = match source {
        ImageSource::Reference(reference) => {
            let text = reference.get("digest").and_then(Value::as_str).unwrap_or_default();
            let digest: Digest = text
                .parse()
                .map_err(|_| RunError::new(code::IMAGE, format!("the image `{name}` has no valid digest")))?;
            (ground.parts.images.load(&digest).await?, digest, None, Some(reference))
        }
        ImageSource::Url(url) => {
            let (bytes, digest) = ground.parts.images.fetch(&node.id, url).await?;
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
        images::open(ground.parts.images.as_ref(), reference.unwrap_or(&Value::Null)).await?
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
            let from = Arc::clone(ground.table.add(whole).origin());
            ground.table.add_made(image, &Arc::new(Recipe::Resize { from, size }), 0)
        }
        None => ground.table.add(image),
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

fn parameter_input(task: &Task) -> Outputs {
    let parameters = &task.parameters;
    let name = task.config.get("parameter_name").and_then(Value::as_str);
    let value = name.and_then(|name| parameters.get(name)).cloned().unwrap_or(Value::Null);
    let cell = |value| Cell::new(value, &task.ground.table);
    vec![(Arc::from("parameters"), cell(Value::Object((**parameters).clone()))), (Arc::from("value"), cell(value))]
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
