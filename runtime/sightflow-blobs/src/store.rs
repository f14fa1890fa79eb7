//! The store.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use sha2::{Digest as _, Sha256};
use sightflow_types::Digest;

use crate::{BlobError, directory};

/// Above this many bytes hashing leaves the async threads.
const HASH_INLINE: usize = 256 << 10;

/// The SHA-256 of some bytes.
pub fn digest_of(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

/// Content-addressed bytes; a cheap handle that can be cloned.
#[derive(Debug, Clone)]
pub struct BlobStore {
    objects: Arc<dyn ObjectStore>,
    /// The directory, if the bytes are in one.
    root: Option<PathBuf>,
}

impl BlobStore {
    /// Blobs in a directory, which is made if it does not exist: for its owner alone, as every file in it.
    ///
    /// # Errors
    /// [`BlobError::Directory`] if it cannot be made or is no directory.
    pub fn open_directory(path: impl AsRef<Path>) -> Result<Self, BlobError> {
        let path = path.as_ref();
        directory::create(path).map_err(|source| BlobError::Directory { path: path.to_owned(), source })?;
        let objects = LocalFileSystem::new_with_prefix(path)
            .map_err(|source| BlobError::Store { action: "open its directory", source })?;
        Ok(Self { objects: Arc::new(objects.with_fsync(true)), root: Some(path.to_owned()) })
    }

    /// Blobs that live as long as the process, for tests and trials.
    pub fn in_memory() -> Self {
        Self::new(Arc::new(InMemory::new()))
    }

    /// Blobs in any object store: a bucket, say.
    pub fn new(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects, root: None }
    }

    /// Stores bytes and returns their name, after they are durable. Bytes that are stored already are read and compared with
    /// their name, not written again; damaged ones are replaced.
    ///
    /// # Errors
    /// [`BlobError::Store`] if the store fails.
    pub async fn put(&self, bytes: Bytes) -> Result<Digest, BlobError> {
        let named = Named::of(bytes).await;
        self.put_named(&named).await.map(|()| named.digest)
    }

    /// As [`Self::put`], for bytes whose name is known.
    ///
    /// # Errors
    /// [`BlobError::Store`] if the store fails.
    pub async fn put_named(&self, named: &Named) -> Result<(), BlobError> {
        let Named { digest, bytes } = named;
        if self.holds(digest, bytes.len() as u64).await {
            return Ok(());
        }
        // Overwriting replaces the whole file in one step.
        let location = location(digest);
        self.objects.put(&location, bytes.clone().into()).await.map_err(failed("write"))?;
        if let Some(root) = &self.root {
            directory::close_to_others(&root.join(location.as_ref()))
                .map_err(|source| BlobError::Directory { path: root.clone(), source })?;
        }
        Ok(())
    }

    /// Whether the right bytes are stored. What cannot be read is written again.
    async fn holds(&self, digest: &Digest, size: u64) -> bool {
        matches!(self.size_of(digest).await, Ok(Some(stored)) if stored == size) && self.get(digest).await.is_ok()
    }

    /// Names of the blobs in one of 256 folders (those whose digest begins with this byte) that were written at least
    /// `age` ago. What interrupted writes of that age left is removed on the way.
    ///
    /// # Errors
    /// [`BlobError::Store`], [`BlobError::Directory`].
    pub async fn written_before(&self, folder: u8, age: Duration) -> Result<Vec<Digest>, BlobError> {
        let folder = format!("{folder:02x}");
        let old = |modified: SystemTime| modified.elapsed().is_ok_and(|elapsed| elapsed >= age);
        if let Some(root) = &self.root {
            directory::remove_remains(&root.join(&folder), age)
                .await
                .map_err(|source| BlobError::Directory { path: root.clone(), source })?;
        }
        let prefix = object_store::path::Path::from(folder.as_str());
        let found = self.objects.list(Some(&prefix)).try_filter_map(|meta| {
            let file = meta.location.filename().unwrap_or_default();
            let digest: Option<Digest> = format!("sha256:{folder}{file}").parse().ok();
            std::future::ready(Ok(digest.filter(|_| old(meta.last_modified.into()))))
        });
        found.try_collect().await.map_err(failed("list"))
    }

    /// The bytes of a blob.
    ///
    /// # Errors
    /// [`BlobError::NotFound`], [`BlobError::Damaged`] if the bytes do not match the name, [`BlobError::Store`].
    pub async fn get(&self, digest: &Digest) -> Result<Bytes, BlobError> {
        let read = async { self.objects.get(&location(digest)).await?.bytes().await };
        let bytes = read.await.map_err(|error| missing(error, digest))?;
        let found = hash(&bytes).await;
        if found == *digest { Ok(bytes) } else { Err(BlobError::Damaged { expected: *digest, found }) }
    }

    /// Some bytes of a blob, unchecked: a part has no hash.
    ///
    /// # Errors
    /// [`BlobError::NotFound`], [`BlobError::Range`] if the range is empty or does not lie within the blob, [`BlobError::Store`].
    pub async fn get_range(&self, digest: &Digest, range: Range<u64>) -> Result<Bytes, BlobError> {
        let size = self.size(digest).await?;
        if range.start >= range.end || range.end > size {
            return Err(BlobError::Range { digest: *digest, start: range.start, end: range.end, size });
        }
        self.objects.get_range(&location(digest), range).await.map_err(|error| missing(error, digest))
    }

    /// Bytes of a blob.
    ///
    /// # Errors
    /// [`BlobError::NotFound`], [`BlobError::Store`].
    pub async fn size(&self, digest: &Digest) -> Result<u64, BlobError> {
        self.size_of(digest).await?.ok_or(BlobError::NotFound(*digest))
    }

    /// Whether there is a blob of this name.
    ///
    /// # Errors
    /// [`BlobError::Store`].
    pub async fn exists(&self, digest: &Digest) -> Result<bool, BlobError> {
        Ok(self.size_of(digest).await?.is_some())
    }

    /// Removes a blob; one that does not exist is removed already.
    ///
    /// # Errors
    /// [`BlobError::Store`].
    pub async fn delete(&self, digest: &Digest) -> Result<(), BlobError> {
        match self.objects.delete(&location(digest)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(BlobError::Store { action: "delete", source }),
        }
    }

    /// Writes, reads and removes a few bytes: whether the store can be used now.
    ///
    /// # Errors
    /// [`BlobError::Store`] with what failed, [`BlobError::Unreliable`] if other bytes come back.
    pub async fn check_writable(&self) -> Result<(), BlobError> {
        // Two checks at once must not remove each other's file.
        static CHECKS: AtomicU64 = AtomicU64::new(0);
        let number = CHECKS.fetch_add(1, Ordering::Relaxed);
        let path = object_store::path::Path::from(format!("health/{}-{number}", std::process::id()));
        let written = Bytes::from(number.to_string());
        let options = PutOptions { mode: PutMode::Overwrite, ..PutOptions::default() };
        self.objects.put_opts(&path, written.clone().into(), options).await.map_err(failed("write"))?;
        let read = async { self.objects.get(&path).await?.bytes().await };
        let read = read.await.map_err(failed("read"))?;
        self.objects.delete(&path).await.map_err(failed("delete"))?;
        if read == written { Ok(()) } else { Err(BlobError::Unreliable) }
    }

    async fn size_of(&self, digest: &Digest) -> Result<Option<u64>, BlobError> {
        match self.objects.head(&location(digest)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(BlobError::Store { action: "look up a blob", source }),
        }
    }
}

