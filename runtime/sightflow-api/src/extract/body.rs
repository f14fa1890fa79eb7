//! Bounded bodies, whose bytes are taken from the process's budget while they are held.

use std::error::Error;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use sightflow_memory::{MemoryPool, OutOfBudget, Reservation, Use};

use crate::error::{ApiError, Code};
use crate::middleware::TooSlow;

/// Largest JSON body of an ordinary route, and most that a run may hold beside its images.
pub(crate) const JSON_LIMIT: usize = 1 << 20;
/// Largest JSON body of a run: base64 images travel in it.
pub(crate) const RUN_LIMIT: usize = 64 << 20;
/// Largest multipart body.
pub(crate) const MULTIPART_LIMIT: usize = 200 << 20;
/// Most file parts of one multipart body.
pub(crate) const MULTIPART_FILES: usize = 64;
/// Largest encoded image.
pub(crate) const IMAGE_LIMIT: usize = 50 << 20;

/// Largest component of a block package.
pub(crate) const COMPONENT_LIMIT: usize = 32 << 20;

/// How long a request waits for memory before it is sent away.
const PATIENCE: Duration = Duration::from_secs(3);
/// Declared lengths up to this are taken at once. Beyond it the charge grows with what has arrived, at most doubling: a
/// client that announces much and sends nothing holds little.
const AT_ONCE: u64 = 1 << 20;

/// Bytes of the process's budget that one request holds; given back when dropped.
#[derive(Debug)]
pub(crate) struct Charge {
    held: Reservation,
    patience: Duration,
}

impl Charge {
    /// Takes `bytes`, waiting shortly. `503 unavailable` when they are not to be had.
    pub(crate) async fn take(pool: &MemoryPool, bytes: u64) -> Result<Self, ApiError> {
        Self::take_within(pool, bytes, PATIENCE).await
    }

    /// Takes `bytes`; for these, and for each growth, it waits as long as `patience`.
    pub(crate) async fn take_within(pool: &MemoryPool, bytes: u64, patience: Duration) -> Result<Self, ApiError> {
        let held = pool.reserve(Use::Bodies, bytes, patience).await.map_err(crowded)?;
        Ok(Self { held, patience })
    }

    /// Takes more.
    pub(crate) async fn grow(&mut self, more: u64) -> Result<(), ApiError> {
        self.held.grow(more, self.patience).await.map_err(crowded)
    }

    /// Gives back all but `bytes`.
    pub(crate) fn keep(&mut self, bytes: u64) {
        self.held.shrink_to(bytes);
    }

    /// Makes sure that `wanted` bytes are held, taking more than that at a time where more is `expected`.
    pub(crate) async fn cover(&mut self, wanted: u64, expected: u64) -> Result<(), ApiError> {
        let held = self.held.bytes();
        if wanted <= held {
            return Ok(());
        }
        self.grow((held * 2).min(expected).max(wanted) - held).await
    }
}

/// Who does not fit is sent away for a moment, and who never will for good.
pub(crate) fn crowded(error: OutOfBudget) -> ApiError {
    if error.never_fits() {
        let message = format!("this needs {}", beyond(&error));
        return ApiError { source: Some(error.into()), ..ApiError::new(Code::BodyTooLarge, message) };
    }
    ApiError {
        source: Some(error.into()),
        retry_after: Some(2),
        ..ApiError::new(Code::Unavailable, "the server has no memory left for this request now; try again")
    }
}

/// `2048 MiB of memory; the server has 1024 MiB in all`.
pub(crate) fn beyond(full: &OutOfBudget) -> String {
    format!("{} MiB of memory; the server has {} MiB in all", full.wanted.div_ceil(1 << 20), full.capacity >> 20)
}

/// Bytes that were read or made for a request or an answer.
#[derive(Debug)]
pub(crate) struct Held {
    /// Its bytes, decoded if the client compressed them.
    pub(crate) bytes: Bytes,
    /// What they are charged.
    pub(crate) charge: Charge,
}

