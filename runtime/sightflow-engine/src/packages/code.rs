//! Code of tenants' packages in memory: brought when a block is called, within a bound, least recently used first out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use semver::Version;
use sightflow_blobs::BlobStore;
use sightflow_types::error::chain;
use sightflow_types::{Digest, TenantId};
use tokio::runtime::Handle;

use super::loader::{Identity, LoadFailure, PackageLoader};
use crate::catalog::Package;
use crate::host::{CallError, Code};

/// Whose package it is, and which bytes under which name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) tenant: TenantId,
    pub(super) name: String,
    pub(super) version: Version,
    pub(super) digest: Digest,
}

/// What became of a component.
#[derive(Clone)]
enum Loaded {
    Package(Package),
    /// It was refused. Not asked again: the same bytes would be refused again.
    Refused(String),
}

#[derive(Default)]
struct Slot {
    loaded: Mutex<Option<Loaded>>,
    /// Why it could not be read the last time. It is tried again when it is wanted again.
    unread: Mutex<Option<String>>,
    /// When it was last wanted, in wants.
    used: AtomicU64,
    /// Bytes of the component; what stands for the size of its code.
    size: u64,
}

pub(super) struct CodeCache {
    blobs: BlobStore,
    loader: Arc<dyn PackageLoader>,
    runtime: Handle,
    bound: u64,
    slots: Mutex<HashMap<Key, Arc<Slot>>>,
    wants: AtomicU64,
}

impl CodeCache {
    pub(super) fn new(blobs: BlobStore, loader: Arc<dyn PackageLoader>, bound: u64) -> Self {
        let (slots, wants) = (Mutex::default(), AtomicU64::new(0));
        Self { blobs, loader, runtime: Handle::current(), bound, slots, wants }
    }

    /// Code that is brought from here.
    pub(super) fn code(self: &Arc<Self>, key: Key, size: u64) -> Code {
        let cache = Arc::clone(self);
        Code::stored(move || cache.bring(&key, size).map(|package| package.code))
    }

    /// The loaded package; blocks.
    pub(super) fn bring(&self, key: &Key, size: u64) -> Result<Package, CallError> {
        let slot = self.slot(key, size);
        // One loads, the others wait for it.
        let mut loaded = slot.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match &*loaded {
            Some(found) => found.clone(),
            None => {
                let read = self.load(key);
                let reason = read.as_ref().err().map(|failure| failure.message.clone());
                *slot.unread.lock().unwrap_or_else(PoisonError::into_inner) = reason;
                let found = read?;
                *loaded = Some(found.clone());
                found
            }
        };
        match found {
            Loaded::Package(package) => Ok(package),
            Loaded::Refused(reason) => {
                Err(CallError::internal(format!("the package {}@{} does not load: {reason}", key.name, key.version)))
            }
        }
    }

    /// Loads on the runtime and waits here: this thread may be one that drives a future itself, where no other can be awaited.
    fn load(&self, key: &Key) -> Result<Loaded, CallError> {
        let (answer, answered) = mpsc::sync_channel(1);
        let loading = load(self.blobs.clone(), Arc::clone(&self.loader), key.clone());
        self.runtime.spawn(async move {
            // Whoever waits for it holds the other end until it comes.
            let _ = answer.send(loading.await);
        });
        let stopped = |_| CallError::internal(format!("loading {}@{} was stopped", key.name, key.version));
        answered.recv().map_err(stopped)?
    }

