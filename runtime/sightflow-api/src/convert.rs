//! Errors of the crates below, in the terms of the API.

use sightflow_blobs::BlobError;
use sightflow_store::StoreError;

use crate::error::{ApiError, Code};

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::NotFound(what) => return Self::new(Code::NotFound, format!("there is no such {what}")),
            StoreError::IdempotencyConflict => {
                return Self::new(
                    Code::IdempotencyConflict,
                    "this Idempotency-Key was used for a different request; use a new key",
                );
            }
            StoreError::MissingBlob(digest) => {
                return Self::new(
                    Code::ImageInvalid,
                    format!("there is no blob {digest}; upload it to /api/v1/blobs first"),
                );
            }
            StoreError::DamagedWorkflow(_) => {
                let message = "the stored definition cannot be read; restore a version that can be, or save the whole definition again";
                return Self { source: Some(error.into()), ..Self::new(Code::WorkflowDamaged, message) };
            }
            StoreError::StaleVersion { .. } => Code::StaleVersion,
            StoreError::AlreadyTerminal => Code::AlreadyTerminal,
            StoreError::NotTerminal => Code::NotTerminal,
            StoreError::InUse(_) => Code::InUse,
            StoreError::Archived => Code::WorkflowArchived,
            StoreError::AlreadyExists(_) => Code::AlreadyExists,
            StoreError::BlobBusy(_)
            | StoreError::Unavailable(_)
            | StoreError::Locked { .. }
            | StoreError::Schema(_) => return Self::unavailable(error),
            StoreError::StaleLease | StoreError::Refused(_) | StoreError::Corrupt(_) | StoreError::Internal(_) => {
                return Self::internal(error);
            }
        };
        Self::new(code, error.to_string())
    }
}

impl From<BlobError> for ApiError {
    fn from(error: BlobError) -> Self {
        match error {
            // The row says that the bytes exist.
            BlobError::NotFound(digest)
            | BlobError::Damaged { expected: digest, .. }
            | BlobError::Range { digest, .. } => {
                let message =
                    format!("the stored bytes of the blob {digest} are damaged or missing; upload them again");
                Self { source: Some(error.into()), ..Self::new(Code::BlobDamaged, message) }
            }
            BlobError::Unreliable => Self::internal(error),
            BlobError::Directory { .. } | BlobError::Store { .. } => Self::unavailable(error),
        }
    }
}
