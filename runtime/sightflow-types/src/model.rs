//! What a model is: the part of a registry row that says how to feed it and how to read what it answers.

use serde::{Deserialize, Serialize};

use crate::Task;

/// The `spec` of a registered model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// What it does.
    pub task: Task,
    /// Width and height of the input in pixels.
    pub input_size: [u32; 2],
    /// Class names by class id; empty for embedding models.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Length of the embedding vector; none for other tasks.
    #[serde(default)]
    pub embedding_dim: Option<u32>,
    /// SPDX expression or the licence's name.
    #[serde(default)]
    pub license: Option<String>,
    /// Where the weights come from.
    #[serde(default)]
    pub source: Option<String>,
}
