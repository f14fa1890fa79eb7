//! `json_output`: what a workflow answers with.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use sightflow_block::{BlockError, CheckContext, Config, Example, Inputs, Map, Outputs, Problem, Value, block, json};
use sightflow_expressions::Path;

use crate::flatten::flatten;
use crate::select::Selection;

/// What goes into the document.
#[derive(Debug, Inputs)]
pub struct JsonOutputInputs {
    /// The data: the value of one edge, or an object with the value of each by source node.
    #[port(kind = "any", many)]
    pub data: Box<RawValue>,
}

/// The document's shape. `fields` selects first, `flatten` comes last.
#[derive(Debug, Config)]
#[config(records("data"))]
pub struct JsonOutputConfig {
    /// Whether to wrap the document: `{data, metadata: {workflow_id, execution_id, version}}`.
    #[config(default = false)]
    pub include_metadata: bool,
    /// Whether to make one flat record with keys like `a.b[0].c`.
    #[config(default = false)]
    pub flatten: bool,
    /// Paths to keep; a name that meets a list is kept in each of its elements. Leave it out to keep everything.
    #[config(min_items = 1)]
    pub fields: Option<Vec<String>>,
    /// The run: `{workflow_id, execution_id, version}`.
    #[config(context)]
    pub context: Value,
}

/// The document.
#[derive(Debug, Outputs)]
pub struct JsonOutputOutputs {
    /// The document; images in it are references.
    #[port(kind = "any", aliases("output", "result"))]
    pub json: Document,
}

/// The data as it came or as it was shaped, with or without metadata.
#[derive(Debug)]
pub struct Document {
    data: Data,
    metadata: Option<Metadata>,
}

#[derive(Debug)]
enum Data {
    Text(Box<RawValue>),
    Value(Value),
}

/// Which run the data come from; null where that is not known.
#[derive(Debug, Serialize)]
struct Metadata {
    workflow_id: Value,
    execution_id: Value,
    version: Value,
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Value(value) => value.serialize(serializer),
        }
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wrapped<'a> {
            data: &'a Data,
            metadata: &'a Metadata,
        }
        match &self.metadata {
            Some(metadata) => Wrapped { data: &self.data, metadata }.serialize(serializer),
            None => self.data.serialize(serializer),
        }
    }
}

/// Delivers data as one JSON document: as they are, only some fields of them, or flattened to one record.
#[block(category = "output", title = "JSON output", icon = "braces", check = check, examples = examples)]
pub fn json_output(inputs: JsonOutputInputs, config: &JsonOutputConfig) -> Result<JsonOutputOutputs, BlockError> {
    let data = if config.flatten || config.fields.is_some() {
        let tree = serde_json::from_str(inputs.data.get())
            .map_err(|error| BlockError::bad_input("bad_document", error.to_string()).port("data"))?;
        Data::Value(shaped(tree, config)?)
    } else {
        Data::Text(inputs.data)
    };
    let metadata = config.include_metadata.then(|| {
        let known = |key: &str| config.context.get(key).cloned().unwrap_or_default();
        Metadata { workflow_id: known("workflow_id"), execution_id: known("execution_id"), version: known("version") }
    });
    Ok(JsonOutputOutputs { json: Document { data, metadata } })
}

fn shaped(data: Value, config: &JsonOutputConfig) -> Result<Value, BlockError> {
    let Some(fields) = &config.fields else {
        return Ok(Value::Object(flatten(data)));
    };
    let paths = fields
        .iter()
        .map(|field| {
            Path::parse(field).map_err(|error| BlockError::bad_config("bad_path", error.to_string()).key("fields"))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let empty = if data.is_array() { json!([]) } else { json!({}) };
    match Selection::new(&paths).of(data) {
        Some(kept) if config.flatten => Ok(Value::Object(flatten(kept))),
        Some(kept) => Ok(kept),
        None if config.flatten => Ok(json!({})),
        None => Ok(empty),
    }
}

fn check(_: &CheckContext, config: &Map<String, Value>) -> Vec<Problem> {
    let fields = config.get("fields").and_then(Value::as_array).into_iter().flatten();
    fields
        .enumerate()
        .filter_map(|(index, field)| {
            let error = Path::parse(field.as_str()?).err()?;
            Some(Problem::new("E-CONFIG", format!("/config/fields/{index}"), error.to_string()))
        })
        .collect()
}

fn examples() -> Vec<Example> {
    let example = |data: Value, config: Value, json: Value| Example {
        inputs: [("data".to_owned(), data)].into_iter().collect(),
        config: if let Value::Object(config) = config { config } else { Map::new() },
        outputs: [("json".to_owned(), json)].into_iter().collect(),
    };
    vec![
        example(json!({"a": {"b": [1]}}), json!({"flatten": true}), json!({"a.b[0]": 1})),
        example(
            json!({"detect": {"count": 2, "boxes": [[0, 0, 1, 1]]}}),
            json!({"fields": ["detect.count"]}),
            json!({"detect": {"count": 2}}),
        ),
    ]
}
