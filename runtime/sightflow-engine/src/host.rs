//! What the engine asks of the sandbox: calls and checks of component blocks.

use std::time::Duration;

use async_trait::async_trait;
use semver::Version;
use serde_json::Value;
use sightflow_images::Image;
use sightflow_types::error::code;
use sightflow_types::{Digest, ExecutionId, Problem};
use tokio_util::sync::CancellationToken;

/// One version of one block, pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRef {
    /// Package with its namespace: `sightflow/visualization`.
    pub package: String,
    /// Version of the package.
    pub version: Version,
    /// Name inside the package: `draw_boxes`.
    pub name: String,
    /// Digest of the package's bytes; none for blocks that the engine runs itself.
    pub digest: Option<Digest>,
}

/// Values across the boundary: one JSON object and the images that it names.
#[derive(Debug, Clone, Default)]
pub struct Payload {
    /// A JSON object; an image in it is `{"$image": n}`, `n` an index into `images`.
    pub document: String,
    /// The images.
    pub images: Vec<Image>,
}

/// The conditions of one call. Dropping the call's future takes the call back, too.
#[derive(Debug, Clone, Default)]
pub struct CallContext {
    /// For logs; none outside of an execution.
    pub execution_id: Option<ExecutionId>,
    /// For logs.
    pub node_id: String,
    /// The node's own limit of time, if it has one; the host's limits hold besides.
    pub timeout: Option<Duration>,
    /// Fires when the execution is cancelled or runs out of time.
    pub cancel: CancellationToken,
}

/// What a block is told when a workflow is saved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckContext {
    /// Input ports that have an edge or an `inputs` entry.
    pub wired: Vec<String>,
    /// Configuration keys whose values are templates, hence not known yet.
    pub dynamic: Vec<String>,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// One of [`sightflow_types::error::code`].
    pub code: String,
    /// For people.
    pub message: String,
    /// Whether the block asked for a repetition.
    pub retryable: bool,
    /// What lies behind the message, outermost first.
    pub cause: Vec<String>,
}

impl CallError {
    /// A final failure with a code of [`sightflow_types::error::code`].
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), retryable: false, cause: Vec::new() }
    }

    /// The host itself failed.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(code::INTERNAL, message)
    }
}

/// Runs component blocks. Implemented over the sandbox by the binary, and by scripts in tests.
#[async_trait]
pub trait BlockHost: Send + Sync {
    /// One call. `config` is canonical JSON with every default. Dropping the future cancels.
    ///
    /// # Errors
    /// [`CallError`] with the code that the node's failure carries.
    async fn call(
        &self,
        block: &BlockRef,
        config: &str,
        payload: Payload,
        context: CallContext,
    ) -> Result<Payload, CallError>;

    /// The block's own checks of one node (`check` in the WIT world); pointers are relative to the node.
    ///
    /// # Errors
    /// When the check itself could not run.
    async fn check(&self, block: &BlockRef, config: &Value, context: &CheckContext) -> Result<Vec<Problem>, CallError>;
}
