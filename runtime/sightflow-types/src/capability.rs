//! What a block package may do beyond computing: asked for in its manifests, granted by its tenant, bounded by the operator.
//!
//! `http:api.example.com` is HTTP and HTTPS to that host, `http:*.example.com` to every host below that name,
//! `http:*` to any host; `:8080` after the host means that port alone, otherwise a scheme's own. `secret:API_KEY` is a stored
//! secret under that name, which goes out in headers of the package's requests and is never seen by its code.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One capability.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capability {
    /// Requests to hosts.
    Http(HostPattern),
    /// A secret under this name.
    Secret(String),
}

/// Which hosts, and which of their ports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPattern {
    hosts: Hosts,
    /// None: the port of the request's scheme.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Hosts {
    Any,
    /// Every name that ends with a dot and this.
    Below(String),
    One(String),
}

/// Why a text is no capability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no capability: {reason}")]
pub struct InvalidCapability {
    text: String,
    reason: &'static str,
}

/// Longest name of a host (RFC 1035), and of a secret.
const MOST_NAME: usize = 253;

impl Capability {
    /// What both allow; nothing where they have nothing in common. Each is given as wide as the other allows.
    pub fn common(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Http(one), Self::Http(two)) if two.covers(one) => Some(Self::Http(one.clone())),
            (Self::Http(one), Self::Http(two)) if one.covers(two) => Some(Self::Http(two.clone())),
            (Self::Secret(one), Self::Secret(two)) if one == two => Some(self.clone()),
            _ => None,
        }
    }
}

/// Of what is requested, the part that is granted and within the ceiling. A secret needs no ceiling: it goes to hosts
/// within it.
pub fn effective(requested: &[Capability], granted: &[Capability], ceiling: &[HostPattern]) -> Vec<Capability> {
    let granted_part =
        |wanted: &Capability| granted.iter().filter_map(|grant| wanted.common(grant)).collect::<Vec<_>>();
    let mut found: Vec<Capability> = requested
        .iter()
        .flat_map(granted_part)
        .flat_map(|part| match &part {
            Capability::Secret(_) => vec![part],
            Capability::Http(_) => {
                ceiling.iter().filter_map(|most| part.common(&Capability::Http(most.clone()))).collect()
            }
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

impl HostPattern {
    /// Every host.
    pub const ANY: Self = Self { hosts: Hosts::Any, port: None };

    /// Whether a request to this host goes through; `port` is none where it is the scheme's own.
    pub fn allows(&self, host: &str, port: Option<u16>) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let named = match &self.hosts {
            Hosts::Any => true,
            Hosts::Below(name) => below(&host, name),
            Hosts::One(name) => host == *name,
        };
        named && self.port == port
    }

    /// Whether it allows everything that `other` does. Every host means on every port, where it stands for a bound.
    fn covers(&self, other: &Self) -> bool {
        let hosts = match (&self.hosts, &other.hosts) {
            (Hosts::Any, _) => true,
            (Hosts::Below(name), Hosts::Below(other)) => name == other || below(other, name),
            (Hosts::Below(name), Hosts::One(other)) => below(other, name),
            (Hosts::One(name), Hosts::One(other)) => name == other,
            _ => false,
        };
        hosts && (self.port == other.port || (self.hosts == Hosts::Any && self.port.is_none()))
    }
}

fn below(host: &str, name: &str) -> bool {
    host.strip_suffix(name).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

impl FromStr for HostPattern {
    type Err = &'static str;

    /// `api.example.com`, `*.example.com`, `*`, each also with `:8080`; `[::1]:8080` is an IPv6 address.
    fn from_str(text: &str) -> Result<Self, &'static str> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                // Rust reads a sign, too.
                let digits = port.bytes().all(|byte| byte.is_ascii_digit());
                let number = port.parse().ok().filter(|port: &u16| *port > 0 && digits);
                (host, Some(number.ok_or("the port is no number from 1 to 65535")?))
            }
            _ => (text, None),
        };
        let hosts = match host.strip_prefix("*.") {
            _ if host == "*" => Hosts::Any,
            Some(name) => Hosts::Below(host_name(name)?),
            None => Hosts::One(host_name(host)?),
        };
        Ok(Self { hosts, port })
    }
}

fn host_name(text: &str) -> Result<String, &'static str> {
    if let Some(address) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return match address.parse::<std::net::Ipv6Addr>() {
            Ok(address) => Ok(format!("[{address}]")),
            Err(_) => Err("in brackets stands an IPv6 address"),
        };
    }
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let label = |label: &str| !label.is_empty() && label.bytes().all(letter);
    if text.len() > MOST_NAME || !text.split('.').all(label) {
        return Err(
            "a host is a name such as `api.example.com`, without scheme and path; `*` stands alone or before a dot",
        );
    }
    Ok(text.to_ascii_lowercase())
}

