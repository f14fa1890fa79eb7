//! Reading the raw document: wrong shapes become problems, everything readable goes on.

use std::collections::HashMap;

use serde_json::{Map, Value};
use sightflow_types::definition::{OnError, Retry};
use sightflow_types::{Problem, ProblemCode};

use super::DefinitionLimits;
use crate::weight::weigh;

/// A definition as far as it could be read.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) nodes: Vec<RawNode>,
    pub(super) edges: Vec<RawEdge>,
    pub(super) parameters: Vec<(usize, Map<String, Value>)>,
    pub(super) outputs: Vec<RawOutput>,
    /// Node index in `nodes` by id; the first of duplicates.
    pub(super) ids: HashMap<String, usize>,
    /// Bytes that its plan takes in memory, about.
    pub(super) bytes: u64,
}

/// Bytes of a compiled expression: MiniJinja reserves room for 256 instructions, whatever the length.
const EXPRESSION_BYTES: u64 = 9 << 10;

#[derive(Debug)]
pub(super) struct RawNode {
    /// Position in the document.
    pub(super) at: usize,
    pub(super) id: String,
    pub(super) block_type: String,
    pub(super) config: Map<String, Value>,
    /// Keys that came from `data.config` and friends, with their pointers.
    pub(super) from_data: HashMap<String, String>,
    pub(super) inputs: Map<String, Value>,
    pub(super) on_error: OnError,
    pub(super) timeout_ms: Option<u64>,
    pub(super) retry: Option<Retry>,
}

#[derive(Debug)]
pub(super) struct RawEdge {
    pub(super) at: usize,
    pub(super) source: String,
    pub(super) target: String,
    pub(super) source_handle: Option<(String, &'static str)>,
    pub(super) target_handle: Option<(String, &'static str)>,
    pub(super) condition: Option<bool>,
}

#[derive(Debug)]
pub(super) struct RawOutput {
    pub(super) at: usize,
    pub(super) name: String,
    pub(super) source: String,
}

pub(super) fn read(definition: &Value, limits: &DefinitionLimits, problems: &mut Vec<Problem>) -> Document {
    let mut document = Document::default();
    let Some(object) = definition.as_object() else {
        problems.push(Problem::new(ProblemCode::Config, "", "a definition is a JSON object"));
        return document;
    };
    if depth_exceeds(definition, limits.depth) {
        problems.push(Problem::new(
            ProblemCode::Limit,
            "",
            format!("the definition is nested deeper than {} levels", limits.depth),
        ));
        return document;
    }
    // One byte more than the limit is enough to know.
    let bytes = serde_json::to_vec(definition).map_or(usize::MAX, |text| text.len());
    if bytes > limits.bytes {
        problems.push(Problem::new(
            ProblemCode::Limit,
            "",
            format!("the definition has {bytes} bytes; at most {} are allowed", limits.bytes),
        ));
        return document;
    }
    match object.get("version") {
        None | Some(Value::Null) => {}
        Some(Value::String(version)) if version == "1" || version.starts_with("1.") => {}
        Some(other) => {
            let message = format!("version {other} is not known; this server reads version \"1.0\"");
            problems.push(Problem::new(ProblemCode::Version, "/version", message).suggest(Some("1.0")));
        }
    }
    let nodes = list(object, "nodes", problems);
    let edges = list(object, "edges", problems);
    for (what, count, limit) in [("nodes", nodes.len(), limits.nodes), ("edges", edges.len(), limits.edges)] {
        if count > limit {
            problems.push(Problem::new(
                ProblemCode::Limit,
                format!("/{what}"),
                format!("{count} {what}; at most {limit} are allowed"),
            ));
            return document;
        }
    }
    // Before the first of them is compiled.
    let mut expressions = 0;
    for (at, node) in nodes.iter().enumerate() {
        let (all, most) = count_expressions(node);
        if most > limits.text_expressions {
            let message = format!("a text has {most} expressions; at most {} are allowed", limits.text_expressions);
            problems.push(Problem::new(ProblemCode::Limit, format!("/nodes/{at}"), message));
            return document;
        }
        expressions += all;
    }
    if expressions > limits.expressions {
        let message = format!("{expressions} expressions and references; at most {} are allowed", limits.expressions);
        problems.push(Problem::new(ProblemCode::Limit, "/nodes", message));
        return document;
    }
    // Values are kept as JSON and as text.
    document.bytes = bytes as u64 + 2 * weigh(definition) + expressions as u64 * EXPRESSION_BYTES;
    for (at, node) in nodes.iter().enumerate() {
        if let Some(node) = read_node(at, node, limits, problems) {
            if let Some(&first) = document.ids.get(&node.id) {
                let message =
                    format!("the node id `{}` is used twice, first by node {}", node.id, document.nodes[first].at);
                problems.push(Problem::new(ProblemCode::NodeDuplicate, format!("/nodes/{at}/id"), message));
            } else {
                document.ids.insert(node.id.clone(), document.nodes.len());
            }
            document.nodes.push(node);
        }
    }
    document.edges = edges.iter().enumerate().filter_map(|(at, edge)| read_edge(at, edge, problems)).collect();
    for (at, parameter) in list(object, "parameters", problems).iter().enumerate() {
        match parameter.as_object() {
            Some(parameter) => document.parameters.push((at, parameter.clone())),
            None => problems.push(shape(format!("/parameters/{at}"), "a parameter", "an object")),
        }
    }
    for (at, output) in list(object, "outputs", problems).iter().enumerate() {
        let (name, source) = (output.get("name").and_then(Value::as_str), output.get("source").and_then(Value::as_str));
        match (name, source) {
            (Some(name), Some(source)) if !name.is_empty() => {
                if !valid_output(name) {
                    problems.push(Problem::new(
                        ProblemCode::Config,
                        format!("/outputs/{at}/name"),
                        format!(
                            "`{}` cannot name an output: at most 100 characters, without `/`, `\\`, control characters or a dot at the beginning",
                            name.escape_debug()
                        ),
                    ));
                }
                if document.outputs.iter().any(|other| other.name == name) {
                    problems.push(Problem::new(
                        ProblemCode::Config,
                        format!("/outputs/{at}/name"),
                        format!("the output `{name}` is declared twice"),
                    ));
                }
                document.outputs.push(RawOutput { at, name: name.to_owned(), source: source.to_owned() });
            }
            _ => problems.push(shape(
                format!("/outputs/{at}"),
                "an output",
                "an object with the texts `name` and `source`",
            )),
        }
    }
    document
}

fn shape(pointer: String, what: &str, wanted: &str) -> Problem {
    Problem::new(ProblemCode::Config, pointer, format!("{what} is {wanted}"))
}

fn list<'v>(object: &'v Map<String, Value>, key: &str, problems: &mut Vec<Problem>) -> &'v [Value] {
    match object.get(key) {
        None | Some(Value::Null) => &[],
        Some(Value::Array(items)) => items,
        Some(_) => {
            problems.push(shape(format!("/{key}"), &format!("`{key}`"), "a list"));
            &[]
        }
    }
}

