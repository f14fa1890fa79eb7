//! Who a component says that it is: the custom section `sightflow:package`, which toolchains write and nobody has to run.

use semver::Version;
use serde::{Deserialize, Serialize};
use wasmparser::{Encoding, Parser, Payload};

/// Name of the custom section.
pub(super) const SECTION: &str = "sightflow:package";
/// Bytes of its text: a name, a version and two words.
pub(super) const MOST_BYTES: usize = 4 << 10;
/// Characters of each of the two parts of a name.
const NAME_PART: usize = 64;

/// Name and version of a package, and what it was made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `namespace/name`, for example `acme/retail`.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// The library that it was written with, for example `sightflow-block 0.1.0`; empty if it does not say.
    pub sdk: String,
    /// The language that it was written in; empty if it does not say.
    pub language: String,
}

/// A component's identity cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The bytes are no component.
    #[error("not a WebAssembly component: {0}")]
    Component(String),
    /// The text is longer than 4 KiB.
    #[error("the section `{SECTION}` has {0} bytes; at most {MOST_BYTES} are accepted")]
    TooLong(usize),
    /// The text is no JSON object with the expected fields.
    #[error("the section `{SECTION}` cannot be read: {0}")]
    Json(String),
    /// The name is not one of a package.
    #[error(
        "`{0}` is not a package name: `namespace/name` in lower-case letters, digits and `-`, each beginning with a letter, at most {NAME_PART} long; the name may have `_`, too"
    )]
    Name(String),
    /// The version is not a semantic one.
    #[error("`{version}` is not a version such as `1.3.0`: {reason}")]
    Version {
        /// As given.
        version: String,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Wire {
    name: String,
    version: String,
    #[serde(default)]
    sdk: String,
    #[serde(default)]
    language: String,
}

impl Identity {
    /// Reads the section's text.
    pub(super) fn parse(text: &[u8]) -> Result<Self, IdentityError> {
        if text.len() > MOST_BYTES {
            return Err(IdentityError::TooLong(text.len()));
        }
        let wire: Wire = serde_json::from_slice(text).map_err(|error| IdentityError::Json(error.to_string()))?;
        let identity = Self {
            version: Version::parse(&wire.version)
                .map_err(|error| IdentityError::Version { version: wire.version.clone(), reason: error.to_string() })?,
            name: wire.name,
            sdk: wire.sdk,
            language: wire.language,
        };
        identity.check_name()?;
        Ok(identity)
    }

    fn check_name(&self) -> Result<(), IdentityError> {
        let part = |text: &str, underscore: bool| {
            (1..=NAME_PART).contains(&text.len())
                && text.starts_with(|c: char| c.is_ascii_lowercase())
                && text
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || (underscore && c == '_'))
        };
        match self.name.split_once('/') {
            Some((namespace, name)) if part(namespace, false) && part(name, true) => Ok(()),
            _ => Err(IdentityError::Name(crate::text::capped(&self.name, 200))),
        }
    }
}

/// What a component says about itself, if it does. A section of the component itself goes before those of modules in
/// it, which languages write that cannot reach the outside; among equals the last one counts.
///
/// # Errors
/// [`IdentityError`] if the bytes are no component, or what they say is not valid.
pub fn identity(component: &[u8]) -> Result<Option<Identity>, IdentityError> {
    let (mut open, mut own, mut nested) = (0_u32, None, None);
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(|error| IdentityError::Component(error.to_string()))? {
            Payload::Version { encoding: Encoding::Module, .. } if open == 0 => {
                return Err(IdentityError::Component("it is a core module".to_owned()));
            }
            Payload::Version { .. } => open += 1,
            Payload::End(_) => open = open.saturating_sub(1),
            Payload::CustomSection(section) if section.name() == SECTION => {
                let found = if open == 1 { &mut own } else { &mut nested };
                *found = Some(section.data());
            }
            _ => {}
        }
    }
    own.or(nested).map(Identity::parse).transpose()
}

/// The component with this identity in place of the one that it has.
///
/// # Errors
/// [`IdentityError`] if the bytes are no component, or the identity is not valid.
pub fn with_identity(component: &[u8], identity: &Identity) -> Result<Vec<u8>, IdentityError> {
    identity.check_name()?;
    let wire = Wire {
        name: identity.name.clone(),
        version: identity.version.to_string(),
        sdk: identity.sdk.clone(),
        language: identity.language.clone(),
    };
    let text = serde_json::to_vec(&wire).map_err(|error| IdentityError::Json(error.to_string()))?;
    if text.len() > MOST_BYTES {
        return Err(IdentityError::TooLong(text.len()));
    }
    // Everything but the component's own sections of this name, byte for byte.
    let (mut open, mut kept_to, mut written) = (0_u32, 0, Vec::with_capacity(component.len() + text.len() + 32));
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(|error| IdentityError::Component(error.to_string()))? {
            Payload::Version { .. } => open += 1,
            Payload::End(_) => open = open.saturating_sub(1),
            Payload::CustomSection(section) if open == 1 && section.name() == SECTION => {
                let contents = section.range();
                // Before the contents lie their length in 1 to 5 bytes and the section's number.
                let length = length_bytes(component, contents.start, contents.len());
                written.extend_from_slice(&component[kept_to..contents.start - length - 1]);
                kept_to = contents.end;
            }
            _ => {}
        }
    }
    written.extend_from_slice(&component[kept_to..]);
    written.push(0);
    leb128(SECTION.len() + 1 + text.len(), &mut written);
    leb128(SECTION.len(), &mut written);
    written.extend_from_slice(SECTION.as_bytes());
    written.extend_from_slice(&text);
    Ok(written)
}

