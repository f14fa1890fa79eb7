//! Compiled packages on disk, each under a MAC.
//!
//! wasmtime trusts compiled code completely, so a file is used only when its MAC shows that this installation wrote it:
//! HMAC-SHA-256 with a key that is made on first use and lies beside the files, readable by their owner alone. Anything
//! else in the directory, changed or brought from elsewhere, is ignored and compiled anew.

use std::hash::{Hash, Hasher};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sightflow_types::Digest;
use wasmtime::Engine;

use crate::native::Native;

const KEY_FILE: &str = "key";
const MAC_BYTES: usize = 32;

/// A directory of compiled packages.
pub(crate) struct CompileCache {
    directory: PathBuf,
    key: [u8; 32],
    most_bytes: u64,
}

impl CompileCache {
    /// Opens the directory, making it and its key when absent.
    pub(crate) fn open(directory: &Path, most_bytes: u64) -> std::io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let key = match create_key(&directory.join(KEY_FILE)) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => read_key(&directory.join(KEY_FILE))?,
            other => other?,
        };
        Ok(Self { directory: directory.to_owned(), key, most_bytes })
    }

    /// The compiled form of the package with this digest, if this installation stored one for this very engine.
    pub(crate) fn load(&self, engine: &Engine, digest: Digest) -> Option<Native> {
        let name = entry_name(engine, digest);
        let path = self.directory.join(&name);
        let mut bytes = std::fs::read(&path).ok()?;
        let (mac, code) = bytes.split_at_checked(MAC_BYTES)?;
        if self.mac(&name, code).verify_slice(mac).is_err() {
            tracing::warn!(entry = name, "a compiled package has a wrong MAC and is compiled anew");
            return None;
        }
        // The name, which the MAC covers, binds the code to the component, the wasmtime version and the engine's settings.
        bytes.drain(..MAC_BYTES);
        // The oldest go first when there is no room; one that cannot be marked only goes too early.
        let _ = std::fs::File::open(&path).and_then(|file| file.set_modified(std::time::SystemTime::now()));
        Some(Native::from_cache(bytes))
    }

    /// Keeps a compiled package, and forgets those that were used longest ago where there is no room. A failure costs time
    /// later, so it is only logged.
    pub(crate) fn store(&self, engine: &Engine, digest: Digest, code: &Native) {
        let name = entry_name(engine, digest);
        let mac = self.mac(&name, code.bytes()).finalize().into_bytes();
        let written = self.write(&name, &mac, code.bytes()).and_then(|()| self.prune(&name));
        if let Err(error) = written {
            tracing::warn!(entry = name, error = error.to_string(), "cannot store a compiled package");
        }
    }

    /// Removes what was used longest ago until the rest fits; never what was just written, nor the key.
    fn prune(&self, written: &str) -> std::io::Result<()> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let entry = entry?;
            let (name, metadata) = (entry.file_name(), entry.metadata()?);
            if metadata.is_file() && name != KEY_FILE {
                entries.push((name == written, metadata.modified()?, metadata.len(), entry.path()));
            }
        }
        // The newest first.
        entries.sort_by_key(|entry| std::cmp::Reverse((entry.0, entry.1)));
        let mut sum = 0_u64;
        for (just_written, _, bytes, path) in entries {
            sum = sum.saturating_add(bytes);
            if sum > self.most_bytes && !just_written {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn write(&self, name: &str, mac: &[u8], code: &[u8]) -> std::io::Result<()> {
        let mut random = [0; 8];
        fill_random(&mut random)?;
        let temporary = self.directory.join(format!("{name}.{:016x}.tmp", u64::from_le_bytes(random)));
        let mut file = private_file(&temporary)?;
        let written = file
            .write_all(mac)
            .and_then(|()| file.write_all(code))
            .and_then(|()| std::fs::rename(&temporary, self.directory.join(name)));
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        written
    }

    fn mac(&self, name: &str, code: &[u8]) -> Hmac<Sha256> {
        // HMAC pads a shorter key with zeros to one block.
        let mut block = [0; 64];
        block[..32].copy_from_slice(&self.key);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        // The length keeps a name and the code from running into each other.
        mac.update(&(name.len() as u64).to_le_bytes());
        mac.update(name.as_bytes());
        mac.update(code);
        mac
    }
}

fn fill_random(bytes: &mut [u8]) -> std::io::Result<()> {
    getrandom::fill(bytes).map_err(std::io::Error::other)
}

/// Raised when components are refused that were not before: what was compiled until then is looked at again.
const SCREEN: u32 = 1;

/// `<component>-<rules>`: the second part changes with the wasmtime version, with every setting that compiled code depends
/// on, and with the interface and the rules that a component was held to.
fn entry_name(engine: &Engine, digest: Digest) -> String {
    let mut hasher = std::hash::DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    (SCREEN, crate::screen::ENCODED_INTERFACE).hash(&mut hasher);
    format!("{}-{:016x}", digest.hex(), hasher.finish())
}

fn private_file(path: &Path) -> std::io::Result<std::fs::File> {
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn create_key(path: &Path) -> std::io::Result<[u8; 32]> {
    // Written beside and linked into place, so that a second process never reads half a key.
    let mut key = [0; 32];
    fill_random(&mut key)?;
    let mut random = [0; 8];
    fill_random(&mut random)?;
    let temporary = path.with_extension(format!("{:016x}.tmp", u64::from_le_bytes(random)));
    let mut file = private_file(&temporary)?;
    let linked = file.write_all(&key).and_then(|()| std::fs::hard_link(&temporary, path));
    let _ = std::fs::remove_file(&temporary);
    linked.map(|()| key)
}

fn read_key(path: &Path) -> std::io::Result<[u8; 32]> {
    let mut file = std::fs::File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.mode() & 0o077 != 0 || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(std::io::Error::new(
            ErrorKind::PermissionDenied,
            format!("{} must belong to this user and have mode 0600", path.display()),
        ));
    }
    let mut key = Vec::new();
    file.read_to_end(&mut key)?;
    key.try_into().map_err(|_| {
        std::io::Error::new(ErrorKind::InvalidData, format!("{} is not a key of 32 bytes", path.display()))
    })
}
