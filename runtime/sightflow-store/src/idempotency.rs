//! Keys that make repeated requests harmless.

/// A client's key that makes a repeated request harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// 1..255 printable characters; kept 24 hours per tenant.
    pub key: String,
    /// Hash of method, path and body.
    pub request_hash: [u8; 32],
}
