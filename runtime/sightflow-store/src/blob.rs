//! Blobs: which bytes are stored, and who refers to them. The bytes themselves live elsewhere.

use std::time::Duration;

use sightflow_types::{Digest, TenantId, Timestamp, closed_set};
use uuid::Uuid;

/// How long an upload that nothing uses is kept.
pub const UPLOAD_TTL_MS: i64 = 86_400_000;
/// How long a blob without references is kept, in case it is referred to again.
pub const SECOND_LOOK_MS: i64 = 60_000;
/// How long it is remembered that a blob's bytes were deleted; longer than any request takes.
pub const DELETION_KNOWN_MS: i64 = 3_600_000;

/// Times that bytes are stored and recorded while the collector deletes an older copy of them.
pub const BUSY_ATTEMPTS: u32 = 5;
/// Between two of these times.
pub const BUSY_PAUSE: Duration = Duration::from_millis(200);

/// A stored blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// Its name.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// `image/jpeg`, `application/wasm`, ….
    pub media_type: String,
    /// Columns of the upright image.
    pub width: Option<u32>,
    /// Rows of the upright image.
    pub height: Option<u32>,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// When the asking tenant's upload reference runs out, if it holds one.
    pub expires_at: Option<Timestamp>,
}

/// A blob to record after its bytes were stored.
///
/// It is refused with `BlobBusy` when the bytes were deleted after `stored_at`, or are being deleted: whoever stored them
/// then found old bytes that are gone now. Store them again and record them again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBlob {
    /// Its name.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// `image/jpeg`, ….
    pub media_type: String,
    /// Columns of the upright image.
    pub width: Option<u32>,
    /// Rows of the upright image.
    pub height: Option<u32>,
    /// The store's time before its bytes were stored.
    pub stored_at: Timestamp,
}

closed_set!(
/// What a blob is to the thing that refers to it.
RefKind, "reference kind", {
    /// A tenant's upload.
    Upload = "upload",
    /// An input of an execution, or an image that its jobs read.
    Input = "input",
    /// An output of an execution.
    Output = "output",
    /// A block's component.
    Block = "block",
    /// A model's weights.
    Model = "model",
});

/// One reference: it keeps the blob and lets the tenant read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobRef {
    /// Who may read.
    pub tenant_id: TenantId,
    /// What it is for.
    pub kind: RefKind,
    /// The thing that refers: an execution's UUID, or the tenant's for an upload.
    pub ref_id: Uuid,
    /// When the reference ends by itself.
    pub expires_at: Option<Timestamp>,
}

impl BlobRef {
    /// A tenant's upload at `now`: ends after 24 hours; a repeated upload prolongs it.
    pub const fn upload(tenant_id: TenantId, now: Timestamp) -> Self {
        Self {
            tenant_id,
            kind: RefKind::Upload,
            ref_id: tenant_id.uuid(),
            expires_at: Some(now.plus_millis(UPLOAD_TTL_MS)),
        }
    }
}
