//! The bytes of a blob as a body: read a piece at a time, so that a client that does not read holds no more than one.

use std::ops::Range;

use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use sha2::{Digest as _, Sha256};
use sightflow_blobs::{BlobError, BlobStore};
use sightflow_types::Digest;

use crate::error::ApiError;
use crate::extract::body::Charge;
use crate::state::ApiState;

/// Bytes that are read at a time, and charged as long as the body lives.
const PIECE: u64 = 128 << 10;

/// What is left of a blob, or of a part of it.
struct Pieces {
    blobs: BlobStore,
    digest: Digest,
    rest: Range<u64>,
    /// Of what was read, when that will be the whole blob.
    hash: Option<Sha256>,
    _charge: Charge,
}

impl Pieces {
    /// The next bytes. The last ones of a whole blob come only if all of them are what its name promises.
    async fn next(&mut self) -> Result<Option<Bytes>, BlobError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let end = self.rest.end.min(self.rest.start + PIECE);
        let piece = self.blobs.get_range(&self.digest, self.rest.start..end).await?;
        self.rest.start = end;
        if let Some(hash) = &mut self.hash {
            hash.update(&piece);
            let found =
                if self.rest.is_empty() { Digest::from_bytes(hash.clone().finalize().into()) } else { self.digest };
            if found != self.digest {
                return Err(BlobError::Damaged { expected: self.digest, found });
            }
        }
        Ok(Some(piece))
    }
}

/// Refuses what is not stored to its end.
pub(super) async fn check(state: &ApiState, digest: Digest, part: &Range<u64>) -> Result<(), ApiError> {
    let size = state.blobs.size(&digest).await?;
    if part.end <= size {
        return Ok(());
    }
    Err(BlobError::Range { digest, start: part.start, end: part.end, size }.into())
}

/// A body of the bytes `part` of a blob that has `size`.
pub(crate) async fn body(state: &ApiState, digest: Digest, size: u64, part: Range<u64>) -> Result<Body, ApiError> {
    check(state, digest, &part).await?;
    let mut pieces = Pieces {
        blobs: state.blobs.clone(),
        digest,
        hash: (part == (0..size)).then(Sha256::new),
        _charge: Charge::take(&state.config.memory, PIECE.min(part.end - part.start)).await?,
        rest: part,
    };
    // Before the answer begins: what cannot be read is an error then, not an answer that breaks off.
    let first = pieces.next().await?;
    let rest = stream::try_unfold(pieces, |mut pieces| async move {
        Ok::<_, BlobError>(pieces.next().await?.map(|piece| (piece, pieces)))
    });
    let rest = rest.inspect_err(move |error| {
        tracing::error!(%digest, error = error as &dyn std::error::Error, "an answer breaks off");
    });
    Ok(Body::from_stream(stream::iter(first.map(Ok)).chain(rest)))
}

#[cfg(test)]
mod tests {
    use sightflow_memory::MemoryPool;

    use super::*;

    #[tokio::test]
    async fn the_last_piece_of_a_damaged_blob_does_not_come() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open_directory(directory.path()).unwrap();
        let mut bytes = vec![7; PIECE as usize * 2 + 1];
        let digest = blobs.put(bytes.clone().into()).await.unwrap();
        let memory = MemoryPool::new(1 << 20);
        for (part, damaged, expected) in [
            (0..PIECE * 2 + 1, false, vec![Some(PIECE as usize), Some(PIECE as usize), Some(1)]),
            (0..PIECE * 2 + 1, true, vec![Some(PIECE as usize), Some(PIECE as usize), None]),
            (5..PIECE + 7, true, vec![Some(PIECE as usize), Some(2)]),
        ] {
            if damaged {
                bytes[0] = 8;
                let hex = digest.hex();
                std::fs::write(directory.path().join(&hex[..2]).join(&hex[2..]), &bytes).unwrap();
            }
            let hash = (part == (0..PIECE * 2 + 1)).then(Sha256::new);
            let charge = Charge::take(&memory, PIECE).await.unwrap();
            let mut pieces = Pieces { blobs: blobs.clone(), digest, rest: part.clone(), hash, _charge: charge };
            let mut found = Vec::new();
            while let Some(piece) = pieces.next().await.transpose() {
                found.push(piece.as_ref().ok().map(Bytes::len));
                if piece.is_err() {
                    break;
                }
            }
            assert_eq!(found, expected, "{part:?} {damaged}");
        }
    }
}
