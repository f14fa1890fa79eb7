//! Tenants: whose things are whose.

use std::fmt;
use std::str::FromStr;

use sightflow_types::{TenantId, Timestamp, closed_set};

closed_set!(
/// Whether a tenant's keys work.
TenantStatus, "tenant status", {
    /// They do.
    Active = "active",
    /// They are refused; nothing of the tenant is deleted.
    Suspended = "suspended",
});

/// Most characters of a slug.
const SLUG: usize = 63;

/// A tenant's short name: lower-case letters, digits and inner hyphens, at most 63 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slug(String);

/// Why a text is no slug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a slug is 1 to 63 lower-case letters, digits and hyphens, without a hyphen at its ends")]
pub struct InvalidSlug;

impl FromStr for Slug {
    type Err = InvalidSlug;

    fn from_str(text: &str) -> Result<Self, InvalidSlug> {
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let ends = !text.starts_with('-') && !text.ends_with('-');
        if (1..=SLUG).contains(&text.len()) && ends && text.bytes().all(letter) {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidSlug)
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Slug {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its short name, unique.
    pub slug: Slug,
    /// For people.
    pub name: String,
    /// Whether its keys work.
    pub status: TenantStatus,
    /// Its share among others, 1 to 10000.
    pub weight: u16,
    /// When it was created.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

/// A tenant to create.
#[derive(Debug, Clone)]
pub struct NewTenant {
    /// Its short name.
    pub slug: Slug,
    /// For people.
    pub name: String,
    /// Its share among others, 1 to 10000.
    pub weight: u16,
}

/// What to change about a tenant; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct TenantChange {
    /// For people.
    pub name: Option<String>,
    /// Whether its keys work.
    pub status: Option<TenantStatus>,
    /// Its share among others, 1 to 10000.
    pub weight: Option<u16>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs() {
        let long = "a".repeat(SLUG);
        for (text, ok) in [
            ("acme", true),
            ("a", true),
            ("acme-2", true),
            (long.as_str(), true),
            (&format!("{long}a"), false),
            ("", false),
            ("-acme", false),
            ("acme-", false),
            ("Acme", false),
            ("ac me", false),
            ("ä", false),
        ] {
            assert_eq!(text.parse::<Slug>().is_ok(), ok, "{text:?}");
        }
    }
}
