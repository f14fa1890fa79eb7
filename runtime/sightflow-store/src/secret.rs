//! Secrets of tenants: the store keeps what was sealed and knows nothing of what is inside.

use sightflow_types::Timestamp;

/// Most secrets that a tenant has.
pub const MOST_SECRETS: u32 = 256;

/// That there is a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretName {
    /// Its name: letters, digits and `_`.
    pub name: String,
    /// When its value was last set.
    pub updated_at: Timestamp,
}
