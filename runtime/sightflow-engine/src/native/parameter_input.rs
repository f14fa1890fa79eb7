//! `parameter_input`: the parameters of the run.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use sightflow_types::error::RunError;

use super::{NativeBlock, NativeCall, NativeOutcome};
use crate::cell::Cell;

#[derive(Debug)]
pub(super) struct ParameterInput;

#[async_trait]
impl NativeBlock for ParameterInput {
    fn manifest(&self) -> &'static str {
        include_str!("parameter_input.json")
    }

    async fn run(&self, call: NativeCall<'_>) -> Result<NativeOutcome, RunError> {
        let all = Value::Object(call.parameters.clone());
        let named = call.text("parameter_name").and_then(|name| call.parameters.get(name));
        let cell = |port: &str, value: Value| (Arc::from(port), Cell::new(value, call.table));
        let value = named.cloned().unwrap_or_default();
        Ok(NativeOutcome::Delivered(vec![cell("parameters", all), cell("value", value)]))
    }
}
