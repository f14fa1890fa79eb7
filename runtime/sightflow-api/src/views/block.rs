//! A block of the catalogue on the wire.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;
use sightflow_engine::catalog::BlockEntry;
use sightflow_types::manifest::{NamedOutputs, Port, Role};
use utoipa::ToSchema;

/// One block.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Block)]
pub(crate) struct BlockView {
    /// What a definition's `type` says.
    #[serde(rename = "type")]
    pub(crate) block_type: String,
    package: String,
    version: String,
    /// Of the package's bytes; null for blocks that the engine runs itself.
    digest: Option<String>,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) category: String,
    icon: Option<String>,
    /// `native`, `model` or `component`.
    engine: &'static str,
    inputs: Vec<InputView>,
    outputs: Vec<OutputView>,
    /// JSON Schema of the configuration.
    #[schema(value_type = Object)]
    config: Value,
    capabilities: Vec<String>,
    /// Whether a call changes the outside world.
    effect: bool,
    /// What a workflow needs the block for beyond its call: `run_image`, `run_parameters`, `loop`, `collect`, `draw_detections`.
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
    /// Output ports that the configuration names: one for each entry of a list.
    named_outputs: Option<NamedOutputsView>,
    pub(crate) aliases: Vec<String>,
    #[schema(value_type = Vec<Object>)]
    examples: Value,
    /// Markdown; only when one block is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    docs: Option<String>,
}

/// An input port.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = InputPort)]
struct InputView {
    name: String,
    kind: &'static str,
    required: bool,
    /// Takes any number of edges.
    many: bool,
    description: String,
}

/// An output port.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OutputPort)]
struct OutputView {
    name: String,
    kind: &'static str,
    /// Of all outputs that are exclusive, those that the configuration names included, exactly one delivers.
    exclusive: bool,
    description: String,
}

/// Where a configuration names output ports; they are exclusive and carry anything.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NamedOutputs)]
struct NamedOutputsView {
    /// The configuration key of the list.
    key: String,
    /// The field of an entry that is the port's name.
    field: String,
}

impl From<&NamedOutputs> for NamedOutputsView {
    fn from(named: &NamedOutputs) -> Self {
        Self { key: named.key.clone(), field: named.field.clone() }
    }
}

/// A palette group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Category {
    id: String,
    title: String,
    /// `#RRGGBB`.
    color: &'static str,
}

impl Category {
    /// The groups in the order of a palette, each once; unknown ones come last, grey and named after themselves.
    pub(crate) fn all<'n>(ids: impl Iterator<Item = &'n str>) -> Vec<Self> {
        let ids: BTreeSet<&str> = ids.collect();
        let known = PALETTE.iter().filter(|(id, ..)| ids.contains(id)).map(|&(id, title, color)| (id, title, color));
        let others =
            ids.iter().filter(|id| PALETTE.iter().all(|(known, ..)| known != *id)).map(|id| (*id, *id, "#6B7280"));
        let group =
            |(id, title, color): (&str, &str, &'static str)| Self { id: id.to_owned(), title: title.to_owned(), color };
        known.chain(others).map(group).collect()
    }
}

/// Groups with titles and colours.
const PALETTE: [(&str, &str, &str); 6] = [
    ("input", "Input", "#3B82F6"),
    ("model", "Models", "#8B5CF6"),
    ("transform", "Transform", "#10B981"),
    ("logic", "Logic", "#F59E0B"),
    ("visualization", "Visualization", "#EC4899"),
    ("output", "Output", "#EF4444"),
];

impl From<&BlockEntry> for BlockView {
    fn from(entry: &BlockEntry) -> Self {
        let manifest = &entry.manifest;
        Self {
            block_type: entry.block_type.clone(),
            package: entry.block.package.clone(),
            version: entry.block.version.to_string(),
            digest: entry.block.digest.map(|digest| digest.to_string()),
            title: manifest.title.clone(),
            description: manifest.description.clone(),
            category: manifest.category.clone(),
            icon: manifest.icon.clone(),
            engine: entry.engine().as_str(),
            inputs: manifest.inputs.iter().map(InputView::from).collect(),
            outputs: manifest.outputs.iter().map(OutputView::from).collect(),
            config: manifest.config.clone(),
            capabilities: manifest.capabilities.iter().map(ToString::to_string).collect(),
            effect: manifest.effect,
            role: manifest.role,
            named_outputs: manifest.named_outputs.as_ref().map(NamedOutputsView::from),
            aliases: manifest.aliases.clone(),
            examples: serde_json::to_value(&manifest.examples).unwrap_or_default(),
            docs: None,
        }
    }
}

impl From<&Port> for InputView {
    fn from(port: &Port) -> Self {
        Self {
            name: port.name.clone(),
            kind: port.kind.as_str(),
            required: port.required,
            many: port.many,
            description: port.description.clone(),
        }
    }
}

impl From<&Port> for OutputView {
    fn from(port: &Port) -> Self {
        Self {
            name: port.name.clone(),
            kind: port.kind.as_str(),
            exclusive: port.exclusive,
            description: port.description.clone(),
        }
    }
}

impl BlockView {
    /// The block with its documentation.
    pub(crate) fn full(entry: &BlockEntry) -> Self {
        let mut view = Self::from(entry);
        view.docs = Some(view.markdown());
        view
    }

    fn markdown(&self) -> String {
        use std::fmt::Write as _;
        let mut text = format!("# {}\n\n{}\n", self.title, self.description);
        // Writing to a String cannot fail.
        let mut section = |title: &str, lines: Vec<String>| {
            if !lines.is_empty() {
                let _ = write!(text, "\n## {title}\n\n{}\n", lines.join("\n"));
            }
        };
        section(
            "Inputs",
            self.inputs
                .iter()
                .map(|port| {
                    let required = if port.required { ", required" } else { "" };
                    format!("- `{}` ({}{required}): {}", port.name, port.kind, port.description)
                })
                .collect(),
        );
        section(
            "Outputs",
            self.outputs
                .iter()
                .map(|port| format!("- `{}` ({}): {}", port.name, port.kind, port.description))
                .collect(),
        );
        let properties = self.config.get("properties").and_then(Value::as_object);
        section(
            "Configuration",
            properties
                .into_iter()
                .flatten()
                .map(|(name, schema)| {
                    let default = schema.get("default").map(|value| format!(" Default `{value}`.")).unwrap_or_default();
                    format!(
                        "- `{name}`: {}{default}",
                        schema.get("description").and_then(Value::as_str).unwrap_or_default()
                    )
                })
                .collect(),
        );
        text
    }
}
