//! Models from a directory: `models.json` lists them, the files say the rest themselves.

use std::path::Path;

use anyhow::{Context, Result};
use bytes::Bytes;
use serde::Deserialize;
use sightflow_blobs::{BlobStore, digest_of};
use sightflow_models::{Device, Hints, ModelInfo, inspect};
use sightflow_store::{BlobRef, ModelFilter, ModelState, NewBlob, NewModel, RefKind, SharedStore};
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

/// An entry of `models.json`, and what its file is.
pub struct Entry {
    /// Registry id.
    pub id: String,
    /// For people.
    pub name: String,
    /// What the entry says about the file.
    hints: Hints,
    /// The file, or why it cannot be read or understood.
    pub found: Result<Found>,
}

/// A model of a directory.
pub struct Found {
    /// The file.
    pub bytes: Bytes,
    /// What it says about itself.
    pub info: ModelInfo,
}

/// Reads every model that `models.json` in `directory` lists. An entry whose file cannot be used says so in its place.
///
/// # Errors
/// The list itself cannot be read or understood.
pub fn read(directory: &Path) -> Result<Vec<Entry>> {
    let path = directory.join("models.json");
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let listing: Listing =
        serde_json::from_slice(&text).with_context(|| format!("cannot understand {}", path.display()))?;
    let entry = |listed: Listed| {
        let path = directory.join(&listed.file);
        let hints = Hints { task: listed.task, output: listed.output, ..Hints::default() };
        let found = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display())).and_then(|bytes| {
            let info =
                inspect(&bytes, &hints).with_context(|| format!("cannot use {} as `{}`", path.display(), listed.id))?;
            Ok(Found { bytes: Bytes::from(bytes), info })
        });
        Entry { id: listed.id, name: listed.name, hints, found }
    };
    Ok(listing.models.into_iter().map(entry).collect())
}

/// Registers the models of a directory for everybody, each after it has run once on `device`; answers the ids of those
/// that can be used. One that cannot run is logged with its reason; if its file could be understood, it is registered
/// as broken, so that whoever names it learns that it is there.
///
/// # Errors
/// As [`read`], and those of the stores.
pub async fn register(directory: &Path, store: &SharedStore, blobs: &BlobStore, device: Device) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for Entry { id, name, hints, found } in read(directory)? {
        let Found { bytes, info } = match found {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(model.id = id, reason = format!("{error:#}"), "model left out");
                continue;
            }
        };
        let (digest, size) = (digest_of(&bytes), bytes.len() as u64);
        let known = store.models(TenantId::BUILT_IN, ModelFilter::default()).await?;
        let known = known.into_iter().find(|row| row.id == id && row.digest == Some(digest)).map(|row| row.state);
        let mut state = known.unwrap_or(ModelState::Available);
        // What ran before is not tried again at every start; what did not may run with this version.
        if known.is_none_or(|state| state == ModelState::Broken) {
            state = try_out(&id, bytes.clone(), hints, device).await?;
        }
        let stored_at = store.now();
        blobs.put(bytes).await?;
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
            id: id.clone(),
            tenant_id: TenantId::BUILT_IN,
            source: ModelSource::Pretrained,
            task: info.spec.task,
            name,
            digest: Some(digest),
            size: Some(size),
            format: "onnx".to_owned(),
            spec: serde_json::to_value(&info.spec)?,
        };
        let row = store.upsert_model(row).await?;
        if row.state != state {
            store.set_model_state(TenantId::BUILT_IN, &id, state).await?;
        }
        if state == ModelState::Available {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// Runs a model once, away from the threads that serve.
async fn try_out(id: &str, bytes: Bytes, hints: Hints, device: Device) -> Result<ModelState> {
    let checked = tokio::task::spawn_blocking(move || sightflow_models::check(&bytes, &hints, device)).await?;
    Ok(match checked {
        Ok(_) => ModelState::Available,
        Err(error) if error.permanent() => {
            tracing::error!(model.id = id, reason = %error, "model cannot run and is marked as broken");
            ModelState::Broken
        }
        Err(error) => {
            tracing::warn!(model.id = id, reason = %error, "model could not be tried out now");
            ModelState::Available
        }
    })
}
