//! Models from a directory: `models.json` lists them, the files say the rest themselves.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use sightflow_blobs::{BlobStore, digest_of};
use sightflow_models::{Device, Hints, ModelInfo, inspect};
use sightflow_store::{BlobRef, ModelFilter, ModelState, NewBlob, NewModel, RefKind, SharedStore};
use sightflow_types::error::chain;
use sightflow_types::{ModelSource, Task, TenantId};

use crate::files;

/// `models.json`. Entries are read one by one, so that a bad one stands alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    models: Vec<Value>,
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

/// An entry of `models.json`.
pub struct Entry {
    /// Registry id.
    pub id: String,
    /// For people.
    name: String,
    file: PathBuf,
    /// What the entry says about the file.
    hints: Hints,
}

impl Entry {
    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read or understood.
    pub fn load(&self) -> Result<(Bytes, ModelInfo)> {
        let bytes = files::read(&self.file, files::MOST_MODEL)?;
        let info = inspect(&bytes, &self.hints)
            .with_context(|| format!("cannot use {} as `{}`", self.file.display(), self.id))?;
        Ok((bytes.into(), info))
    }
}

/// The entries of `models.json` in `directory`; one that cannot be understood says so in its place.
///
/// # Errors
/// The list itself cannot be read or understood.
pub fn list(directory: &Path) -> Result<Vec<Result<Entry>>> {
    let path = directory.join("models.json");
    let text = files::read(&path, files::MOST_TEXT)?;
    let listing: Listing =
        serde_json::from_slice(&text).with_context(|| format!("cannot understand {}", path.display()))?;
    let mut ids = HashSet::new();
    let mut entry = |(at, value): (usize, Value)| {
        let Listed { id, name, file, task, output } = serde_json::from_value(value)
            .with_context(|| format!("{}: entry {at} of `models` cannot be understood", path.display()))?;
        if !ids.insert(id.clone()) {
            bail!("{}: entry {at} of `models` has the id `{id}` of an earlier one", path.display());
        }
        Ok(Entry { id, name, file: directory.join(file), hints: Hints { task, output, ..Hints::default() } })
    };
    Ok(listing.models.into_iter().enumerate().map(&mut entry).collect())
}

/// Registers the models of a directory for everybody, each after it has run once on `device`; answers the ids of those
/// that can be used. One that cannot run is logged with its reason; if its file could be understood, it is registered
/// as broken, so that whoever names it learns that it is there.
///
/// # Errors
/// As [`list`], and those of the stores.
pub async fn register(directory: &Path, store: &SharedStore, blobs: &BlobStore, device: Device) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for entry in list(directory)? {
        let loaded = entry.and_then(|entry| entry.load().map(|(bytes, info)| (entry, bytes, info)));
        let (Entry { id, name, hints, .. }, bytes, info) = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                tracing::error!(reason = format!("{error:#}"), "model left out");
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
            tracing::error!(model.id = id, reason = chain(&error), "model cannot run and is marked as broken");
            ModelState::Broken
        }
        Err(error) => {
            tracing::warn!(model.id = id, reason = chain(&error), "model could not be tried out now");
            ModelState::Available
        }
    })
}
