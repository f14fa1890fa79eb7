//! The body of a run.

use serde::Deserialize;
use serde_json::{Map, Value};
use sightflow_types::{ExecutionMode, Problem};
use utoipa::ToSchema;

use crate::error::{ApiError, Code};
use crate::extract::typed;

/// What a run may ask for.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct RunRequest {
    /// `image_url` | `image_base64` | `image` | `images` by name, `parameters`, and any further JSON under its own name.
    #[schema(value_type = Option<Object>, example = json!({"image_url": "https://example.com/shelf.jpg"}))]
    input: Option<Map<String, Value>>,
    /// Alias of `input`.
    #[schema(value_type = Option<Object>)]
    inputs: Option<Map<String, Value>>,
    /// Run parameters by name.
    #[schema(value_type = Option<Object>)]
    parameters: Option<Map<String, Value>>,
    /// `async` (default), `sync`, `background`.
    #[schema(value_type = Option<crate::schema::ExecutionMode>)]
    mode: Option<ExecutionMode>,
    /// 1..10, 10 first; default 5.
    #[schema(minimum = 1, maximum = 10)]
    priority: Option<u8>,
    /// 1..3600; default 300.
    #[schema(minimum = 1, maximum = 3600)]
    timeout_seconds: Option<u32>,
    /// Further attempts per job, 0..10; default 3.
    #[schema(minimum = 0, maximum = 10)]
    max_retries: Option<u8>,
    /// Kept with the execution and returned with it.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

/// A run of a definition that is not saved.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "documents the body; it is read as a RunRequest and a definition")]
pub(crate) struct InlineRunRequest {
    /// The workflow definition; kept with the execution.
    #[schema(value_type = Object)]
    definition: Value,
    #[schema(inline)]
    #[serde(flatten)]
    run: RunRequest,
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
            (json!({"callback_url": "https://example.com"}), Code::InvalidField, "/callback_url"),
            (json!({"imput": {}}), Code::UnknownField, "/imput"),
            (json!({"definition": {}}), Code::UnknownField, "/definition"),
        ] {
            let error = read(&body).unwrap_err();
            assert_eq!((error.code, error.details[0].pointer.as_str()), (code, pointer), "{body}: {error}");
        }
    }
}
