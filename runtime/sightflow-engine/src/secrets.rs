//! Seals secrets of tenants: AES-256-GCM with a key of the installation, a random nonce before the ciphertext, and the
//! tenant and the secret's name as associated data, so that no row can take another's place.

use std::io::{ErrorKind, Write};
use std::path::Path;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use sightflow_types::TenantId;

/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// Most bytes of a secret.
pub const MOST_SECRET_BYTES: usize = 4096;

/// The key of an installation.
pub struct SecretsKey(LessSafeKey);

impl std::fmt::Debug for SecretsKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretsKey")
    }
}

/// Why a secret cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It was sealed with another key, for another name, or was damaged.
    #[error("it cannot be opened with the key of this installation: set it anew")]
    NotOpened,
    /// The machine gives no random numbers, or the cipher failed.
    #[error("it cannot be sealed here")]
    NotSealed,
}

impl SecretsKey {
    /// A key of these bytes.
    pub fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        // The length is right; nothing else can be wrong with a key.
        let Ok(key) = UnboundKey::new(&AES_256_GCM, bytes) else { unreachable!("a key of AES-256 has 32 bytes") };
        Self(LessSafeKey::new(key))
    }

    /// The key in a file, which is made if there is none. Who has file and database can read every secret.
    ///
    /// # Errors
    /// When the file cannot be read or made, or holds no key.
    pub fn in_file(path: &Path) -> std::io::Result<Self> {
        match std::fs::read(path) {
            Ok(bytes) => {
                let key = bytes.as_slice().try_into();
                let wrong = |_| std::io::Error::new(ErrorKind::InvalidData, "it holds no key of 32 bytes");
                key.map(Self::new).map_err(wrong)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut bytes = [0; KEY_BYTES];
                SystemRandom::new().fill(&mut bytes).map_err(|_| std::io::Error::other("no random numbers"))?;
                write_new(path, &bytes)?;
                // Where two begin at once, both use the one that is there.
                Self::in_file(path)
            }
            Err(error) => Err(error),
        }
    }

    /// Seals a secret of a tenant under its name.
    ///
    /// # Errors
    /// [`SecretError::NotSealed`].
    pub fn seal(&self, tenant: TenantId, name: &str, value: &str) -> Result<Vec<u8>, SecretError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| SecretError::NotSealed)?;
        let mut sealed = value.as_bytes().to_vec();
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        self.0
            .seal_in_place_append_tag(nonce_used, Aad::from(place(tenant, name)), &mut sealed)
            .map_err(|_| SecretError::NotSealed)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what was sealed for this tenant under this name.
    ///
    /// # Errors
    /// [`SecretError::NotOpened`].
    pub fn open(&self, tenant: TenantId, name: &str, sealed: &[u8]) -> Result<String, SecretError> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or(SecretError::NotOpened)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SecretError::NotOpened)?;
        let mut bytes = sealed.to_vec();
        let opened = self.0.open_in_place(nonce, Aad::from(place(tenant, name)), &mut bytes);
        let text = opened.map_err(|_| SecretError::NotOpened)?;
        String::from_utf8(text.to_vec()).map_err(|_| SecretError::NotOpened)
    }
}

fn place(tenant: TenantId, name: &str) -> Vec<u8> {
    [tenant.uuid().as_bytes().as_slice(), name.as_bytes()].concat()
}

/// Writes a file that was not there, for its owner alone, whole or not at all.
fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let made = path.with_extension(format!("{}.new", std::process::id()));
    let written = (|| {
        let mut file = options.open(&made)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        // Fails where somebody else was first, which is as good.
        match std::fs::hard_link(&made, path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => std::fs::File::open(directory)?.sync_all(),
        }
    })();
    let removed = std::fs::remove_file(&made);
    written.and(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: TenantId = TenantId::BUILT_IN;

    #[test]
    fn what_is_sealed_opens_only_in_its_place() {
        let key = SecretsKey::new(&[7; 32]);
        let sealed = key.seal(TENANT, "KEY", "sk-123").expect("sealed");
        assert_ne!(sealed, key.seal(TENANT, "KEY", "sk-123").expect("sealed"), "a nonce is used once");
        assert!(!sealed.windows(6).any(|part| part == b"sk-123"));
        assert_eq!(key.open(TENANT, "KEY", &sealed).expect("opened"), "sk-123");
        let mut bent = sealed.clone();
        *bent.last_mut().expect("bytes") ^= 1;
        let other = SecretsKey::new(&[8; 32]);
        for refused in [
            key.open(TENANT, "KEX", &sealed),
            key.open(TenantId::new(), "KEY", &sealed),
            key.open(TENANT, "KEY", &bent),
            key.open(TENANT, "KEY", &sealed[..5]),
            other.open(TENANT, "KEY", &sealed),
        ] {
            assert!(matches!(refused, Err(SecretError::NotOpened)));
        }
    }

    #[test]
    fn a_key_is_made_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("secrets.key");
        let sealed =
            SecretsKey::in_file(&path).and_then(|key| key.seal(TENANT, "a", "b").map_err(std::io::Error::other));
        let again = SecretsKey::in_file(&path).expect("the same");
        assert_eq!(again.open(TENANT, "a", &sealed.expect("sealed")).expect("opened"), "b");
        assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 1, "nothing else is left");
        std::fs::write(&path, b"short").expect("written");
        assert_eq!(SecretsKey::in_file(&path).expect_err("no key").kind(), ErrorKind::InvalidData);
    }
}
