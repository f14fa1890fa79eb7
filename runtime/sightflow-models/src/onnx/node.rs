//! A node of the file with typed access to its attributes.

use super::{AttributeProto, NodeProto, TensorProto};
use crate::value::HostTensor;

/// A node and the operator set that gives it its meaning.
pub(crate) struct Node<'a> {
    pub(crate) proto: &'a NodeProto,
    pub(crate) opset: i64,
}

impl Node<'_> {
    /// Operator and name, for messages.
    pub(crate) fn title(&self) -> String {
        match self.proto.name.as_str() {
            "" => self.operator(),
            name => format!("{} `{name}`", self.operator()),
        }
    }

    /// Name of the operator; with its domain unless that is ONNX's own.
    pub(crate) fn operator(&self) -> String {
        match self.proto.domain.as_str() {
            "" | "ai.onnx" => self.proto.op_type.clone(),
            domain => format!("{domain}.{}", self.proto.op_type),
        }
    }

    fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.proto.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub(crate) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }

    pub(crate) fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |attribute| attribute.f)
    }

    pub(crate) fn optional_float(&self, name: &str) -> Option<f32> {
        self.attribute(name).map(|attribute| attribute.f)
    }

    pub(crate) fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.attribute(name).map(|attribute| attribute.ints.clone())
    }

    pub(crate) fn floats(&self, name: &str) -> Option<Vec<f32>> {
        self.attribute(name).map(|attribute| attribute.floats.clone())
    }

    pub(crate) fn text(&self, name: &str, default: &str) -> String {
        self.attribute(name)
            .map_or_else(|| default.to_owned(), |attribute| String::from_utf8_lossy(&attribute.s).into_owned())
    }

    pub(crate) fn tensor(&self, name: &str) -> Result<Option<HostTensor>, String> {
        self.attribute(name).and_then(|attribute| attribute.t.as_ref()).map(TensorProto::to_host).transpose()
    }

    /// Non-negative numbers, as many as asked for, or the default where the attribute is missing.
    pub(crate) fn sizes<const N: usize>(&self, name: &str, default: [usize; N]) -> Result<[usize; N], String> {
        let Some(given) = self.ints(name) else {
            return Ok(default);
        };
        let sizes: Option<Vec<usize>> = given.iter().map(|value| usize::try_from(*value).ok()).collect();
        sizes.and_then(|sizes| sizes.try_into().ok()).ok_or_else(|| self.refuse(&format!("with {name} = {given:?}")))
    }

    /// The reason for refusing this node.
    pub(crate) fn refuse(&self, why: &str) -> String {
        format!("{} {why}", self.operator())
    }
}
