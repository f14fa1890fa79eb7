//! Image bytes of an execution: blobs, and the rows that say who may read them.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use sightflow_blobs::BlobStore;
use sightflow_images::{EncodeFormat, Image, encode, probe};
use sightflow_store::{
    Append, BUSY_ATTEMPTS, BUSY_PAUSE, BlobRef, Execution, ExecutionLease, NewBlob, NewEvent, RefKind, Store,
    StoreError,
};
use sightflow_types::error::{RunError, code};
use sightflow_types::{Digest, ExecutionId, ImageRef, TenantId, event};

use super::{EngineParts, FetchError, ImageFetcher};
use crate::blocking::blocking;
use crate::images::{ImageIo, Purpose};

/// [`ImageIo`] over blobs; of an execution, also over the store that knows what its tenant may read.
pub struct StoredImages {
    blobs: BlobStore,
    owner: Option<Owner>,
}

struct Owner {
    store: Arc<dyn Store>,
    fetcher: Arc<dyn ImageFetcher>,
    tenant: TenantId,
    execution: ExecutionId,
    lease: ExecutionLease,
    resumed: bool,
    /// What the store allowed, or what this execution stored: it holds references of its own to these.
    readable: Mutex<HashSet<Digest>>,
}

fn internal(failure: &dyn std::fmt::Display) -> RunError {
    RunError::new(code::INTERNAL, format!("an image could not be stored: {failure}"))
}

impl StoredImages {
    /// Blobs alone, for runs without a database: benches, tests, `sightflow run`. URLs are refused.
    pub fn unrecorded(blobs: BlobStore) -> Self {
        Self { blobs, owner: None }
    }

    pub(super) fn for_execution(parts: &EngineParts, execution: &Execution, lease: ExecutionLease) -> Self {
        let owner = Owner {
            store: Arc::clone(&parts.store),
            fetcher: Arc::clone(&parts.fetcher),
            tenant: execution.tenant_id,
            execution: execution.id,
            lease,
            // More than the events of the start: someone walked before.
            resumed: execution.event_seq > 1,
            readable: Mutex::default(),
        };
        Self { blobs: parts.blobs.clone(), owner: Some(owner) }
    }

    async fn put(
        &self,
        bytes: Bytes,
        kind: RefKind,
        media_type: &str,
        size: Option<(u32, u32)>,
    ) -> Result<Digest, RunError> {
        let length = bytes.len() as u64;
        let mut attempt = 1;
        loop {
            let stored_at = self.owner.as_ref().map(|owner| owner.store.now());
            let digest = self.blobs.put(bytes.clone()).await.map_err(|failure| internal(&failure))?;
            let (Some(owner), Some(stored_at)) = (&self.owner, stored_at) else {
                return Ok(digest);
            };
            let blob = NewBlob {
                digest,
                size: length,
                media_type: media_type.to_owned(),
                width: size.map(|size| size.0),
                height: size.map(|size| size.1),
                stored_at,
            };
            let reference = BlobRef { tenant_id: owner.tenant, kind, ref_id: owner.execution.uuid(), expires_at: None };
            match owner.store.record_blob(blob, reference).await {
                Ok(_) => {
                    owner.allow(digest);
                    return Ok(digest);
                }
                // The collector was there between the two; it leaves new bytes alone.
                Err(StoreError::BlobBusy(_)) if attempt < BUSY_ATTEMPTS => tokio::time::sleep(BUSY_PAUSE).await,
                Err(failure) => return Err(internal(&failure)),
            }
            attempt += 1;
        }
    }
}

impl Owner {
    /// Fails unless the tenant holds a reference to the blob.
    async fn check(&self, digest: &Digest) -> Result<(), RunError> {
        if self.readable.lock().unwrap_or_else(PoisonError::into_inner).contains(digest) {
            return Ok(());
        }
        match self.store.blob(self.tenant, digest).await {
            Ok(_) => {
                self.allow(*digest);
                Ok(())
            }
            Err(StoreError::NotFound(_)) => Err(RunError::new(code::IMAGE, format!("there is no image {digest}"))),
            Err(failure) => Err(RunError::new(code::INTERNAL, format!("an image cannot be looked up: {failure}"))),
        }
    }

