//! The plan: what an execution needs to know about its workflow.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use sightflow_expressions::reference::Reference;
use sightflow_types::definition::{OnError, Parameter};
use sightflow_types::manifest::{Port, Role};
use sightflow_types::{Digest, IMAGE_KEY, ModelSource, Task};

use super::Dynamic;
use crate::catalog::BlockEntry;

/// An executable workflow. Immutable and shared by all its executions.
#[derive(Debug)]
pub struct Plan {
    /// Nodes in document order.
    pub nodes: Vec<PlanNode>,
    /// Indexes into `nodes`, by level: a node's level is one above the highest of what it depends on.
    pub levels: Vec<Vec<usize>>,
    /// Declared run parameters.
    pub parameters: Vec<Parameter>,
    /// Explicit outputs; empty: automatic outputs.
    pub outputs: Vec<PlanOutput>,
    /// Index into `nodes` by id.
    pub ids: HashMap<Arc<str>, usize>,
    /// The graph itself, then the bodies of its loops, outer before inner.
    pub scopes: Vec<PlanScope>,
    /// Most items of one loop.
    pub loop_items: usize,
    /// Most frames inside of loops, over a whole run.
    pub loop_frames: usize,
    /// Bytes that it takes in memory, about.
    pub bytes: u64,
}

/// Nodes that run as one: the graph itself, or the body that a `foreach` repeats for each item.
#[derive(Debug)]
pub struct PlanScope {
    /// The `foreach` that opens it; none for the graph itself.
    pub opener: Option<usize>,
    /// The scope around it; the graph itself is 0 and its own parent.
    pub parent: usize,
    /// 0 for the graph itself.
    pub depth: usize,
    /// Its own nodes, without those of the scopes inside it, in document order.
    pub nodes: Vec<usize>,
    /// The `collect`s that gather its items (they belong to `parent`), in document order.
    pub collects: Vec<usize>,
    /// Nodes of this scope or of one inside it that the run's outputs read (explicit `outputs`, or automatic outputs), in
    /// document order: their values are kept per item. What a `foreach` delivers is of the scope that it opens.
    pub exports: Vec<usize>,
}

/// A named result.
#[derive(Debug)]
pub struct PlanOutput {
    /// Key in `outputs`.
    pub name: String,
    /// Where it comes from.
    pub source: Reference,
}

/// One node, ready to run.
#[derive(Debug)]
pub struct PlanNode {
    /// Id in the definition.
    pub id: Arc<str>,
    /// Its block, pinned.
    pub entry: Arc<BlockEntry>,
    /// Configuration.
    pub config: NodeConfig,
    /// Input ports in manifest order; only those that are fed.
    pub inputs: Vec<PlanInput>,
    /// Outputs, where its configuration names some of them.
    pub(crate) named_outputs: Option<Vec<Port>>,
    /// The scope that it belongs to.
    pub scope: usize,
    /// Its place among the nodes of its scope.
    pub slot: usize,
    /// A `foreach`: the scope that it repeats.
    pub opens: Option<usize>,
    /// A `collect`: the scope whose items it gathers. Its inputs are values of that scope, its configuration is one of its
    /// own scope.
    pub gathers: Option<usize>,
    /// Nodes of its own scope that must settle first. The `foreach` that repeats the scope is not among them; what a body
    /// needs from outside, its `foreach` depends on.
    pub depends_on: Vec<usize>,
    /// Nodes of its own scope that wait for this one.
    pub dependents: Vec<usize>,
    /// Whether an edge leaves it; a node without one is terminal.
    pub has_outgoing_edge: bool,
    /// What its failure does.
    pub on_error: OnError,
    /// Its own limit of time.
    pub timeout: Option<Duration>,
    /// Further attempts after the first.
    pub retries: u32,
    /// Pause before the first repetition; doubles.
    pub backoff: Duration,
    /// The model that it calls.
    pub model: Option<PlanModel>,
    /// The block that draws its detections, where it has any.
    pub draws: Option<Arc<BlockEntry>>,
}

/// The model of a node.
#[derive(Debug, Clone)]
pub struct PlanModel {
    /// Registry id.
    pub id: String,
    /// Which registry.
    pub source: ModelSource,
    /// What the node asks for.
    pub task: Task,
    /// Digest at planning time.
    pub digest: Option<Digest>,
    /// Class names by id, for rules that need them all.
    pub labels: Arc<Vec<String>>,
}

