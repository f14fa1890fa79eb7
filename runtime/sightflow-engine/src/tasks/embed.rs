//! `embedding`.

use serde_json::{Map, Value};

use super::taken;

pub(super) fn job_params(config: &Map<String, Value>) -> Map<String, Value> {
    taken(config, &["input_size", "normalize", "pooling", "gem_p"])
}
