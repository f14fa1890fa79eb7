//! Whose signatures a tenant trusts.

use sightflow_types::Timestamp;

/// Most publishers that a tenant knows.
pub const MOST_PUBLISHERS: u32 = 100;

/// A publisher of block packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publisher {
    /// What the tenant calls it.
    pub name: String,
    /// Its Ed25519 public key.
    pub public_key: [u8; 32],
    /// When its key was set.
    pub created_at: Timestamp,
}