    /// Keeps what was just loaded.
    pub(super) fn keep(&self, key: &Key, size: u64, package: Package) {
        let slot = self.slot(key, size);
        *slot.loaded.lock().unwrap_or_else(PoisonError::into_inner) = Some(Loaded::Package(package));
        *slot.unread.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Why a package does not load, if that was tried.
    pub(super) fn refusal(&self, tenant: TenantId, name: &str, version: &Version) -> Option<String> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = |key: &&Key| key.tenant == tenant && key.name == name && key.version == *version;
        let slot = slots.keys().find(wanted).and_then(|key| slots.get(key)).cloned()?;
        drop(slots);
        // Who is loading it holds the lock: nothing is known yet.
        match slot.loaded.try_lock().ok()?.as_ref() {
            Some(Loaded::Refused(reason)) => Some(reason.clone()),
            Some(Loaded::Package(_)) => None,
            None => slot.unread.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Most bytes of components whose code is kept.
    pub(super) fn bound(&self) -> u64 {
        self.bound
    }

    /// The slot of a package, wanted now; others go when all are too large together. Who still uses their code keeps it.
    fn slot(&self, key: &Key, size: u64) -> Arc<Slot> {
        let now = self.wants.fetch_add(1, Ordering::Relaxed);
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = Arc::clone(slots.entry(key.clone()).or_insert_with(|| Arc::new(Slot { size, ..Slot::default() })));
        slot.used.store(now, Ordering::Relaxed);
        let mut total: u64 = slots.values().map(|slot| slot.size).sum();
        while total > self.bound && slots.len() > 1 {
            let oldest = slots.iter().min_by_key(|(_, slot)| slot.used.load(Ordering::Relaxed));
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { break };
            total -= slots.remove(&oldest).map_or(0, |slot| slot.size);
        }
        slot
    }
}

async fn load(blobs: BlobStore, loader: Arc<dyn PackageLoader>, key: Key) -> Result<Loaded, CallError> {
    let bytes = blobs.get(&key.digest).await.map_err(|failure| {
        let message = format!("the component of {}@{} cannot be read: {}", key.name, key.version, chain(&failure));
        CallError::internal(message)
    })?;
    let identity = Identity { name: key.name.clone(), version: key.version.clone() };
    Ok(match loader.load(key.tenant, &identity, bytes).await {
        Ok(package) => Loaded::Package(package),
        Err(failure @ (LoadFailure::Busy | LoadFailure::Host(_))) => {
            let message = format!("{}@{} cannot be loaded now: {failure}", key.name, key.version);
            return Err(CallError::internal(message));
        }
        Err(refused @ LoadFailure::Refused(_)) => {
            let reason = refused.to_string();
            tracing::error!(block.package = key.name, block.version = %key.version, tenant = %key.tenant, reason, "a block package does not load");
            Loaded::Refused(reason)
        }
    })
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use bytes::Bytes;
    use sightflow_types::Problem;

    use super::*;
    use crate::catalog::Granted;
    use crate::packages::Breaking;

    /// Loads everything but what begins with `!`, and counts.
    #[derive(Default)]
    struct Counting(AtomicU64);

    #[async_trait]
    impl PackageLoader for Counting {
        fn identity(&self, _: &[u8]) -> Result<Option<Identity>, Vec<Problem>> {
            Ok(None)
        }

        fn wit_version(&self) -> &'static str {
            "0.1"
        }

        async fn load(&self, _: TenantId, identity: &Identity, component: Bytes) -> Result<Package, LoadFailure> {
            self.0.fetch_add(1, Ordering::Relaxed);
            if component.starts_with(b"!") {
                return Err(LoadFailure::Refused(vec![Problem::new("E-COMPILE", "", "nothing but noise")]));
            }
            Ok(Package {
                name: identity.name.clone(),
                version: identity.version.clone(),
                digest: sightflow_blobs::digest_of(&component),
                manifests: Vec::new(),
                code: Code::new(component),
                granted: Granted::default(),
            })
        }

        fn breaking(&self) -> Vec<Breaking> {
            Vec::new()
        }

        fn release(&self, _: TenantId, _: Digest) {}
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn code_is_brought_once_and_bounded() {
        let (blobs, loader) = (BlobStore::in_memory(), Arc::new(Counting::default()));
        let mut keys = Vec::new();
        for bytes in ["one.", "two.", "tri.", "!bad"] {
            let digest = blobs.put(Bytes::from(bytes)).await.expect("stored");
            let version = Version::new(1, 0, 0);
            keys.push(Key { tenant: TenantId::BUILT_IN, name: format!("acme/{bytes}"), version, digest });
        }
        let cache = Arc::new(CodeCache::new(blobs, Arc::clone(&loader) as _, 8));
        let work = tokio::task::spawn_blocking(move || {
            // As a thread of a run does: it drives a future.
            let runtime = Handle::current();
            let bring = |index: usize| runtime.block_on(async { cache.code(keys[index].clone(), 4).here() });
            // What is wanted, and how often anything was loaded until then: two fit.
            for (index, loads) in [(0, 1), (0, 1), (1, 2), (0, 2), (2, 3), (0, 3), (1, 4)] {
                let code = bring(index).expect("code");
                assert!(code.get::<Bytes>().is_some());
                assert_eq!(loader.0.load(Ordering::Relaxed), loads, "{index}");
            }
            for _ in 0..2 {
                let refused = bring(3).expect_err("refused");
                assert!(refused.message.ends_with("does not load: nothing but noise"), "{refused}");
                assert_eq!(loader.0.load(Ordering::Relaxed), 5, "it is not tried again");
            }
            let refusal = |key: &Key| cache.refusal(key.tenant, &key.name, &key.version);
            assert_eq!(refusal(&keys[3]).as_deref(), Some("nothing but noise"));
            assert_eq!(refusal(&keys[1]), None);
            let gone = Key { digest: Digest::from_bytes([9; 32]), ..keys[0].clone() };
            let unread = cache.bring(&gone, 4).expect_err("no bytes");
            assert!(unread.message.contains("cannot be read"), "{unread}");
        });
        work.await.expect("no panic");
    }
}
