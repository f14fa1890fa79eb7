//! Images of a tenant for calls outside of executions: read where the tenant may read, stored as its uploads.

use async_trait::async_trait;
use bytes::Bytes;
use sightflow_engine::{ImageIo, Purpose};
use sightflow_images::{EncodeFormat, Image, encode, probe};
use sightflow_types::error::{RunError, code};
use sightflow_types::{Digest, ImageRef, TenantId};

use crate::error::ApiError;
use crate::intake;
use crate::state::ApiState;

/// [`ImageIo`] of a request.
pub(crate) struct TenantImages<'s> {
    state: &'s ApiState,
    tenant: TenantId,
}

impl<'s> TenantImages<'s> {
    /// What this tenant may read.
    pub(crate) fn new(state: &'s ApiState, tenant: TenantId) -> Self {
        Self { state, tenant }
    }
}

fn internal(error: &ApiError) -> RunError {
    RunError::new(code::INTERNAL, error.message.clone())
}

#[async_trait]
impl ImageIo for TenantImages<'_> {
    async fn load(&self, digest: &Digest) -> Result<Bytes, RunError> {
        let blob = intake::find(self.state, self.tenant, digest).await.map_err(|error| internal(&error))?;
        let blob = blob.ok_or_else(|| RunError::new(code::IMAGE, format!("there is no image {digest}")))?;
        intake::load(self.state, digest, blob.size).await.map_err(|error| RunError::new(code::IMAGE, error.message))
    }

    async fn store(&self, image: &Image, _: Purpose) -> Result<ImageRef, RunError> {
        if let Some(reference) = image.reference() {
            return Ok(reference);
        }
        let image = image.clone();
        let encoded = tokio::task::spawn_blocking(move || encode(&image, EncodeFormat::Png)).await;
        let bytes = encoded
            .map_err(|error| RunError::new(code::INTERNAL, error.to_string()))?
            .map_err(|error| RunError::new(code::IMAGE, format!("an image cannot be encoded: {error}")))?;
        let found = probe(&bytes).map_err(|error| RunError::new(code::IMAGE, error.to_string()))?;
        let kept = intake::keep(self.state, self.tenant, &bytes, &found).await;
        kept.map(|(blob, _)| intake::reference(&blob)).map_err(|error| internal(&error))
    }

    async fn fetch(&self, _: &str, _: &str) -> Result<(Bytes, Digest), RunError> {
        Err(RunError::new(code::URL_NOT_ALLOWED, "image URLs are not fetched here"))
    }
}