impl FromStr for Capability {
    type Err = InvalidCapability;

    fn from_str(text: &str) -> Result<Self, InvalidCapability> {
        let short = || text.chars().take(80).collect();
        let invalid = |reason| InvalidCapability { text: short(), reason };
        match text.split_once(':') {
            Some(("http", host)) => host.parse().map(Self::Http).map_err(invalid),
            Some(("secret", name)) => is_secret_name(name).then(|| Self::Secret(name.to_owned())).ok_or_else(|| {
                invalid("a secret's name has letters, digits and `_`, begins with a letter and has at most 64")
            }),
            _ => Err(invalid("there are `http:HOST` and `secret:NAME`")),
        }
    }
}

/// Whether a text can name a secret: letters, digits and `_`, beginning with a letter, at most 64.
pub fn is_secret_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hosts {
            Hosts::Any => f.write_str("*")?,
            Hosts::Below(name) => write!(f, "*.{name}")?,
            Hosts::One(name) => f.write_str(name)?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(hosts) => write!(f, "http:{hosts}"),
            Self::Secret(name) => write!(f, "secret:{name}"),
        }
    }
}

impl Serialize for Capability {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Capability {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capability(text: &str) -> Capability {
        text.parse().unwrap()
    }

    #[test]
    fn texts() {
        for text in [
            "http:api.example.com",
            "http:*.example.com",
            "http:*",
            "http:*:8443",
            "http:127.0.0.1:9000",
            "http:[::1]:80",
            "http:[2001:db8::1]",
            "secret:API_KEY",
        ] {
            assert_eq!(capability(text).to_string(), text);
        }
        assert_eq!(capability("http:API.Example.com").to_string(), "http:api.example.com");
        for text in [
            "",
            "http",
            "http:",
            "https:api.example.com",
            "http:https://api.example.com",
            "http:a/b",
            "http:a..b",
            "http:.a",
            "http:a.*.b",
            "http:*a",
            "http:a:0",
            "http:a:65536",
            "http:a:",
            "http:a:+80",
            "http:a b",
            "http:[::1",
            "http:[x]:1",
            "secret:",
            "secret:1a",
            "secret:a-b",
            "files:/",
        ] {
            assert!(text.parse::<Capability>().is_err(), "{text}");
        }
    }

    #[test]
    fn hosts() {
        let allows = |pattern: &str, host: &str, port| pattern.parse::<HostPattern>().unwrap().allows(host, port);
        for (pattern, host, port, expected) in [
            ("api.example.com", "api.example.com", None, true),
            ("api.example.com", "API.example.com.", None, true),
            ("api.example.com", "api.example.com", Some(8080), false),
            ("api.example.com", "xapi.example.com", None, false),
            ("api.example.com", "api.example.com.evil.org", None, false),
            ("*.example.com", "a.b.example.com", None, true),
            ("*.example.com", "example.com", None, false),
            ("*.example.com", ".example.com", None, false),
            ("*.example.com", "aexample.com", None, false),
            ("a:8080", "a", Some(8080), true),
            ("a:8080", "a", None, false),
            ("*", "a", Some(8080), false),
            ("*", "a", None, true),
            ("*:443", "a", Some(8080), false),
            ("[::1]:80", "[::1]", Some(80), true),
        ] {
            assert_eq!(allows(pattern, host, port), expected, "{pattern} {host} {port:?}");
        }
    }

    #[test]
    fn what_is_requested_granted_and_within_the_ceiling() {
        let list = |texts: &[&str]| texts.iter().map(|text| capability(text)).collect::<Vec<_>>();
        for (requested, granted, ceiling, expected) in [
            (&["http:a.com"][..], &["http:a.com"][..], &["*"][..], &["http:a.com"][..]),
            (&["http:a.com"], &[], &["*"], &[]),
            (&["http:a.com"], &["http:b.com"], &["*"], &[]),
            (&[], &["http:*"], &["*"], &[]),
            (&["http:*"], &["http:*.a.com", "http:b.com"], &["*"], &["http:*.a.com", "http:b.com"]),
            (&["http:x.a.com"], &["http:*.a.com"], &["*"], &["http:x.a.com"]),
            (&["http:*"], &["http:*"], &["*.a.com"], &["http:*.a.com"]),
            (&["http:a.com"], &["http:*"], &["b.com"], &[]),
            (&["http:a.com:80"], &["http:a.com"], &["*"], &[]),
            (&["http:a.com:80"], &["http:*"], &["*"], &["http:a.com:80"]),
            (&["secret:K", "http:a.com"], &["secret:K"], &[], &["secret:K"]),
        ] {
            let ceiling: Vec<HostPattern> = ceiling.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(
                effective(&list(requested), &list(granted), &ceiling),
                list(expected),
                "{requested:?} {granted:?}"
            );
        }
    }
}