    fn allow(&self, digest: Digest) {
        self.readable.lock().unwrap_or_else(PoisonError::into_inner).insert(digest);
    }

    /// What an earlier walk fetched for this node and URL.
    async fn fetched(&self, node_id: &str, url: &str) -> Result<Option<Digest>, RunError> {
        if !self.resumed {
            return Ok(None);
        }
        let mut after = 0;
        loop {
            let page = self
                .store
                .events_after(self.tenant, self.execution, after, 1000)
                .await
                .map_err(|failure| internal(&failure))?;
            let Some(last) = page.last() else {
                return Ok(None);
            };
            after = last.seq;
            let found = page.iter().find(|event| {
                event.payload.get("fetched_url").and_then(Value::as_str) == Some(url)
                    && event.payload.get("node_id").and_then(Value::as_str) == Some(node_id)
            });
            if let Some(found) = found {
                return Ok(found.payload.get("digest").and_then(Value::as_str).and_then(|digest| digest.parse().ok()));
            }
        }
    }
}

#[async_trait]
impl ImageIo for StoredImages {
    async fn load(&self, digest: &Digest) -> Result<Bytes, RunError> {
        if let Some(owner) = &self.owner {
            owner.check(digest).await?;
        }
        self.blobs
            .get(digest)
            .await
            .map_err(|failure| RunError::new(code::IMAGE, format!("an image cannot be read: {failure}")))
    }

    async fn store(&self, image: &Image, purpose: Purpose) -> Result<ImageRef, RunError> {
        if let Some(reference) = image.reference() {
            return Ok(reference);
        }
        let copy = image.clone();
        let bytes = blocking(move || encode(&copy, EncodeFormat::Png)).await?;
        let bytes =
            bytes.map_err(|failure| RunError::new(code::IMAGE, format!("an image cannot be encoded: {failure}")))?;
        let (width, height) = image.size();
        let kind = match purpose {
            Purpose::Job => RefKind::Input,
            Purpose::Output => RefKind::Output,
        };
        let digest = self.put(bytes, kind, "image/png", Some((width, height))).await?;
        Ok(ImageRef {
            digest,
            width,
            height,
            format: Some("png".to_owned()),
            view: None,
            ignore_orientation: false,
            url: None,
        })
    }

    async fn fetch(&self, node_id: &str, url: &str) -> Result<(Bytes, Digest), RunError> {
        let Some(owner) = &self.owner else {
            return Err(RunError::new(code::URL_NOT_ALLOWED, "image URLs are not fetched here"));
        };
        if let Some(digest) = owner.fetched(node_id, url).await? {
            return Ok((self.load(&digest).await?, digest));
        }
        let bytes = owner.fetcher.fetch(url).await.map_err(|failure| match failure {
            FetchError::NotAllowed(reason) => RunError::new(code::URL_NOT_ALLOWED, reason),
            FetchError::Failed(reason) => {
                RunError::new(code::IMAGE, format!("the image could not be fetched: {reason}"))
            }
        })?;
        let found =
            probe(&bytes).map_err(|failure| RunError::new(code::IMAGE, format!("the fetched image: {failure}")))?;
        let digest =
            self.put(bytes.clone(), RefKind::Input, found.media_type(), Some((found.width, found.height))).await?;
        // Recorded before anything uses it: whoever walks again takes the same bytes.
        let event = NewEvent {
            kind: event::NODE_PROGRESS.to_owned(),
            payload: json!({"node_id": node_id, "done": 1, "total": 1, "fetched_url": url, "digest": digest}),
        };
        let append = Append { events: vec![event], ..Append::default() };
        owner.store.append_events(owner.lease, append).await.map_err(|failure| internal(&failure))?;
        Ok((bytes, digest))
    }
}
