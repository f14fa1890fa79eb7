//! Small graphs for tests.

use prost::Message;
use sightflow_types::model::{ModelSpec, TensorLayout};

use crate::onnx::{
    AttributeProto, Dimension, GraphProto, MetadataEntry, ModelProto, NodeProto, OperatorSet, TensorProto, TensorShape,
    TensorType, TypeProto, ValueInfo,
};
use crate::{Hints, inspect};

/// A graph under construction: an image `x` of `[?, 3, 8, 8]`, and an output `y` of ten classes for each image.
pub(crate) struct Sample(ModelProto);

impl Sample {
    pub(crate) fn new() -> Self {
        let graph = GraphProto {
            input: vec![value("x", &[None, Some(3), Some(8), Some(8)])],
            output: vec![value("y", &[None, Some(10)])],
            ..GraphProto::default()
        };
        let labels: Vec<_> = (0..10).map(|class| format!("\"class {class}\"")).collect();
        let metadata = [
            ("task", "classification".to_owned()),
            ("labels", format!("[{}]", labels.join(","))),
            ("decoder", "softmax".to_owned()),
            ("preprocess", r#"{"resize": "stretch", "channels": "RGB"}"#.to_owned()),
        ];
        let metadata = metadata.map(|(key, value)| MetadataEntry { key: key.to_owned(), value });
        Self(ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSet { domain: String::new(), version: 17 }],
            graph: Some(graph),
            metadata_props: metadata.to_vec(),
            functions: Vec::new(),
        })
    }

    pub(crate) fn without(mut self, key: &str) -> Self {
        self.0.metadata_props.retain(|entry| entry.key != key);
        self
    }

    fn graph(&mut self) -> &mut GraphProto {
        self.0.graph.get_or_insert_default()
    }

    pub(crate) fn node(mut self, op: &str, inputs: &[&str], output: &str, attributes: &[(&str, &[i64])]) -> Self {
        let attribute = |(name, values): &(&str, &[i64])| AttributeProto {
            name: (*name).to_owned(),
            i: values[0],
            ints: values.to_vec(),
            ..AttributeProto::default()
        };
        self.graph().node.push(NodeProto {
            input: inputs.iter().map(|input| (*input).to_owned()).collect(),
            output: vec![output.to_owned()],
            name: format!("make {output}"),
            op_type: op.to_owned(),
            attribute: attributes.iter().map(attribute).collect(),
            domain: String::new(),
        });
        self
    }

    /// A text attribute of the last node.
    pub(crate) fn text(mut self, name: &str, value: &str) -> Self {
        let attribute =
            AttributeProto { name: name.to_owned(), s: value.as_bytes().to_vec(), ..AttributeProto::default() };
        let last = self.graph().node.last_mut().expect("a node");
        last.attribute.push(attribute);
        self
    }

    pub(crate) fn floats(mut self, name: &str, dims: &[i64], data: Vec<f32>) -> Self {
        self.graph().initializer.push(TensorProto {
            name: name.to_owned(),
            dims: dims.to_vec(),
            data_type: 1,
            float_data: data,
            ..TensorProto::default()
        });
        self
    }

    pub(crate) fn ints(mut self, name: &str, data: &[i64]) -> Self {
        self.graph().initializer.push(TensorProto {
            name: name.to_owned(),
            dims: vec![data.len() as i64],
            data_type: 7,
            int64_data: data.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    pub(crate) fn kept_elsewhere(mut self, name: &str, file: &str) -> Self {
        self.graph().initializer.push(TensorProto {
            name: name.to_owned(),
            dims: vec![4],
            data_type: 1,
            data_location: 1,
            external_data: vec![MetadataEntry { key: "location".to_owned(), value: file.to_owned() }],
            ..TensorProto::default()
        });
        self
    }

    /// A convolution with 3 × 3 kernels of ones.
    pub(crate) fn conv(self, input: &str, channels: [i64; 2], output: &str, attributes: &[(&str, &[i64])]) -> Self {
        let [inputs, outputs] = channels;
        let weights = format!("{output} weights");
        self.floats(&weights, &[outputs, inputs, 3, 3], vec![0.01; (outputs * inputs * 9) as usize]).node(
            "Conv",
            &[input, &weights],
            output,
            attributes,
        )
    }

    /// The mean of every channel of `input`, which must have ten, as the output.
    pub(crate) fn classes(self, input: &str) -> Self {
        self.node("GlobalAveragePool", &[input], "pooled", &[]).node("Flatten", &["pooled"], "y", &[])
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }

    pub(crate) fn model(&self) -> &ModelProto {
        &self.0
    }

    pub(crate) fn spec(&self) -> ModelSpec {
        let spec = inspect(&self.bytes(), &Hints::default()).expect("described").spec;
        assert_eq!(spec.inputs.image.layout, TensorLayout::Nchw);
        spec
    }
}

fn value(name: &str, dims: &[Option<i64>]) -> ValueInfo {
    let dim = |size: &Option<i64>| Dimension { dim_value: *size, dim_param: size.is_none().then(|| "n".to_owned()) };
    let shape = TensorShape { dim: dims.iter().map(dim).collect() };
    let tensor_type = TensorType { elem_type: 1, shape: Some(shape) };
    ValueInfo { name: name.to_owned(), r#type: Some(TypeProto { tensor_type: Some(tensor_type) }) }
}
