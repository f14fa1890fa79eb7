//! What a file says about itself: metadata and shapes become a [`ModelSpec`].

use std::str::FromStr;

use serde_json::Value;
use sightflow_types::Task;
use sightflow_types::model::{
    ChannelOrder, Decoder, Defaults, EmbeddingSpec, ImageInput, Interpolation, ModelFormat, ModelInputs, ModelSpec,
    Preprocess, ResizeMode, TensorLayout,
};

use crate::ModelError;
use crate::onnx::{GraphProto, ModelProto, ValueInfo};

/// What the person who adds a model says about it; wins over the file's metadata.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hints {
    /// What it is to be used for. A classifier with a feature output also serves as an embedding model.
    pub task: Option<Task>,
    /// Output to read: the logits of a classifier, the vector of an embedding model.
    pub output: Option<String>,
    /// Class names by class id.
    pub labels: Option<Vec<String>>,
    /// How images become the input.
    pub preprocess: Option<Preprocess>,
    /// Order of the input's colour channels.
    pub channels: Option<ChannelOrder>,
    /// SPDX expression or the licence's name.
    pub license: Option<String>,
    /// Where the weights come from.
    pub source: Option<String>,
}

/// What was found in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelInfo {
    /// Everything the runtime needs to know.
    pub spec: ModelSpec,
    /// Names and shapes of the outputs.
    pub outputs: Vec<OutputInfo>,
    /// What neither the file nor the hints said and was concluded; to be shown to whoever adds the model.
    pub guesses: Vec<String>,
}

/// One output of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputInfo {
    /// Its name.
    pub name: String,
    /// Its dimensions, none for each that is free; none if the file does not say.
    pub shape: Option<Vec<Option<usize>>>,
}

/// Reads what a file is, from its metadata (`task`, `labels`, `decoder` and its settings, `preprocess`, `license`,
/// `source`), its shapes and the hints.
///
/// # Errors
/// [`ModelError::NotOnnx`] or [`ModelError::Malformed`] if the bytes are no ONNX file or a metadata value cannot be read,
/// [`ModelError::Unspecified`] if something is missing that cannot be concluded; all reasons at once.
pub fn inspect(bytes: &[u8], hints: &Hints) -> Result<ModelInfo, ModelError> {
    let model = ModelProto::parse(bytes)?;
    let graph = model.graph.as_ref().ok_or_else(|| ModelError::Malformed("it holds no graph".to_owned()))?;
    Inspector { model: &model, graph, hints, guesses: Vec::new() }.inspect()
}

struct Inspector<'a> {
    model: &'a ModelProto,
    graph: &'a GraphProto,
    hints: &'a Hints,
    guesses: Vec<String>,
}