fn depth_exceeds(value: &Value, left: usize) -> bool {
    match value {
        Value::Array(items) => left == 0 || items.iter().any(|item| depth_exceeds(item, left - 1)),
        Value::Object(object) => left == 0 || object.values().any(|item| depth_exceeds(item, left - 1)),
        _ => false,
    }
}

/// Expressions and references in the texts of a value: in all together, and in the one that has the most.
fn count_expressions(value: &Value) -> (usize, usize) {
    let sum = |(all, most): (usize, usize), (more, one): (usize, usize)| (all + more, most.max(one));
    match value {
        Value::String(text) => {
            let count = text.matches("{{").count() + usize::from(text.starts_with('$'));
            (count, count)
        }
        Value::Array(items) => items.iter().map(count_expressions).fold((0, 0), sum),
        Value::Object(fields) => fields.values().map(count_expressions).fold((0, 0), sum),
        _ => (0, 0),
    }
}

/// Output names become file names and path segments.
fn valid_output(name: &str) -> bool {
    name.chars().count() <= 100
        && !name.starts_with('.')
        && !name.chars().any(|c| matches!(c, '/' | '\\') || c.is_control())
}

fn valid_id(id: &str) -> bool {
    let mut characters = id.chars();
    characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && id.len() <= 100
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

fn read_node(at: usize, node: &Value, limits: &DefinitionLimits, problems: &mut Vec<Problem>) -> Option<RawNode> {
    let pointer = format!("/nodes/{at}");
    let Some(object) = node.as_object() else {
        problems.push(shape(pointer, "a node", "an object"));
        return None;
    };
    let id = match object.get("id") {
        Some(Value::String(id)) if valid_id(id) => id.clone(),
        Some(Value::String(id)) => {
            let message =
                format!("`{id}` is not a node id: a letter or `_`, then letters, digits, `_` or `-`, at most 100");
            problems.push(Problem::new(ProblemCode::NodeId, format!("{pointer}/id"), message));
            // Edges may still name it; one problem is enough.
            id.clone()
        }
        _ => {
            problems.push(Problem::new(ProblemCode::NodeId, format!("{pointer}/id"), "a node needs an `id`"));
            return None;
        }
    };
    let Some(block_type) = object.get("type").and_then(Value::as_str) else {
        problems.push(Problem::new(
            ProblemCode::TypeUnknown,
            format!("{pointer}/type"),
            format!("the node `{id}` needs a `type`"),
        ));
        return None;
    };
    let mut map = |key: &str| match object.get(key) {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(map)) => map.clone(),
        Some(_) => {
            problems.push(shape(format!("{pointer}/{key}"), &format!("`{key}`"), "an object"));
            Map::new()
        }
    };
    let (mut config, inputs, data) = (map("config"), map("inputs"), map("data"));
    let from_data = merge_data(&mut config, &data, &pointer, problems);
    let on_error = match object.get("on_error").map(|value| (value, value.as_str())) {
        None | Some((Value::Null, _)) | Some((_, Some("fail"))) => OnError::Fail,
        Some((_, Some("continue"))) => OnError::Continue,
        Some((other, _)) => {
            problems.push(Problem::new(
                ProblemCode::Config,
                format!("{pointer}/on_error"),
                format!("`on_error` is {other}; it can be \"fail\" or \"continue\""),
            ));
            OnError::Fail
        }
    };
    let timeout_ms = match object.get("timeout_ms") {
        None | Some(Value::Null) => None,
        Some(value) => match value.as_u64().filter(|ms| (1..=limits.node_timeout_ms).contains(ms)) {
            Some(ms) => Some(ms),
            None => {
                let message =
                    format!("`timeout_ms` is {value}; it must be a whole number from 1 to {}", limits.node_timeout_ms);
                problems.push(Problem::new(ProblemCode::Limit, format!("{pointer}/timeout_ms"), message));
                None
            }
        },
    };
    let retry = match object.get("retry") {
        None | Some(Value::Null) => None,
        Some(value) => match serde_json::from_value::<Retry>(value.clone()) {
            Ok(retry) if retry.max <= limits.node_retries && retry.backoff_ms <= 60_000 => Some(retry),
            Ok(_) => {
                let message =
                    format!("`retry` allows `max` up to {} and `backoff_ms` up to 60000", limits.node_retries);
                problems.push(Problem::new(ProblemCode::Limit, format!("{pointer}/retry"), message));
                None
            }
            Err(error) => {
                problems.push(Problem::new(
                    ProblemCode::Config,
                    format!("{pointer}/retry"),
                    format!("`retry` is `{{max, backoff_ms}}`: {error}"),
                ));
                None
            }
        },
    };
    let known = ["id", "type", "config", "inputs", "on_error", "timeout_ms", "retry", "position", "data"];
    for key in ["onError", "timeout", "retries", "timeoutMs"] {
        if object.contains_key(key) {
            let near = match key {
                "onError" => "on_error",
                "retries" => "retry",
                _ => "timeout_ms",
            };
            debug_assert!(known.contains(&near));
            problems.push(
                Problem::new(ProblemCode::ConfigKey, format!("{pointer}/{key}"), format!("a node has no `{key}`"))
                    .suggest(Some(near)),
            );
        }
    }
    Some(RawNode { at, id, block_type: block_type.to_owned(), config, from_data, inputs, on_error, timeout_ms, retry })
}

