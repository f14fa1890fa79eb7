//! The component's exports. `export_package!` calls these functions from the package's own crate.

use serde_json::{Value, json};

use crate::block::{CheckContext, find};
use crate::{BlockError, Complaint, Entry, Problem, bytes, image};

/// What `wit-bindgen` makes of the interface.
#[expect(missing_docs, reason = "generated")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "full-package",
        pub_export_macro: true,
        export_macro_name: "__export_guest",
        runtime_path: "::sightflow_block::__private::rt",
    });
}

pub use bindings::exports::sightflow::block::batches::Guest as Batches;
pub use bindings::exports::sightflow::block::blocks::{BlockError as Error, Guest as Blocks, Payload};
pub use bindings::exports::sightflow::block::checks::Guest as Checks;

/// The package's manifests as a JSON array.
pub fn catalog(package: &[Entry]) -> String {
    let manifests: Vec<_> = package.iter().map(|entry| (entry.manifest)()).collect();
    json!(manifests).to_string()
}

/// A block's checks of one node as a JSON array of problems.
pub fn check(package: &[Entry], block: &str, config: &str, context: &str) -> String {
    let problems = check_node(package, block, config, context)
        .unwrap_or_else(|message| vec![Problem::new("E-BLOCK-CHECK", "", message)]);
    json!(problems).to_string()
}

fn check_node(package: &[Entry], block: &str, config: &str, context: &str) -> Result<Vec<Problem>, String> {
    let entry = find(package, block).map_err(|error| error.to_string())?;
    let Ok(Value::Object(config)) = serde_json::from_str(config) else {
        return Err("the configuration is no JSON object".to_owned());
    };
    let context: CheckContext =
        serde_json::from_str(context).map_err(|error| format!("the context cannot be read: {error}"))?;
    Ok((entry.check)(&context, &config))
}

/// One call of a block.
pub fn run(package: &[Entry], block: &str, config: &str, inputs: Payload) -> Result<Payload, Error> {
    image::begin_call(inputs.images.into_iter());
    bytes::begin_call(inputs.buffers);
    let document = find(package, block).and_then(|entry| (entry.run)(config, &inputs.document)).map_err(Error::from)?;
    let images = image::end_call().into_iter().map(image::Image::into_host).collect::<Result<_, _>>();
    let images = images.map_err(|error| Error::Failed(error.to_string()))?;
    Ok(Payload { document, images, buffers: bytes::end_call() })
}

/// Many calls of a block, each as [`run`].
pub fn run_many(package: &[Entry], block: &str, config: &str, items: Vec<Payload>) -> Vec<Result<Payload, Error>> {
    items.into_iter().map(|inputs| run(package, block, config, inputs)).collect()
}

impl From<BlockError> for Error {
    fn from(error: BlockError) -> Self {
        let text = |complaint: Complaint| json!(complaint).to_string();
        match error {
            BlockError::BadInput(complaint) => Self::BadInput(text(complaint)),
            BlockError::BadConfig(complaint) => Self::BadConfig(text(complaint)),
            BlockError::Failed(message) => Self::Failed(message),
            BlockError::Retry(message) => Self::Retry(message),
        }
    }
}
