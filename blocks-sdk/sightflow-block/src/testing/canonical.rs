//! From the configuration that a user writes to the one that a block receives, as a server makes it.

use serde_json::{Map, Value};
use sightflow_schema::ConfigSchema;
use sightflow_types::{Problem, Severity};

/// Aliases and rewrites applied, dropped keys removed, defaults filled in, everything checked against the schema.
/// Warnings about spellings are left out.
///
/// # Errors
/// Everything that a server refuses, pointers relative to the node; `E-SCHEMA` if the schema itself is wrong, with which no
/// server would load the block.
pub fn canonical(schema: &Value, given: &Value) -> Result<Map<String, Value>, Vec<Problem>> {
    let (config, problems) = judged(schema, given)?;
    if problems.is_empty() { Ok(config) } else { Err(problems) }
}

/// As [`canonical`], with what is wrong beside what became of it: a block's own check sees that, too.
/// A canonical configuration and what is said about it.
pub(super) type Judged = (Map<String, Value>, Vec<Problem>);

pub(super) fn judged(schema: &Value, given: &Value) -> Result<Judged, Vec<Problem>> {
    let Some(given) = given.as_object() else {
        return Err(vec![Problem::new("E-CONFIG", "/config", "the configuration is no object")]);
    };
    let schema =
        ConfigSchema::compile(schema).map_err(|error| vec![Problem::new("E-SCHEMA", "", error.to_string())])?;
    let canonical = schema.canonical(given.clone());
    let errors = canonical.problems.into_iter().filter(|problem| problem.severity() == Severity::Error);
    let problems = errors.map(|problem| Problem { pointer: format!("/config{}", problem.pointer), ..problem });
    Ok((canonical.config, problems.collect()))
}
