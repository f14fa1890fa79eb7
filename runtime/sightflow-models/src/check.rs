//! Whether a file can be used at all, found out before it is registered.

use crate::graph::Graph;
use crate::onnx::ModelProto;
use crate::{Device, Hints, Model, ModelError, ModelInfo, inspect};

/// Reads a file, builds its graph and runs it on a blank image: what passes here runs in a job.
///
/// Takes as long as [`Model::load`], and blocks as it does.
///
/// # Errors
/// Every reason that was found: what the file does not say, and every operator or setting that is not supported. With
/// [`ModelError::permanent`] the answer stays the same however often the file is tried.
pub fn check(bytes: &[u8], hints: &Hints, device: Device) -> Result<ModelInfo, ModelError> {
    let info = match inspect(bytes, hints) {
        Ok(info) => info,
        Err(error @ (ModelError::NotOnnx { .. } | ModelError::Malformed(_))) => return Err(error),
        Err(error) => {
            let mut reasons = match error {
                ModelError::Several(reasons) => reasons,
                error => vec![error],
            };
            reasons.extend(ModelProto::parse(bytes).and_then(|model| Graph::build(&model)).err());
            return Err(ModelError::all(reasons));
        }
    };
    Model::load(bytes, &info.spec, device)?;
    Ok(info)
}

#[cfg(test)]
mod tests;
