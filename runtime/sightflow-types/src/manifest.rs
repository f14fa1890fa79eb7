//! Block manifests: the one source for validation, the API, the palette and the docs.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::capability::Capability;

/// What a block is: its ports, its configuration and what it asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Type name within its package: `draw_boxes`.
    pub name: String,
    /// For people: `Draw boxes`.
    pub title: String,
    /// One paragraph.
    pub description: String,
    /// Palette group: `input`, `model`, `transform`, `logic`, `visualization`, `output`.
    pub category: String,
    /// Icon name, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    /// Other type names that mean this block.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Input ports, in order.
    pub inputs: Vec<Port>,
    /// Output ports, in order.
    pub outputs: Vec<Port>,
    /// JSON Schema (draft 2020-12) of the configuration, `additionalProperties: false`. A property may carry
    /// `x-aliases`: other keys that mean it, and `x-value-aliases`: `{"given": "canonical"}` for enum values.
    pub config: Value,
    /// Capabilities asked for, for example `http:api.example.com`.
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    /// True for a block whose call changes the outside world.
    #[serde(default)]
    pub effect: bool,
    /// What a workflow needs the block for, where that is more than its call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Output ports that the configuration names; they come after `outputs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named_outputs: Option<NamedOutputs>,
    /// Calls that must give the stated outputs.
    #[serde(default)]
    pub examples: Vec<Example>,
}

impl Manifest {
    /// Whether a call of the block reaches the outside world: it is then no function of what it is given, and it waits.
    pub fn reaches_out(&self) -> bool {
        self.effect || !self.capabilities.is_empty()
    }
}

/// A part that a block plays in a workflow. All but [`Role::DrawDetections`] are played by blocks of the engine itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Brings an image of the run.
    RunImage,
    /// Brings the parameters of the run.
    RunParameters,
    /// Repeats what follows it, for each item of its input.
    Loop,
    /// Gathers what a loop makes of its items; the loop ends there.
    Collect,
    /// Draws for model blocks that show what they detected: an `image` with `detections`.
    DrawDetections,
}

impl Role {
    /// Whether only a block of the engine itself can play it.
    pub const fn is_native(self) -> bool {
        !matches!(self, Self::DrawDetections)
    }
}

/// Output ports that a configuration names: one for each entry of a list of objects. They carry anything, and of them and
/// the other exclusive outputs exactly one delivers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedOutputs {
    /// The configuration key of the list.
    pub key: String,
    /// The field of an entry that is the port's name.
    pub field: String,
}

/// One input or output port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Port name: `image`.
    pub name: String,
    /// Type of what travels through it.
    pub kind: PortKind,
    /// Inputs: must be wired. Outputs: always true unless the value may be absent.
    #[serde(default)]
    pub required: bool,
    /// Inputs: takes any number of edges as a list in edge order.
    #[serde(default)]
    pub many: bool,
    /// Outputs: of all outputs that are exclusive, exactly one delivers in each call.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exclusive: bool,
    /// Other names that mean this port.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// One sentence.
    #[serde(default)]
    pub description: String,
}

/// One worked call of a block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Inputs by port.
    #[serde(default)]
    pub inputs: Map<String, Value>,
    /// Configuration.
    #[serde(default)]
    pub config: Map<String, Value>,
    /// Expected outputs by port; ports left out are not compared.
    #[serde(default)]
    pub outputs: Map<String, Value>,
}

/// The picture that every example gets at each required image port: a manifest is JSON, so an example cannot bring its own.
pub const EXAMPLE_SIZE: (u32, u32) = (640, 480);
/// The colour of each of its pixels.
pub const EXAMPLE_COLOR: [u8; 3] = [100, 100, 100];

impl Manifest {
    /// The ports at which an example is given the grey picture.
    pub fn pictured<'m>(&'m self, example: &'m Example) -> impl Iterator<Item = &'m str> {
        let ports = self.inputs.iter().filter(|port| port.kind == PortKind::Image && port.required);
        ports.map(|port| port.name.as_str()).filter(|name| !example.inputs.contains_key(*name))
    }
}

macro_rules! port_kinds {
    ($($variant:ident = $text:literal => $base:ident),+ $(,)?) => {
        /// Type of a port: a bare type, or a kind that refines one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[expect(missing_docs, reason = "each variant is its own wire name")]
        pub enum PortKind { $(#[serde(rename = $text)] $variant),+ }

        impl PortKind {
            /// The name used in manifests.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The bare type that this kind refines; a bare type is its own base.
            pub const fn base(self) -> Self {
                match self { $(Self::$variant => Self::$base),+ }
            }
        }
    };
}

port_kinds! {
    Any = "any" => Any, Image = "image" => Image, Array = "array" => Array, Object = "object" => Object,
    Number = "number" => Number, String = "string" => String, Boolean = "boolean" => Boolean,
    Detections = "detections" => Array, Classifications = "classifications" => Array, Embedding = "embedding" => Array,
    Embeddings = "embeddings" => Array, Masks = "masks" => Array, Matches = "matches" => Array, Images = "images" => Array,
    Numbers = "numbers" => Array, TileInfo = "tile_info" => Array, Heatmap = "heatmap" => Array,
    Detection = "detection" => Object, Classification = "classification" => Object, Mask = "mask" => Object,
    Match = "match" => Object, GridInfo = "grid_info" => Object, Transform = "transform" => Object, Tensor = "tensor" => Object,
    Bytes = "bytes" => Object,
}

impl PortKind {
    /// Whether a value of this kind may be wired into a port of kind `target`.
    ///
    /// Allowed: the same kind, `any` on either side, or one is the bare type of the other's kind. One automatic
    /// conversion exists: a `detection` wired into `detections` becomes a list of one.
    pub fn connects_to(self, target: Self) -> bool {
        self == target
            || self == Self::Any
            || target == Self::Any
            || self.base() == target
            || self == target.base()
            || (self == Self::Detection && target == Self::Detections)
    }
}

impl std::fmt::Display for PortKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::PortKind::{self, *};

    #[test]
    fn wires() {
        let cases: [(PortKind, PortKind, bool); 9] = [
            (Image, Image, true),
            (Image, Any, true),
            (Any, Detections, true),
            (Detections, Array, true),
            (Array, Detections, true),
            (Detections, Masks, false),
            (Image, Array, false),
            (Detection, Detections, true),
            (Detections, Detection, false),
        ];
        for (from, to, expected) in cases {
            assert_eq!(from.connects_to(to), expected, "{from} → {to}");
        }
    }
}