/// How many bytes before `at` spell `length`: encoders may pad a length to five.
fn length_bytes(bytes: &[u8], at: usize, length: usize) -> usize {
    let spelled = |count: usize| {
        let taken = bytes.get(at.checked_sub(count)?..at)?;
        let value = taken.iter().rev().fold(0_usize, |value, byte| (value << 7) | usize::from(byte & 0x7f));
        let (last, more) = taken.split_last()?;
        (value == length && last & 0x80 == 0 && more.iter().all(|byte| byte & 0x80 != 0)).then_some(count)
    };
    // The longest that fits: the section's number before it is 0 and would end a length that began earlier.
    (1..=5).rev().find_map(spelled).unwrap_or(1)
}

fn leb128(mut value: usize, written: &mut Vec<u8>) {
    loop {
        let byte = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            return written.push(byte);
        }
        written.push(byte | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retail(version: &str) -> Identity {
        Identity {
            name: "acme/retail".to_owned(),
            version: version.parse().expect("a version"),
            sdk: "sightflow-block 0.1.0".to_owned(),
            language: "rust".to_owned(),
        }
    }

    #[test]
    fn an_identity_is_written_replaced_and_read() {
        let bare = wat::parse_str("(component (core module (memory 1)) (component))").expect("WAT");
        assert_eq!(identity(&bare), Ok(None));
        let first = with_identity(&bare, &retail("1.3.0")).expect("written");
        assert_eq!(identity(&first), Ok(Some(retail("1.3.0"))));
        let second = with_identity(&first, &retail("1.4.0-rc.1")).expect("replaced");
        assert_eq!(identity(&second), Ok(Some(retail("1.4.0-rc.1"))));
        let again = with_identity(&second, &retail("1.3.0")).expect("replaced");
        assert_eq!(again, first, "nothing else changes");
        assert!(matches!(with_identity(b"\0asm", &retail("1.3.0")), Err(IdentityError::Component(_))));
        assert!(matches!(identity(b"no"), Err(IdentityError::Component(_))));
        let long = Identity { sdk: "x".repeat(MOST_BYTES), ..retail("1.0.0") };
        assert!(matches!(with_identity(&bare, &long), Err(IdentityError::TooLong(_))));
        let wrong = Identity { name: "retail".to_owned(), ..retail("1.0.0") };
        assert!(matches!(with_identity(&bare, &wrong), Err(IdentityError::Name(_))));
    }

    #[test]
    fn the_component_s_own_section_goes_before_a_module_s() {
        let text = |version: &str| format!(r#"{{\"name\":\"acme/retail\",\"version\":\"{version}\"}}"#);
        let of = |own: Option<&str>, nested: &str| {
            let own =
                own.map_or(String::new(), |version| format!(r#"(@custom "sightflow:package" "{}")"#, text(version)));
            let nested = text(nested);
            let source = format!(r#"(component {own} (core module (@custom "sightflow:package" "{nested}")))"#);
            identity(&wat::parse_str(source).expect("WAT")).expect("valid").map(|found| found.version.to_string())
        };
        assert_eq!(of(None, "1.0.0").as_deref(), Some("1.0.0"));
        assert_eq!(of(Some("2.0.0"), "1.0.0").as_deref(), Some("2.0.0"));
    }

    #[test]
    fn what_is_not_an_identity_is_refused() {
        let cases = [
            (r#"{"name":"acme/retail","version":"1.0.0","later":1}"#, None),
            (r#"{"name":"acme/re-tail_2","version":"1.0.0-a+b"}"#, None),
            (r#"{"name":"acme","version":"1.0.0"}"#, Some("not a package name")),
            (r#"{"name":"acme/Retail","version":"1.0.0"}"#, Some("not a package name")),
            (r#"{"name":"ac_me/retail","version":"1.0.0"}"#, Some("not a package name")),
            (r#"{"name":"1acme/retail","version":"1.0.0"}"#, Some("not a package name")),
            (r#"{"name":"a/b/c","version":"1.0.0"}"#, Some("not a package name")),
            (r#"{"name":"acme/retail","version":"1.0"}"#, Some("not a version")),
            (r#"{"name":"acme/retail"}"#, Some("missing field `version`")),
            ("[]", Some("cannot be read")),
        ];
        for (text, expected) in cases {
            match (Identity::parse(text.as_bytes()), expected) {
                (Ok(_), None) => {}
                (Err(error), Some(part)) => assert!(error.to_string().contains(part), "{text}: {error}"),
                (answer, _) => panic!("{text}: {answer:?}"),
            }
        }
        let long = format!(r#"{{"name":"{}/b","version":"1.0.0"}}"#, "a".repeat(65));
        assert!(matches!(Identity::parse(long.as_bytes()), Err(IdentityError::Name(_))));
        assert_eq!(Identity::parse(&[b' '; MOST_BYTES + 1]), Err(IdentityError::TooLong(MOST_BYTES + 1)));
    }
}