/// A node's configuration.
#[derive(Debug)]
pub struct NodeConfig {
    /// Canonical, with defaults, without the keys of `dynamic`.
    pub fixed: Arc<Map<String, Value>>,
    /// `fixed` as JSON text, where nothing is dynamic.
    pub text: Option<Arc<str>>,
    /// Keys whose values are resolved when the node runs.
    pub dynamic: Vec<(String, Dynamic)>,
}

/// One fed input port.
#[derive(Debug)]
pub struct PlanInput {
    /// Canonical port name.
    pub port: Arc<str>,
    /// Whether the node is skipped without it.
    pub required: bool,
    /// What feeds it.
    pub feed: Feed,
    /// A single detection becomes a list of one.
    pub wraps: bool,
}

/// What feeds an input port.
#[derive(Debug)]
pub enum Feed {
    /// Edges: one; or several that exclude each other, of which the present one counts.
    First(Vec<Wire>),
    /// Edges into a `many` port, in edge order.
    Many(Vec<Wire>),
    /// An entry of `inputs`.
    Value(Dynamic),
}

/// The source of an edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    /// Index of the source node.
    pub node: usize,
    /// Its output port.
    pub port: Arc<str>,
    /// Port of a `condition` that must deliver as well (`condition` on an edge from another port).
    pub gate: Option<Arc<str>>,
    /// A single detection that becomes a list of one.
    pub wraps: bool,
}

/// One run image that a plan reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageInput {
    /// The `image_input` node.
    pub node_id: String,
    /// Name under `inputs.images`.
    pub name: String,
    /// Whether a run without it is refused.
    pub required: bool,
}

impl PlanNode {
    /// Its output ports: those of its block, and those that its configuration names.
    pub fn outputs(&self) -> &[Port] {
        self.named_outputs.as_deref().unwrap_or(&self.entry.manifest.outputs)
    }
}

impl Plan {
    /// The `image_input` nodes, in document order.
    pub fn image_inputs(&self) -> Vec<ImageInput> {
        let inputs = self.nodes.iter().filter(|node| node.entry.plays(Role::RunImage));
        inputs
            .map(|node| ImageInput {
                node_id: node.id.to_string(),
                name: node.config.fixed.get("name").and_then(Value::as_str).unwrap_or(&node.id).to_owned(),
                required: node.config.fixed.get("required").and_then(Value::as_bool).unwrap_or(true),
            })
            .collect()
    }

    /// Whether exactly one node reads an image of the run, whatever its name.
    pub(crate) fn reads_one_image(&self) -> bool {
        self.nodes.iter().filter(|node| node.entry.plays(Role::RunImage)).take(2).count() == 1
    }

    /// Node ids by level: the API's `plan.order`.
    pub fn order(&self) -> Vec<Vec<String>> {
        self.levels.iter().map(|level| level.iter().map(|&index| self.nodes[index].id.to_string()).collect()).collect()
    }

    /// Canonical block type by node id: the API's `plan.blocks`.
    pub fn blocks(&self) -> BTreeMap<String, String> {
        self.nodes.iter().map(|node| (node.id.to_string(), node.entry.block_type.clone())).collect()
    }

    /// Stored images that the definition itself names, with the place of each. Whoever saves or runs it must hold a
    /// reference to them.
    pub fn stored_images(&self) -> Vec<(String, Digest)> {
        let mut found = Vec::new();
        for (at, node) in self.nodes.iter().enumerate() {
            for input in &node.inputs {
                let Feed::Value(dynamic) = &input.feed else { continue };
                let place = format!("/nodes/{at}/inputs/{}", crate::catalog::pointer_token(&input.port));
                dynamic.each_fixed(&mut |value| {
                    crate::images::any_image(value, &mut |image| {
                        let digest = image.get(IMAGE_KEY).and_then(crate::images::digest);
                        found.extend(digest.map(|digest| (place.clone(), digest)));
                        false
                    });
                });
            }
        }
        found
    }

    /// What an execution pins: block versions with digests, and model digests.
    pub fn pins(&self) -> Value {
        let (mut blocks, mut models) = (Map::new(), Map::new());
        for node in &self.nodes {
            let block = &node.entry.block;
            blocks.insert(
                node.entry.block_type.clone(),
                serde_json::json!({"package": block.package, "version": block.version.to_string(), "digest": block.digest}),
            );
            if let Some(model) = &node.model {
                models.insert(format!("{}/{}", model.source, model.id), serde_json::json!(model.digest));
            }
        }
        serde_json::json!({"blocks": blocks, "models": models})
    }
}
