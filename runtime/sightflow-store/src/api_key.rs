//! API keys: who a request comes from, and what it may do.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use sightflow_types::{KeyId, TenantId, Timestamp, closed_set};

use crate::error::{Result, StoreError};
use crate::quota::QuotaChanges;
use crate::tenant::TenantStatus;

closed_set!(
/// What a key may do. None includes another.
Scope, "scope", {
    /// Read workflows.
    WorkflowsRead = "workflows:read",
    /// Write workflows.
    WorkflowsWrite = "workflows:write",
    /// Read executions, jobs and images.
    RunsRead = "runs:read",
    /// Run workflows, cancel, store images.
    RunsWrite = "runs:write",
    /// Read models.
    ModelsRead = "models:read",
    /// Write models.
    ModelsWrite = "models:write",
    /// Read blocks.
    BlocksRead = "blocks:read",
    /// Write blocks.
    BlocksWrite = "blocks:write",
    /// Keep secrets, and grant packages hosts and secrets.
    GrantsWrite = "grants:write",
    /// Read the usage.
    UsageRead = "usage:read",
    /// Operate the server: all tenants, their keys, workers.
    Admin = "admin",
});

/// What every key begins with.
const START: &str = "sf_";
/// Characters behind it: as many as carry 256 random bits.
const LETTERS: usize = 43;
/// Characters that are shown of a key.
const SHOWN: usize = 7;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key itself: shown once, stored never.
#[derive(Clone, PartialEq, Eq)]
pub struct KeySecret(String);

/// A text that cannot be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key is `sf_` and 43 letters and digits")]
pub struct InvalidKey;

/// What is stored of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

impl KeySecret {
    /// A new key. `Unavailable` when the machine has no randomness.
    pub fn generate() -> Result<Self> {
        let mut text = START.to_owned();
        let mut bytes = [0; 64];
        while text.len() < START.len() + LETTERS {
            getrandom::fill(&mut bytes).map_err(|error| StoreError::unavailable(error.to_string()))?;
            // 248 is the largest multiple of 62 in a byte: above it letters would not be equally likely.
            let letters =
                bytes.iter().filter(|byte| **byte < 248).map(|byte| char::from(BASE62[usize::from(byte % 62)]));
            text.extend(letters.take(START.len() + LETTERS - text.len()));
        }
        Ok(Self(text))
    }

    /// What is stored of it.
    pub fn hash(&self) -> KeyHash {
        KeyHash(Sha256::digest(self.0.as_bytes()).into())
    }

    /// Its first characters, for people who look for it.
    pub fn prefix(&self) -> &str {
        &self.0[..SHOWN]
    }

    /// The key, to be shown to its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeySecret {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let letters = text.strip_prefix(START).ok_or(InvalidKey)?;
        if letters.len() == LETTERS && letters.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidKey)
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySecret({}…)", self.prefix())
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

impl KeyHash {
    /// The bytes, as databases store them.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A key as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: KeyId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// For people.
    pub name: String,
    /// Its first characters.
    pub prefix: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// Last use, exact to a minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A key to create.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// For people.
    pub name: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// The key.
    pub secret: KeySecret,
}

/// Who presents a key that was neither revoked nor has expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyOwner {
    /// Which key.
    pub id: KeyId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// Whether the tenant's keys work.
    pub status: TenantStatus,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// Last recorded use.
    pub last_used_at: Option<Timestamp>,
    /// What its tenant may have where that is not the default.
    pub quotas: QuotaChanges,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_random_and_read_back() {
        let (one, two) = (KeySecret::generate().unwrap(), KeySecret::generate().unwrap());
        assert!(one != two && one.hash() != two.hash());
        assert_eq!(one.reveal().parse::<KeySecret>().unwrap(), one);
        assert!(!format!("{one:?}").contains(one.reveal()), "logs do not show a key");
    }

    #[test]
    fn what_is_no_key() {
        let letters = "a".repeat(LETTERS);
        for (text, ok) in [
            (format!("sf_{letters}"), true),
            (format!("sf_{letters}a"), false),
            (format!("sk_{letters}"), false),
            (letters.clone(), false),
            (format!("sf_{}-", &letters[1..]), false),
            (String::new(), false),
        ] {
            assert_eq!(text.parse::<KeySecret>().is_ok(), ok, "{text}");
        }
    }
}