/// `ab/cdef…`.
fn location(digest: &Digest) -> object_store::path::Path {
    let hex = digest.hex();
    let (folder, file) = hex.split_at(2);
    object_store::path::Path::from_iter([folder, file])
}

/// Bytes with their name, which takes its time to be found: once is enough.
#[derive(Debug, Clone)]
pub struct Named {
    /// What the bytes are called.
    pub digest: Digest,
    /// The bytes.
    pub bytes: Bytes,
}

impl Named {
    /// Finds the name of bytes; large ones are read off the async threads.
    pub async fn of(bytes: Bytes) -> Self {
        Self { digest: hash(&bytes).await, bytes }
    }
}

async fn hash(bytes: &Bytes) -> Digest {
    if bytes.len() <= HASH_INLINE {
        return digest_of(bytes);
    }
    let owned = bytes.clone();
    // The task can only fail with the runtime that it runs on.
    tokio::task::spawn_blocking(move || digest_of(&owned)).await.unwrap_or_else(|_| digest_of(bytes))
}

fn failed(action: &'static str) -> impl FnOnce(object_store::Error) -> BlobError {
    move |source| BlobError::Store { action, source }
}

fn missing(error: object_store::Error, digest: &Digest) -> BlobError {
    match error {
        object_store::Error::NotFound { .. } => BlobError::NotFound(*digest),
        source => BlobError::Store { action: "read", source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file system does it when it is told to; a crash of the machine is nothing that a test can make.
    #[test]
    fn a_directory_synchronises_what_it_stores() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open_directory(directory.path()).unwrap();
        let settings = format!("{:?}", blobs.objects);
        assert!(settings.contains("fsync: true"), "{settings}");
    }
}
