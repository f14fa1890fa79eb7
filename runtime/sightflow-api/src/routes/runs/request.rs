//! The body of a run.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};
use sightflow_types::{ExecutionMode, Problem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::error::{ApiError, Code};
use crate::extract::typed;

/// What a run may ask for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunRequest {
    /// `image_url` | `image_base64` | `image` | `images` by name, `parameters`, and any further JSON under its own name.
    #[schema(value_type = Option<Object>, example = json!({"image_url": "https://example.com/shelf.jpg"}))]
    input: Option<Map<String, Value>>,
    /// Another spelling of `input`; both at once are refused, which a schema cannot say.
    #[schema(ignore)]
    inputs: Option<Map<String, Value>>,
    /// Run parameters by name.
    #[schema(value_type = Option<Object>)]
    parameters: Option<Map<String, Value>>,
    /// `async` (default), `sync`, `background`.
    #[schema(value_type = Option<crate::schema::ExecutionMode>)]
    mode: Option<ExecutionMode>,
    /// 1..10, 10 first; default 5.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 10)]
    priority: Option<u8>,
    /// 1..3600; default 300.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 3600)]
    timeout_seconds: Option<u32>,
    /// Further attempts per job, 0..10; default 3.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 0, maximum = 10)]
    max_retries: Option<u8>,
    /// Kept with the execution and returned with it; at most 64 KiB.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

/// A run of a definition that is not saved.
#[derive(Debug)]
pub(crate) struct InlineRunRequest;

impl PartialSchema for InlineRunRequest {
    /// A [`RunRequest`] with the definition beside its fields.
    fn schema() -> RefOr<Schema> {
        let RefOr::T(Schema::Object(mut object)) = RunRequest::schema() else { return RunRequest::schema() };
        let definition = ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some("The workflow definition; kept with the execution."));
        object.properties.insert("definition".to_owned(), definition.into());
        object.required.push("definition".to_owned());
        RefOr::T(Schema::Object(object))
    }
}

impl ToSchema for InlineRunRequest {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        RunRequest::schemas(schemas);
    }
}

/// A whole number, which JSON may also write as `7.0`.
fn whole<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let Some(number) = Option::<Number>::deserialize(deserializer)? else { return Ok(None) };
    let float = number.as_f64().filter(|value| value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(value));
    let value = number.as_u64().or(float.map(|value| value as u64));
    let fits = value.and_then(|value| T::try_from(value).ok());
    fits.map(Some).ok_or_else(|| D::Error::custom(format!("{number} is not a whole number in the range of this field")))
}

/// A run with its images as files: `image`, or any name that the workflow's `image_input` nodes read.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "documents the body; its parts are read one by one")]
pub(crate) struct RunForm {
    /// The fields, as one JSON object.
    #[schema(value_type = RunRequest, required = false)]
    request: Option<Value>,
    /// The run's image.
    #[schema(value_type = String, required = false, format = Binary, content_media_type = "application/octet-stream")]
    image: Option<Vec<u8>>,
}

/// The same of a definition that is not saved.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "documents the body; its parts are read one by one")]
pub(crate) struct InlineRunForm {
    /// The fields, as one JSON object.
    #[schema(value_type = InlineRunRequest)]
    request: Value,
    /// The run's image.
    #[schema(value_type = String, required = false, format = Binary, content_media_type = "application/octet-stream")]
    image: Option<Vec<u8>>,
}

/// A run request with its defaults and its ranges checked.
#[derive(Debug)]
pub(crate) struct Run {
    /// `input`, without `parameters`.
    pub(crate) input: Map<String, Value>,
    /// JSON pointer of `input` in the request: `/input` or `/inputs`.
    pub(crate) input_pointer: &'static str,
    /// From the top level or from inside `input`.
    pub(crate) parameters: Map<String, Value>,
    /// As sent.
    pub(crate) mode: ExecutionMode,
    /// 1..10.
    pub(crate) priority: u8,
    /// 1..3600.
    pub(crate) timeout_seconds: u32,
    /// 0..10.
    pub(crate) max_retries: u8,
    /// The client's own.
    pub(crate) metadata: Map<String, Value>,
}

