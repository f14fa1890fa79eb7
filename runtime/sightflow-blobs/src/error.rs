//! Why a blob could not be read or written.

use std::path::PathBuf;

use sightflow_types::Digest;

/// What went wrong with a blob.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// No blob has this name.
    #[error("there is no blob {0}")]
    NotFound(Digest),
    /// The stored bytes are not those that the name promises.
    #[error("blob {expected} is damaged: its bytes are {found}")]
    Damaged {
        /// The name that was asked for.
        expected: Digest,
        /// What the stored bytes hash to.
        found: Digest,
    },
    /// The range does not lie within the blob.
    #[error("bytes {start}..{end} are not within blob {digest}, which has {size}")]
    Range {
        /// The blob.
        digest: Digest,
        /// First byte asked for.
        start: u64,
        /// End of the range, exclusive.
        end: u64,
        /// Bytes of the blob.
        size: u64,
    },
    /// The directory cannot hold blobs.
    #[error("cannot store blobs in {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The store answered something else than was written a moment ago.
    #[error("the blob store answers other bytes than were just written")]
    Unreliable,
    /// The store failed.
    #[error("the blob store failed to {action}")]
    Store {
        /// What was tried: `read`, `write`, `delete`, ….
        action: &'static str,
        /// Why it failed.
        #[source]
        source: object_store::Error,
    },
}