impl Held {
    /// The bytes alone; the charge is given back with the last of them.
    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a body of at most `limit` bytes; a declared length beyond it is refused before the first byte is read.
pub(crate) async fn read(pool: &MemoryPool, body: Body, headers: &HeaderMap, limit: usize) -> Result<Held, ApiError> {
    let declared = declared(headers);
    if declared.is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    let mut charge = Charge::take(pool, declared.unwrap_or_default().min(AT_ONCE)).await?;
    let mut stream = body.into_data_stream();
    let mut all = BytesMut::new();
    while let Some(chunk) = stream.next().await.transpose().map_err(ended_early)? {
        let length = all.len() + chunk.len();
        if length > limit {
            return Err(too_large(limit));
        }
        charge.cover(length as u64, declared.unwrap_or(limit as u64)).await?;
        if all.is_empty() {
            // Address space alone costs nothing; the pages come with the bytes.
            all.reserve(declared.unwrap_or_default() as usize);
        }
        all.extend_from_slice(&chunk);
    }
    charge.keep(all.len() as u64);
    Ok(Held { bytes: all.freeze(), charge })
}

/// The length that the client announced.
pub(crate) fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok())
}

/// `413` with the limit in words.
pub(crate) fn too_large(limit: usize) -> ApiError {
    ApiError::new(Code::BodyTooLarge, format!("the body is larger than {} MiB", limit >> 20))
}

/// The client stopped sending, or sent a broken transfer or content encoding.
pub(crate) fn ended_early(error: axum::Error) -> ApiError {
    unreadable(error, "the body ended before it was complete, or is not in the encoding that its headers say")
}

/// `400 bad_json` with the message, or `408` if the client was too slow.
pub(crate) fn unreadable(error: impl Error + Send + Sync + 'static, message: impl Into<String>) -> ApiError {
    let mut chain = std::iter::successors(Some(&error as &dyn Error), |cause| (*cause).source());
    let refused = match chain.find_map(|cause| cause.downcast_ref::<TooSlow>()) {
        Some(slow) => ApiError::new(Code::BodyTooSlow, slow.to_string()),
        None => ApiError::new(Code::BadJson, message),
    };
    ApiError { source: Some(error.into()), ..refused }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(size: usize, count: usize) -> Body {
        let chunk = Bytes::from(vec![0; size]);
        Body::from_stream(futures::stream::iter((0..count).map(move |_| Ok::<_, std::io::Error>(chunk.clone()))))
    }

    async fn read_into(pool: &MemoryPool, body: Body, declared: Option<usize>) -> Result<Held, ApiError> {
        let mut headers = HeaderMap::new();
        if let Some(length) = declared {
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
        read(pool, body, &headers, 8 << 20).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_charged_while_it_is_held() {
        let pool = MemoryPool::new(10 << 20);
        for declared in [None, Some(4 << 20)] {
            let held = read_into(&pool, chunks(1 << 20, 4), declared).await.unwrap();
            assert_eq!((held.bytes.len(), pool.used()), (4 << 20, 4 << 20));
            drop(held);
            assert_eq!(pool.used(), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_fit_is_sent_away_and_leaves_nothing_behind() {
        let pool = MemoryPool::new(4 << 20);
        let other = pool.try_reserve(Use::Images, 2 << 20).unwrap();
        for declared in [None, Some(3 << 20)] {
            let error = read_into(&pool, chunks(1 << 20, 3), declared).await.unwrap_err();
            assert_eq!((error.code, error.retry_after), (Code::Unavailable, Some(2)));
            assert_eq!(pool.used(), 2 << 20);
        }
        drop(other);
        assert!(read_into(&pool, chunks(1 << 20, 3), None).await.is_ok());
        for declared in [None, Some(5 << 20)] {
            let error = read_into(&pool, chunks(1 << 20, 5), declared).await.unwrap_err();
            assert_eq!((error.code, error.retry_after), (Code::BodyTooLarge, None), "no wait would help");
            assert!(error.message.ends_with("the server has 4 MiB in all"), "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_announcement_alone_holds_little() {
        let pool = MemoryPool::new(4 << 30);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, (64u64 << 20).into());
        let silent = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        let reading = read(&pool, silent, &headers, RUN_LIMIT);
        assert!(tokio::time::timeout(Duration::from_secs(1), reading).await.is_err());
        assert_eq!(pool.used(), 0);
        let silent = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        let mut reading = Box::pin(read(&pool, silent, &headers, RUN_LIMIT));
        assert!(tokio::time::timeout(Duration::from_secs(1), &mut reading).await.is_err());
        assert_eq!(pool.used(), AT_ONCE);
    }
}