/// `data.config`, `data.model_id` and `data.model_source` fill keys that `config` lacks.
fn merge_data(
    config: &mut Map<String, Value>,
    data: &Map<String, Value>,
    pointer: &str,
    problems: &mut Vec<Problem>,
) -> HashMap<String, String> {
    let mut from_data = HashMap::new();
    let nested = data.get("config").and_then(Value::as_object).into_iter().flatten();
    let nested = nested.map(|(key, value)| {
        (key.as_str(), value, format!("{pointer}/data/config/{}", crate::catalog::pointer_token(key)))
    });
    let direct = ["model_id", "model_source"]
        .into_iter()
        .filter_map(|key| Some((key, data.get(key)?, format!("{pointer}/data/{key}"))));
    for (key, value, place) in nested.chain(direct) {
        if !config.contains_key(key) {
            config.insert(key.to_owned(), value.clone());
            from_data.insert(key.to_owned(), place);
        }
    }
    if let Some(place) = from_data.values().min() {
        let mut keys: Vec<&str> = from_data.keys().map(String::as_str).collect();
        keys.sort_unstable();
        problems.push(Problem::new(
            ProblemCode::ConfigInData,
            place,
            format!("taken from `data`: {}; write it into `config`", keys.join(", ")),
        ));
    }
    from_data
}

fn read_edge(at: usize, edge: &Value, problems: &mut Vec<Problem>) -> Option<RawEdge> {
    let pointer = format!("/edges/{at}");
    let Some(object) = edge.as_object() else {
        problems.push(shape(pointer, "an edge", "an object"));
        return None;
    };
    let text = |key: &str| object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let (source, target) = (text("source"), text("target"));
    if source.is_none() {
        problems.push(Problem::new(ProblemCode::EdgeSource, format!("{pointer}/source"), "an edge needs a `source`"));
    }
    if target.is_none() {
        problems.push(Problem::new(ProblemCode::EdgeTarget, format!("{pointer}/target"), "an edge needs a `target`"));
    }
    let handle = |camel: &'static str, snake: &'static str| {
        text(camel).map(|name| (name, camel)).or_else(|| text(snake).map(|name| (name, snake)))
    };
    let condition = match object.get("condition") {
        None | Some(Value::Null) => None,
        Some(Value::Bool(side)) => Some(*side),
        Some(Value::String(side)) if side.eq_ignore_ascii_case("true") => Some(true),
        Some(Value::String(side)) if side.eq_ignore_ascii_case("false") => Some(false),
        Some(other) => {
            problems.push(Problem::new(
                ProblemCode::Config,
                format!("{pointer}/condition"),
                format!("`condition` is {other}; it can be \"true\" or \"false\""),
            ));
            None
        }
    };
    Some(RawEdge {
        at,
        source: source?,
        target: target?,
        source_handle: handle("sourceHandle", "source_handle"),
        target_handle: handle("targetHandle", "target_handle"),
        condition,
    })
}
