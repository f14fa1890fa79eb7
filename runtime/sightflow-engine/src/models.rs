//! The models that a definition may name: a snapshot of the registry.

use std::collections::HashMap;

use sightflow_expressions::reference::nearest;
use sightflow_types::model::ModelSpec;
use sightflow_types::{Digest, ModelSource, Task};

/// One registered model, as far as planning needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelEntry {
    /// Registry id.
    pub id: String,
    /// Which registry.
    pub source: ModelSource,
    /// Digest of the weights; pinned by executions.
    pub digest: Option<Digest>,
    /// False while it is disabled or broken.
    pub available: bool,
    /// How it is fed and read.
    pub spec: ModelSpec,
}

/// A snapshot of the model registry.
#[derive(Debug, Clone, Default)]
pub struct ModelCatalog {
    models: HashMap<(String, ModelSource), ModelEntry>,
}

impl ModelCatalog {
    /// A snapshot of these models.
    pub fn new(models: impl IntoIterator<Item = ModelEntry>) -> Self {
        Self { models: models.into_iter().map(|model| ((model.id.clone(), model.source), model)).collect() }
    }

    /// The model of this exact name.
    pub fn find(&self, id: &str, source: ModelSource) -> Option<&ModelEntry> {
        self.models.get(&(id.to_owned(), source))
    }

    /// The nearest name of a model for `task`.
    pub fn nearest(&self, id: &str, task: Task) -> Option<String> {
        nearest(id, self.models.values().filter(|model| model.spec.task == task).map(|model| model.id.as_str()))
    }

    /// Names of all models for `task`, sorted.
    pub fn names(&self, task: Task) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.models.values().filter(|model| model.spec.task == task).map(|model| model.id.as_str()).collect();
        names.sort_unstable();
        names
    }
}
