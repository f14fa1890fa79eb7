//! Who vouches for a package: Ed25519 signatures (RFC 8032) over its name, its version and the digest of its bytes.

use std::fmt;
use std::str::FromStr;

use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use sightflow_types::Digest;

/// Why there is no key or signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The bytes are no private key.
    #[error("it holds no Ed25519 private key: `sightflow block keygen` makes one")]
    PrivateKey,
    /// The text is no public key.
    #[error("a public key is 64 hexadecimal digits, as `sightflow block keygen` prints it")]
    PublicKey,
    /// The text is no signature.
    #[error("a signature is 128 hexadecimal digits")]
    Signature,
    /// The machine gives no random numbers.
    #[error("the machine gives no random numbers")]
    Random,
}

/// What a publisher signs with.
pub struct SigningKey(Ed25519KeyPair);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

/// What others know a publisher by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

/// A signature under one version of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl SigningKey {
    /// A new key as it is kept in a file: PKCS#8.
    ///
    /// # Errors
    /// [`SignatureError::Random`].
    pub fn generate() -> Result<Vec<u8>, SignatureError> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| SignatureError::Random)?;
        Ok(document.as_ref().to_vec())
    }

    /// The key in the bytes of such a file.
    ///
    /// # Errors
    /// [`SignatureError::PrivateKey`].
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, SignatureError> {
        Ed25519KeyPair::from_pkcs8(bytes).map(Self).map_err(|_| SignatureError::PrivateKey)
    }

    /// What belongs to it.
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Signs a version of a package.
    pub fn sign(&self, name: &str, version: &semver::Version, digest: Digest) -> Signature {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(self.0.sign(&message(name, version, digest)).as_ref());
        Signature(bytes)
    }
}

impl PublicKey {
    /// Whether its owner signed this.
    pub fn verifies(&self, name: &str, version: &semver::Version, digest: Digest, signature: &Signature) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.0);
        key.verify(&message(name, version, digest), &signature.0).is_ok()
    }
}

/// What is signed. The first line keeps it from being anything else.
fn message(name: &str, version: &semver::Version, digest: Digest) -> Vec<u8> {
    format!("sightflow block package v1\n{name}\n{version}\n{digest}\n").into_bytes()
}

/// Bytes as hexadecimal digits, and back.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |text, byte| text + &format!("{byte:02x}"))
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != N * 2 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl FromStr for PublicKey {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        unhex(text).map(Self).ok_or(SignatureError::PublicKey)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl FromStr for Signature {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        unhex(text).map(Self).ok_or(SignatureError::Signature)
    }
}

#[cfg(test)]
mod tests {
    use semver::Version;

    use super::*;

    #[test]
    fn a_signature_holds_for_one_version_of_one_package() {
        let key = SigningKey::from_pkcs8(&SigningKey::generate().expect("a key")).expect("its own form");
        let (version, digest) = (Version::new(1, 2, 3), Digest::from_bytes([7; 32]));
        let signature = key.sign("acme/retail", &version, digest);
        let public: PublicKey = key.public().to_string().parse().expect("its own form");
        let read: Signature = signature.to_string().parse().expect("its own form");
        assert!(public.verifies("acme/retail", &version, digest, &read));
        let other = SigningKey::from_pkcs8(&SigningKey::generate().expect("a key")).expect("its own form").public();
        assert!(!other.verifies("acme/retail", &version, digest, &read));
        assert!(!public.verifies("acme/retai", &version, digest, &read));
        assert!(!public.verifies("acme/retail", &Version::new(1, 2, 4), digest, &read));
        assert!(!public.verifies("acme/retail", &version, Digest::from_bytes([8; 32]), &read));
        for wrong in ["", "00", &"g".repeat(128), &"0".repeat(127), &"ä".repeat(64)] {
            assert_eq!(wrong.parse::<Signature>(), Err(SignatureError::Signature), "{wrong}");
            assert_eq!(wrong.parse::<PublicKey>(), Err(SignatureError::PublicKey), "{wrong}");
        }
        assert_eq!(SigningKey::from_pkcs8(b"no key").expect_err("refused"), SignatureError::PrivateKey);
    }
}
