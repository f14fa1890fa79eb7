//! `embedding`.

use serde_json::{Map, Value, json};
use sightflow_types::error::{RunError, code};

use super::{Values, taken};

pub(super) fn job_params(config: &Map<String, Value>) -> Map<String, Value> {
    taken(config, &["input_size", "normalize", "pooling", "gem_p"])
}

/// What a node delivers for the results of its images, in order.
pub(crate) fn outputs(results: &[Value], mut metadata: Value) -> Result<Values, RunError> {
    let vectors = results.iter().map(|result| {
        result
            .get("embedding")
            .filter(|vector| vector.is_array())
            .cloned()
            .ok_or_else(|| RunError::new(code::JOB_FAILED, "the job's result holds no embedding"))
    });
    let embeddings: Vec<Value> = vectors.collect::<Result<_, _>>()?;
    let dimension = embeddings.first().and_then(Value::as_array).map(Vec::len);
    let first = results.first();
    let reported = |key: &str| first.and_then(|result| result.get(key)).cloned().unwrap_or_default();
    if let Some(object) = metadata.as_object_mut() {
        object.insert("embedding_dim".to_owned(), json!(dimension));
        object.insert("count".to_owned(), json!(embeddings.len()));
        object.insert("normalized".to_owned(), reported("normalized"));
        object.insert("pooling".to_owned(), reported("pooling"));
    }
    Ok(vec![
        ("embedding", embeddings.first().cloned().unwrap_or_default()),
        ("embeddings", Value::Array(embeddings)),
        ("dimension", json!(dimension)),
        ("metadata", metadata),
    ])
}
