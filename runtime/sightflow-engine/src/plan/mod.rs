//! From a definition to a plan: pure functions, no IO.

mod compile;
mod config;
mod document;
mod dynamic;
mod graph;
mod models;
mod parameters;
mod wires;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use sightflow_expressions::reference::Reference;
use sightflow_types::definition::{OnError, Parameter};
use sightflow_types::{Digest, IMAGE_KEY, ModelSource, Problem, Task};

pub use compile::compile;
pub use dynamic::Dynamic;
pub(crate) use graph::gated_output;

use crate::catalog::{BlockEntry, Catalog};
use crate::host::{BlockHost, CheckContext};
use crate::models::ModelCatalog;

/// Bounds of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most nodes.
    pub nodes: usize,
    /// Most edges.
    pub edges: usize,
    /// Most bytes of compact JSON.
    pub bytes: usize,
    /// Deepest nesting of the JSON.
    pub depth: usize,
    /// Most expressions and references in nodes.
    pub expressions: usize,
    /// Most expressions in one text.
    pub text_expressions: usize,
    /// Longest `timeout_ms` of a node.
    pub node_timeout_ms: u64,
    /// Most repetitions of a node.
    pub node_retries: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            nodes: 500,
            edges: 2_000,
            bytes: 1 << 20,
            depth: 64,
            expressions: 4_000,
            text_expressions: 256,
            node_timeout_ms: 3_600_000,
            node_retries: 10,
        }
    }
}

/// The outcome of compiling a definition.
#[derive(Debug, Clone, Default)]
pub struct Compiled {
    /// Present exactly when there is no error.
    pub plan: Option<Arc<Plan>>,
    /// What prevents a save, in document order: the first [`PROBLEMS_SHOWN`], then one that counts the others.
    pub errors: Vec<Problem>,
    /// What a save reports beside its success, shown as errors are.
    pub warnings: Vec<Problem>,
}

/// Problems that are told one by one.
pub const PROBLEMS_SHOWN: usize = 100;

impl Compiled {
    fn shown(mut self) -> Self {
        for (problems, code) in [(&mut self.errors, "E-LIMIT"), (&mut self.warnings, "W-LIMIT")] {
            let more = problems.len().saturating_sub(PROBLEMS_SHOWN);
            if more > 0 {
                problems.truncate(PROBLEMS_SHOWN);
                problems.push(Problem::new(code, "", format!("{more} more, which are not shown")));
            }
        }
        self
    }
}

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
    /// Bytes that it takes in memory, about.
    pub bytes: u64,
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
    /// Nodes that must settle first.
    pub depends_on: Vec<usize>,
    /// Nodes that wait for this one.
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
    /// Port of a condition that must deliver as well (`condition` on an edge from another port).
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

impl Plan {
    /// The `image_input` nodes, in document order.
    pub fn image_inputs(&self) -> Vec<ImageInput> {
        let inputs = self.nodes.iter().filter(|node| node.entry.block_type == "image_input");
        inputs
            .map(|node| ImageInput {
                node_id: node.id.to_string(),
                name: node.config.fixed.get("name").and_then(Value::as_str).unwrap_or(&node.id).to_owned(),
                required: node.config.fixed.get("required").and_then(Value::as_bool).unwrap_or(true),
            })
            .collect()
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

/// Time that all checks of one definition may take together.
const CHECKS: Duration = Duration::from_secs(5);

/// Compiles a definition and asks its component blocks for their own checks: everything that a save checks.
pub async fn validate(
    definition: &Value,
    catalog: &Catalog,
    models: &ModelCatalog,
    limits: &Limits,
    host: &dyn BlockHost,
) -> Compiled {
    let (mut compiled, checks) = compile::compile_with_checks(definition, catalog, models, limits);
    let deadline = Instant::now() + CHECKS;
    for check in checks {
        let context = CheckContext { wired: check.wired, dynamic: check.dynamic };
        match host.check(&check.entry.block, &Value::Object(check.config), &context, deadline).await {
            Ok(found) => {
                for mut problem in found {
                    problem.pointer = format!("/nodes/{}{}", check.node, problem.pointer);
                    if problem.code.starts_with("W-") {
                        compiled.warnings.push(problem);
                    } else {
                        compiled.errors.push(problem);
                    }
                }
            }
            Err(error) => compiled.errors.push(Problem::new(
                error.code.clone(),
                format!("/nodes/{}", check.node),
                format!("`{}` could not be checked: {error}", check.entry.block_type),
            )),
        }
    }
    if !compiled.errors.is_empty() {
        compiled.plan = None;
    }
    compiled.shown()
}