impl Run {
    /// Reads a body; `bad` fields are reported with their place.
    pub(crate) fn read(mut body: Map<String, Value>) -> Result<Self, ApiError> {
        for later in ["callback_url", "callback_events"] {
            // `null` asks for nothing, so it can be granted.
            if body.remove(later).is_some_and(|value| !value.is_null()) {
                return Err(ApiError::field(
                    format!("/{later}"),
                    format!(
                        "`{later}` is not supported by this version; follow the execution by its `events_url` instead"
                    ),
                ));
            }
        }
        let request: RunRequest = typed(body)?;
        check_metadata(request.metadata.as_ref())?;
        let (mut input, input_pointer) = match (request.input, request.inputs) {
            (Some(_), Some(_)) => {
                return Err(ApiError::field("/inputs", "`inputs` is an alias of `input`; send one of them"));
            }
            (None, Some(inputs)) => (inputs, "/inputs"),
            (input, None) => (input.unwrap_or_default(), "/input"),
        };
        let inner = match input.remove("parameters") {
            None | Some(Value::Null) => None,
            Some(Value::Object(parameters)) => Some(parameters),
            Some(_) => {
                return Err(ApiError::field(format!("{input_pointer}/parameters"), "`parameters` must be an object"));
            }
        };
        let parameters = match (request.parameters, inner) {
            (Some(_), Some(_)) => {
                return Err(ApiError::field(
                    format!("{input_pointer}/parameters"),
                    "`parameters` is given twice: beside `input` and inside it",
                ));
            }
            (outer, inner) => outer.or(inner).unwrap_or_default(),
        };
        let run = Self {
            input,
            input_pointer,
            parameters,
            mode: request.mode.unwrap_or(ExecutionMode::Async),
            priority: request.priority.unwrap_or(5),
            timeout_seconds: request.timeout_seconds.unwrap_or(300),
            max_retries: request.max_retries.unwrap_or(3),
            metadata: request.metadata.unwrap_or_default(),
        };
        run.check_ranges()?;
        Ok(run)
    }

    fn check_ranges(&self) -> Result<(), ApiError> {
        let problems: Vec<Problem> = [
            ("priority", u32::from(self.priority), 1..=10),
            ("timeout_seconds", self.timeout_seconds, 1..=3600),
            ("max_retries", u32::from(self.max_retries), 0..=10),
        ]
        .into_iter()
        .filter(|(_, value, range)| !range.contains(value))
        .map(|(name, value, range)| {
            let message = format!("`{name}` is {value}; it must be {} to {}", range.start(), range.end());
            Problem::new(Code::InvalidField.as_str(), format!("/{name}"), message)
        })
        .collect();
        if problems.is_empty() { Ok(()) } else { Err(ApiError::problems(Code::InvalidField, "the request", problems)) }
    }
}

/// Most bytes of `metadata` as JSON: it is kept with the execution and copied wherever that goes.
const METADATA_LIMIT: usize = 64 << 10;

fn check_metadata(metadata: Option<&Map<String, Value>>) -> Result<(), ApiError> {
    let size = metadata.map_or(0, |metadata| serde_json::to_vec(metadata).map_or(usize::MAX, |text| text.len()));
    if size > METADATA_LIMIT {
        let message = format!("`metadata` is larger than {} KiB", METADATA_LIMIT >> 10);
        return Err(ApiError::at(Code::BodyTooLarge, "/metadata", message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &Value) -> Result<Run, ApiError> {
        Run::read(body.as_object().unwrap().clone())
    }

    #[test]
    fn defaults_and_aliases() {
        let run = read(&json!({})).unwrap();
        assert_eq!((run.mode, run.priority, run.timeout_seconds, run.max_retries), (ExecutionMode::Async, 5, 300, 3));
        let run = read(&json!({"inputs": {"x": 1, "parameters": {"p": 2}}, "callback_url": null})).unwrap();
        assert_eq!((Value::from(run.input), Value::from(run.parameters)), (json!({"x": 1}), json!({"p": 2})));
    }

    #[test]
    fn bad_requests() {
        for (body, code, pointer) in [
            (json!({"input": {}, "inputs": {}}), Code::InvalidField, "/inputs"),
            (json!({"parameters": {}, "input": {"parameters": {}}}), Code::InvalidField, "/input/parameters"),
            (json!({"inputs": {"parameters": 1}}), Code::InvalidField, "/inputs/parameters"),
            (json!({"input": []}), Code::InvalidField, "/input"),
            (json!({"mode": "later"}), Code::InvalidField, "/mode"),
            (json!({"priority": 0}), Code::InvalidField, "/priority"),
            (json!({"priority": 11}), Code::InvalidField, "/priority"),
            (json!({"priority": 300}), Code::InvalidField, "/priority"),
            (json!({"priority": "5"}), Code::InvalidField, "/priority"),
            (json!({"timeout_seconds": 3601}), Code::InvalidField, "/timeout_seconds"),
            (json!({"max_retries": 11}), Code::InvalidField, "/max_retries"),
            (json!({"max_retries": -1}), Code::InvalidField, "/max_retries"),
            (json!({"metadata": "x"}), Code::InvalidField, "/metadata"),
            (json!({"metadata": {"x": "y".repeat(64 << 10)}}), Code::BodyTooLarge, "/metadata"),
            (json!({"callback_url": "https://example.com"}), Code::InvalidField, "/callback_url"),
            (json!({"imput": {}}), Code::UnknownField, "/imput"),
            (json!({"definition": {}}), Code::UnknownField, "/definition"),
        ] {
            let error = read(&body).unwrap_err();
            assert_eq!((error.code, error.details[0].pointer.as_str()), (code, pointer), "{body}: {error}");
        }
    }
}
