//! Blocks that the engine runs itself: a file each, with the manifest beside it.
//!
//! Below the catalogue, which lists them, and below running, which calls them: a block sees its call and nothing of plans.

mod collect;
mod foreach;
mod image_input;
mod parameter_input;

use std::fmt::Debug;

use async_trait::async_trait;
use serde_json::{Map, Value};
use sightflow_types::error::RunError;
use sightflow_types::manifest::Port;

use crate::cell::{Cell, Outputs};
use crate::images::{ImageIo, ImageTable};
use crate::run_input::RunInput;

pub(crate) use collect::Gathering;
pub(crate) use foreach::LoopSpec;

/// A block of the engine itself.
#[async_trait]
pub(crate) trait NativeBlock: Debug + Send + Sync {
    /// The JSON text of its manifest.
    fn manifest(&self) -> &'static str;

    /// Whether its work waits for storage or the network: it is then no work for a thread that may block.
    fn waits_for_others(&self) -> bool {
        false
    }

    /// What comes of one call.
    ///
    /// # Errors
    /// Why its node fails.
    async fn run(&self, call: NativeCall<'_>) -> Result<NativeOutcome, RunError>;
}

/// All of them.
pub(crate) const BLOCKS: [&dyn NativeBlock; 4] =
    [&image_input::ImageInput, &parameter_input::ParameterInput, &foreach::ForEach, &collect::Collect];

/// What a block works with.
pub(crate) struct NativeCall<'c> {
    /// Id of the node.
    pub(crate) node: &'c str,
    /// Canonical, resolved.
    pub(crate) config: &'c Map<String, Value>,
    /// By port.
    pub(crate) inputs: Outputs,
    /// The node's output ports.
    pub(crate) ports: &'c [Port],
    /// The run's parameters, with handles for images.
    pub(crate) parameters: &'c Map<String, Value>,
    /// What the run was given.
    pub(crate) run: &'c RunInput,
    /// Whether no other node reads an image of the run.
    pub(crate) only_image: bool,
    /// Stored images.
    pub(crate) io: &'c dyn ImageIo,
    /// The run's images.
    pub(crate) table: &'c ImageTable,
    /// Most items of a loop.
    pub(crate) loop_items: usize,
    /// What a loop left for its `collect`.
    pub(crate) gathering: Option<Gathering>,
}

/// What a call comes to.
pub(crate) enum NativeOutcome {
    /// The node delivers.
    Delivered(Outputs),
    /// A loop begins.
    Loop(LoopSpec),
}

impl NativeCall<'_> {
    fn flag(&self, key: &str, default: bool) -> bool {
        self.config.get(key).and_then(Value::as_bool).unwrap_or(default)
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.config.get(key).and_then(Value::as_str)
    }

    fn whole(&self, key: &str) -> Option<u64> {
        self.config.get(key).and_then(Value::as_u64)
    }

    /// What arrived at a port, taken out.
    fn take(&mut self, port: &str) -> Option<Cell> {
        let at = self.inputs.iter().position(|(name, _)| &**name == port)?;
        Some(self.inputs.swap_remove(at).1)
    }
}