impl Inspector<'_> {
    fn inspect(mut self) -> Result<ModelInfo, ModelError> {
        let mut reasons = Vec::new();
        let task = keep(&mut reasons, self.task());
        let described = keep(&mut reasons, self.json("preprocess"));
        let described = described.map(|described| described.unwrap_or(Value::Null));
        let (image, preprocess) = match &described {
            Some(described) => {
                let image = self.image_input(described);
                (keep(&mut reasons, image), keep(&mut reasons, self.preprocess(described)))
            }
            None => (None, None),
        };
        let labels = match task {
            Some(Task::Embedding) => Some(Vec::new()),
            Some(_) => keep(&mut reasons, self.labels()),
            None => None,
        };
        let outputs: Vec<_> = self
            .graph
            .output
            .iter()
            .map(|output| OutputInfo { name: output.name.clone(), shape: output.shape() })
            .collect();
        let decoder = match (task, &labels) {
            (Some(task), Some(labels)) => keep(&mut reasons, self.decoder(task, labels)),
            _ => None,
        };
        let embedding = match task {
            Some(Task::Embedding) => keep(&mut reasons, self.embedding()),
            _ => None,
        };
        let (Some(task), Some(image), Some(preprocess), Some(labels), Some(decoder), true) =
            (task, image, preprocess, labels, decoder, reasons.is_empty())
        else {
            return Err(ModelError::all(reasons));
        };
        let text =
            |key: &str, hint: &Option<String>| hint.clone().or_else(|| self.model.metadata(key).map(str::to_owned));
        let spec = ModelSpec {
            task,
            format: ModelFormat::Onnx,
            inputs: ModelInputs { image },
            preprocess,
            decoder,
            outputs: outputs.iter().map(|output| output.name.clone()).collect(),
            labels,
            defaults: Defaults::default(),
            embedding,
            license: text("license", &self.hints.license),
            source: text("source", &self.hints.source),
        };
        Ok(ModelInfo { spec, outputs, guesses: self.guesses })
    }

    fn task(&self) -> Result<Task, ModelError> {
        if let Some(task) = self.hints.task {
            return Ok(task);
        }
        let named = self
            .model
            .metadata("task")
            .ok_or_else(|| unspecified("its task", "name it: detection, classification, embedding"))?;
        Task::from_str(named).map_err(|error| malformed("task", &error.to_string()))
    }

    fn image_input(&mut self, described: &Value) -> Result<ImageInput, ModelError> {
        let mut inputs = self.graph.free_inputs();
        let (Some(input), None) = (inputs.next(), inputs.next()) else {
            return Err(ModelError::Unsupported(vec!["it does not take exactly one input, an image".to_owned()]));
        };
        let shape = input.shape().filter(|shape| shape.len() == 4);
        let shape = shape.ok_or_else(|| unspecified("the shape of its input", "export it with four dimensions"))?;
        let layout = match described.get("layout") {
            Some(value) => read(value, "preprocess.layout")?,
            None if shape[1] == Some(3) => TensorLayout::Nchw,
            None if shape[3] == Some(3) => TensorLayout::Nhwc,
            None => {
                return Err(unspecified(
                    "where the colour channels of its input are",
                    "export it with a fixed channel count",
                ));
            }
        };
        let (height, width) = if layout == TensorLayout::Nchw { (shape[2], shape[3]) } else { (shape[1], shape[2]) };
        let size = match (described.get("size"), width, height) {
            (_, Some(width), Some(height)) => [width as u32, height as u32],
            (Some(value), _, _) => read(value, "preprocess.size")?,
            _ => {
                return Err(unspecified("the size of its input", "add `size` to its `preprocess` metadata"));
            }
        };
        let channels = match (self.hints.channels, described.get("channels")) {
            (Some(channels), _) => channels,
            (None, Some(value)) => read(value, "preprocess.channels")?,
            (None, None) => {
                self.guesses.push("colour channels: RGB".to_owned());
                ChannelOrder::Rgb
            }
        };
        Ok(ImageInput { name: input.name.clone(), layout, channels, size, dynamic_batch: shape[0].is_none() })
    }

    fn preprocess(&mut self, described: &Value) -> Result<Preprocess, ModelError> {
        if let Some(preprocess) = &self.hints.preprocess {
            return Ok(preprocess.clone());
        }
        let Value::Object(fields) = described else {
            return Err(unspecified(
                "how images are prepared",
                "add `preprocess` to its metadata or give it as a hint",
            ));
        };
        let mut fields = fields.clone();
        for described_elsewhere in ["layout", "channels", "size"] {
            fields.remove(described_elsewhere);
        }
        let says_interpolation = fields.contains_key("interpolation");
        let mut preprocess: Preprocess = read(&Value::Object(fields), "preprocess")?;
        if !says_interpolation {
            // What training pipelines do: classifiers cut out of bicubic images, detectors' letterboxes are bilinear.
            let (interpolation, name) = match preprocess.resize {
                ResizeMode::ShortestCenterCrop(_) => (Interpolation::Bicubic, "bicubic"),
                _ => (Interpolation::Bilinear, "bilinear"),
            };
            preprocess.interpolation = interpolation;
            self.guesses.push(format!("interpolation: {name}"));
        }
        Ok(preprocess)
    }

    fn labels(&self) -> Result<Vec<String>, ModelError> {
        if let Some(labels) = &self.hints.labels {
            return Ok(labels.clone());
        }
        let labels = self.json("labels")?.ok_or_else(|| unspecified("its class names", "give them as a hint"))?;
        read(&labels, "labels")
    }

    fn decoder(&mut self, task: Task, labels: &[String]) -> Result<Decoder, ModelError> {
        if task == Task::Embedding {
            return Ok(Decoder::Feature);
        }
        let named = self.model.metadata("decoder");
        match (named, task) {
            (Some("nanodet"), Task::Detection) => {
                let setting = |key| {
                    self.json(key)?.ok_or_else(|| unspecified(&format!("`{key}`"), "the decoder `nanodet` needs it"))
                };
                Ok(Decoder::Nanodet {
                    strides: read(&setting("strides")?, "strides")?,
                    reg_max: read(&setting("reg_max")?, "reg_max")?,
                })
            }
            (Some("softmax"), Task::Classification) => Ok(Decoder::Softmax { output: self.logits(labels)? }),
            (Some("sigmoid"), Task::Classification) => Ok(Decoder::Sigmoid { output: self.logits(labels)? }),
            (None, Task::Classification) => {
                self.guesses.push("decoder: softmax".to_owned());
                Ok(Decoder::Softmax { output: self.logits(labels)? })
            }
            (None, _) => Err(unspecified("how its outputs are read", "add `decoder` to its metadata")),
            (Some(other), _) => Err(ModelError::Unsupported(vec![format!("no decoder `{other}` for {task}")])),
        }
    }

    /// The output whose last dimension counts the classes.
    fn logits(&self, labels: &[String]) -> Result<String, ModelError> {
        if let Some(name) = &self.hints.output {
            return self.output(name).map(|output| output.name.clone());
        }
        let fits = |output: &&ValueInfo| last_dimension(output) == Some(labels.len());
        let mut fitting = self.graph.output.iter().filter(fits);
        match (fitting.next(), fitting.next()) {
            (Some(output), None) => Ok(output.name.clone()),
            _ => Err(unspecified("which output holds the classes", "name the output")),
        }
    }

    fn embedding(&mut self) -> Result<EmbeddingSpec, ModelError> {
        let output = match &self.hints.output {
            Some(name) => self.output(name)?,
            None if self.graph.output.len() == 1 => &self.graph.output[0],
            None => {
                return Err(unspecified("which output holds the vector", "name the output"));
            }
        };
        let dim = last_dimension(output)
            .ok_or_else(|| unspecified("the length of its vector", "export it with a fixed length"))?;
        Ok(EmbeddingSpec { output: output.name.clone(), pooling: None, dim: dim as u32 })
    }

    fn output(&self, name: &str) -> Result<&ValueInfo, ModelError> {
        let names = || self.graph.output.iter().map(|output| output.name.as_str()).collect::<Vec<_>>().join(", ");
        let found = self.graph.output.iter().find(|output| output.name == name);
        found.ok_or_else(|| ModelError::Mismatch(format!("it has no output `{name}`; it has {}", names())))
    }

    /// A metadata value that is JSON.
    fn json(&self, key: &str) -> Result<Option<Value>, ModelError> {
        let parse = |text| serde_json::from_str(text).map_err(|error| malformed(key, &error.to_string()));
        self.model.metadata(key).map(parse).transpose()
    }
}

/// The value, or None and one reason more.
fn keep<T>(reasons: &mut Vec<ModelError>, result: Result<T, ModelError>) -> Option<T> {
    result.map_err(|reason| reasons.push(reason)).ok()
}

fn last_dimension(output: &ValueInfo) -> Option<usize> {
    output.shape()?.last().copied().flatten()
}

fn read<T: serde::de::DeserializeOwned>(value: &Value, what: &str) -> Result<T, ModelError> {
    serde_json::from_value(value.clone()).map_err(|error| malformed(what, &error.to_string()))
}

fn malformed(key: &str, error: &str) -> ModelError {
    ModelError::Malformed(format!("metadata `{key}`: {error}"))
}

fn unspecified(what: &str, hint: &str) -> ModelError {
    ModelError::Unspecified { what: what.to_owned(), hint: hint.to_owned() }
}
