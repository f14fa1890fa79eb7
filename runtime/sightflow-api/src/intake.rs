//! Images that come in with a request: looked at, stored byte for byte, recorded as an upload of the tenant.

use std::time::Duration;

use bytes::Bytes;
use sightflow_images::Probe;
use sightflow_store::{Blob, BlobRef, NewBlob, StoreError};
use sightflow_types::{Digest, ImageRef, TenantId, Timestamp};

use crate::error::{ApiError, Code};
use crate::extract::body::{Charge, Held, IMAGE_LIMIT};
use crate::state::ApiState;

/// Reads the header of an image; `what` names it in messages.
pub(crate) fn check(bytes: &Bytes, what: &str, pointer: &str) -> Result<Probe, ApiError> {
    let invalid = |reason: String| ApiError::at(Code::ImageInvalid, pointer, format!("{what}: {reason}"));
    if bytes.len() > IMAGE_LIMIT {
        return Err(invalid(format!("larger than {} MiB", IMAGE_LIMIT >> 20)));
    }
    sightflow_images::probe(bytes).map_err(|error| invalid(error.to_string()))
}

/// Times that an image is stored while the collector deletes an older copy of the same bytes.
pub(crate) const ATTEMPTS: u32 = 5;
/// Between two of these times.
pub(crate) const PAUSE: Duration = Duration::from_millis(200);

/// The row of an image that [`check`] has passed; `stored_at` is the store's time before the bytes were stored.
pub(crate) fn new_blob(digest: Digest, bytes: &Bytes, probe: &Probe, stored_at: Timestamp) -> NewBlob {
    NewBlob {
        digest,
        size: bytes.len() as u64,
        media_type: probe.media_type().to_owned(),
        width: Some(probe.width),
        height: Some(probe.height),
        stored_at,
    }
}

/// Stores an image that [`check`] has passed and gives the tenant a reference to it; true when it held one before.
pub(crate) async fn keep(
    state: &ApiState,
    tenant: TenantId,
    bytes: &Bytes,
    probe: &Probe,
) -> Result<(Blob, bool), ApiError> {
    let mut attempt = 1;
    loop {
        let stored_at = state.store.now();
        let digest = state.blobs.put(bytes.clone()).await?;
        let known = find(state, tenant, &digest).await?.is_some();
        let new = new_blob(digest, bytes, probe, stored_at);
        match state.store.record_blob(new, BlobRef::upload(tenant, stored_at)).await {
            Err(StoreError::BlobBusy(_)) if attempt < ATTEMPTS => tokio::time::sleep(PAUSE).await,
            recorded => return Ok((recorded?, known)),
        }
        attempt += 1;
    }
}

/// The reference to a stored image, or none if the tenant cannot read such a blob.
pub(crate) async fn find(state: &ApiState, tenant: TenantId, digest: &Digest) -> Result<Option<Blob>, ApiError> {
    match state.store.blob(tenant, digest).await {
        Ok(blob) => Ok(Some(blob)),
        Err(StoreError::NotFound(_) | StoreError::MissingBlob(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The bytes of a blob of `size`, charged as long as they are held.
pub(crate) async fn load(state: &ApiState, digest: &Digest, size: u64) -> Result<Bytes, ApiError> {
    let charge = Charge::take(&state.config.memory, size).await?;
    Ok(Held { bytes: state.blobs.get(digest).await?, charge }.into_bytes())
}

/// The whole image in a blob.
pub(crate) fn reference(blob: &Blob) -> ImageRef {
    ImageRef {
        digest: blob.digest,
        width: blob.width.unwrap_or_default(),
        height: blob.height.unwrap_or_default(),
        format: blob.media_type.strip_prefix("image/").map(str::to_owned),
        view: None,
        ignore_orientation: false,
        url: None,
    }
}
