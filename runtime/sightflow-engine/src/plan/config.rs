//! One node's configuration: canonical keys, templates set apart, the rest validated.

use std::sync::Arc;

use serde_json::{Map, Value};
use sightflow_types::Problem;

use super::NodeConfig;
use super::document::RawNode;
use super::dynamic::{Dynamic, Misfit};
use crate::catalog::{BlockEntry, pointer_token};

/// A configuration between the stages.
#[derive(Default)]
pub(super) struct ConfigDraft {
    /// What is known now, with defaults.
    pub(super) canonical: Map<String, Value>,
    /// Pointer, key and value of what is known at run time.
    pub(super) dynamic: Vec<(String, (String, Dynamic))>,
}

impl ConfigDraft {
    pub(super) fn finish(self) -> NodeConfig {
        let dynamic: Vec<(String, Dynamic)> = self.dynamic.into_iter().map(|(_, pair)| pair).collect();
        let text = dynamic.is_empty().then(|| Arc::from(Value::Object(self.canonical.clone()).to_string()));
        NodeConfig { fixed: Arc::new(self.canonical), text, dynamic }
    }
}

pub(super) fn compile(raw: &RawNode, entry: Option<&BlockEntry>, problems: &mut Vec<Problem>) -> ConfigDraft {
    let Some(entry) = entry else {
        return ConfigDraft::default();
    };
    let place = |key: &str| {
        raw.from_data.get(key).cloned().unwrap_or_else(|| format!("/nodes/{}/config/{}", raw.at, pointer_token(key)))
    };
    let mut canonical = entry.schema.canonical_keys(raw.config.clone());
    let mut dynamic = Vec::new();
    let mut broken = Vec::new();
    for key in canonical.config.keys().cloned().collect::<Vec<_>>() {
        if entry.schema.is_template(&key) {
            continue;
        }
        let pointer = place(canonical.written.get(&key).unwrap_or(&key));
        let mut misfits: Vec<Misfit> = Vec::new();
        let value = canonical.config.remove(&key).unwrap_or_default();
        let compiled = Dynamic::compile(&value, &pointer, &mut misfits);
        if !misfits.is_empty() {
            for Misfit { pointer, error } in misfits {
                problems.push(Problem::new(error.code, pointer, error.message).suggest(error.suggestion));
            }
            broken.push(key);
            continue;
        }
        match compiled {
            Dynamic::Fixed(value) => {
                canonical.config.insert(key, Arc::unwrap_or_clone(value));
            }
            other => dynamic.push((pointer, (key, other))),
        }
    }
    let unknown: Vec<String> = dynamic.iter().map(|(_, (key, _))| key.clone()).chain(broken).collect();
    entry.schema.finish(&mut canonical, &unknown);
    for mut problem in std::mem::take(&mut canonical.problems) {
        // Relative to the configuration: `/key` or `/key/deeper`.
        let mut steps = problem.pointer.splitn(3, '/').skip(1);
        problem.pointer = match (steps.next(), steps.next()) {
            (None | Some(""), _) => format!("/nodes/{}/config", raw.at),
            (Some(key), None) => place(key),
            (Some(key), Some(rest)) => format!("{}/{rest}", place(key)),
        };
        problems.push(problem);
    }
    ConfigDraft { canonical: canonical.config, dynamic }
}
