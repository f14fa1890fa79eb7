//! Models from a directory: `models.json` lists them, the files say the rest themselves.

use std::path::Path;

use anyhow::{Context, Result};
use bytes::Bytes;
use serde::Deserialize;
use sightflow_blobs::BlobStore;
use sightflow_models::{Hints, ModelInfo, inspect};
use sightflow_store::{BlobRef, NewBlob, NewModel, RefKind, SharedStore};
use sightflow_types::{ModelSource, Task, TenantId};

/// `models.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    models: Vec<Listed>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    id: String,
    name: String,
    file: String,
    /// Where one file serves several tasks.
    task: Option<Task>,
    /// Where a graph has several outputs: the one to read.
    output: Option<String>,
}

/// A model of a directory.
pub struct Found {
    /// Registry id.
    pub id: String,
    /// For people.
    pub name: String,
    /// The file.
    pub bytes: Bytes,
    /// What it says about itself.
    pub info: ModelInfo,
}

/// Reads every model that `models.json` in `directory` lists.
///
/// # Errors
/// Names the file that cannot be read or understood.
pub fn read(directory: &Path) -> Result<Vec<Found>> {
    let path = directory.join("models.json");
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let listing: Listing =
        serde_json::from_slice(&text).with_context(|| format!("cannot understand {}", path.display()))?;
    let found = listing.models.into_iter().map(|listed| {
        let path = directory.join(&listed.file);
        let bytes = Bytes::from(std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
        let hints = Hints { task: listed.task, output: listed.output, ..Hints::default() };
        let info =
            inspect(&bytes, &hints).with_context(|| format!("cannot use {} as `{}`", path.display(), listed.id))?;
        Ok(Found { id: listed.id, name: listed.name, bytes, info })
    });
    found.collect()
}

/// Registers the models of a directory for everybody; what is already there stays as it is.
///
/// # Errors
/// As [`read`], and those of the stores.
pub async fn register(directory: &Path, store: &SharedStore, blobs: &BlobStore) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for model in read(directory)? {
        let size = model.bytes.len() as u64;
        let stored_at = store.now();
        let digest = blobs.put(model.bytes).await?;
        let media_type = "application/onnx".to_owned();
        let blob = NewBlob { digest, size, media_type, width: None, height: None, stored_at };
        let reference = BlobRef {
            tenant_id: TenantId::BUILT_IN,
            kind: RefKind::Model,
            ref_id: TenantId::BUILT_IN.uuid(),
            expires_at: None,
        };
        store.record_blob(blob, reference).await?;
        let row = NewModel {
            id: model.id.clone(),
            tenant_id: TenantId::BUILT_IN,
            source: ModelSource::Pretrained,
            task: model.info.spec.task,
            name: model.name,
            digest: Some(digest),
            size: Some(size),
            format: "onnx".to_owned(),
            spec: serde_json::to_value(&model.info.spec)?,
        };
        store.upsert_model(row).await?;
        ids.push(model.id);
    }
    Ok(ids)
}
