//! The workflow definition as clients write it. Parsing is lenient here; the planner reports every problem at once.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A workflow: a graph of nodes and edges, its parameters and its named outputs.
///
/// The stored document is the client's own JSON; this type is the part of it that the engine reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// Format version, `1.0`.
    #[serde(default = "default_version")]
    pub version: String,
    /// Vertices.
    #[serde(default)]
    pub nodes: Vec<Node>,
    /// Data-flow wires.
    #[serde(default)]
    pub edges: Vec<Edge>,
    /// Typed run parameters.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// Named results; empty means automatic outputs.
    #[serde(default)]
    pub outputs: Vec<Output>,
}

fn default_version() -> String {
    "1.0".to_owned()
}

/// One block in the graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// `[A-Za-z_][A-Za-z0-9_-]{0,99}`, unique.
    pub id: String,
    /// Block type: `draw_boxes`, or `namespace/package/block@req`.
    #[serde(rename = "type")]
    pub block_type: String,
    /// The block's configuration; values may hold templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Map<String, Value>>,
    /// Port → reference or literal; wins over an edge into the same port.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub inputs: Map<String, Value>,
    /// What a failure of this node does to the run.
    #[serde(default)]
    pub on_error: OnError,
    /// Bound for this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Repetition after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Editors keep configuration here; read where `config` lacks a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Map<String, Value>>,
}

/// What a failed node does to the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The run fails.
    #[default]
    Fail,
    /// The node's outputs become absent, the error is recorded, the run goes on.
    Continue,
}

/// Repetition of a node after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Further attempts after the first.
    pub max: u32,
    /// Pause before the first repetition; doubles each time.
    #[serde(default)]
    pub backoff_ms: u64,
}

/// One wire from an output port to an input port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// Editors' id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Node that delivers.
    pub source: String,
    /// Node that receives.
    pub target: String,
    /// Output port; inferred when missing.
    #[serde(default, rename = "sourceHandle", alias = "source_handle", skip_serializing_if = "Option::is_none")]
    pub source_handle: Option<String>,
    /// Input port; inferred when missing.
    #[serde(default, rename = "targetHandle", alias = "target_handle", skip_serializing_if = "Option::is_none")]
    pub target_handle: Option<String>,
    /// `"true"` or `"false"` on an edge that leaves a condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
}

/// A typed run parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Name under `$params`.
    pub name: String,
    /// Type that a run value is coerced to, once.
    #[serde(rename = "type")]
    pub kind: ParameterType,
    /// Used when the run gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// A run without it is refused.
    #[serde(default)]
    pub required: bool,
    /// Allowed values.
    #[serde(default, rename = "enum", skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Vec<Value>>,
    /// Smallest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Largest number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Type of a run parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant is its own wire name")]
pub enum ParameterType {
    String,
    Number,
    Integer,
    Boolean,
    Array,
    Object,
    Image,
}

/// A named result of the workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// Key in the execution's `outputs`.
    pub name: String,
    /// Reference: `$nodes.detect.detections`.
    pub source: String,
}
