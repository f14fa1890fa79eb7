//! How packages may be called.

use semver::Version;
use sightflow_types::Problem;

use super::Identity;
use crate::catalog::FIRST_PARTY;

/// Longest namespace and longest package name.
const LONGEST: usize = 64;

/// Checks a package's name: `namespace/package`, each of lower-case letters, digits, `-` and `_`, beginning with a letter. The
/// server's own namespace is nobody's.
///
/// # Errors
/// What is wrong with it, an `E-MANIFEST`.
pub fn check_name(name: &str) -> Result<(), Problem> {
    let wrong = |message: String| Err(Problem::new("E-MANIFEST", "/name", message));
    let Some((namespace, package)) = name.split_once('/') else {
        return wrong(format!("`{name}` is not `namespace/package`"));
    };
    if let Some(part) = [namespace, package].into_iter().find(|part| !is_word(part)) {
        return wrong(format!(
            "`{part}` is not a name: lower-case letters, digits, `-` and `_`, beginning with a letter, at most {LONGEST}"
        ));
    }
    if namespace == FIRST_PARTY {
        return wrong(format!("the namespace `{FIRST_PARTY}` is kept for blocks that come with the server"));
    }
    Ok(())
}

/// Nobody knows what a component is called, or two say different things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disagreement {
    /// Neither the component nor who brings it says this: `name` or `version`.
    Missing(&'static str),
    /// They differ; an `E-MANIFEST` for each thing, at `?name` or `?version`.
    Differs(Vec<Problem>),
}

/// What a component is called: by itself, or by who brings it. Both must agree.
///
/// # Errors
/// [`Disagreement`].
pub fn agree(said: Option<Identity>, name: Option<&str>, version: Option<&Version>) -> Result<Identity, Disagreement> {
    let Some(said) = said else {
        let name = name.ok_or(Disagreement::Missing("name"))?.to_owned();
        return Ok(Identity { name, version: version.ok_or(Disagreement::Missing("version"))?.clone() });
    };
    let mut differs = Vec::new();
    if let Some(name) = name.filter(|name| *name != said.name) {
        let message = format!("the component says that it is `{}`, not `{name}`", said.name);
        differs.push(Problem::new("E-MANIFEST", "?name", message));
    }
    if let Some(version) = version.filter(|version| **version != said.version) {
        let message = format!("the component says that it is version {}, not {version}", said.version);
        differs.push(Problem::new("E-MANIFEST", "?version", message));
    }
    if differs.is_empty() { Ok(said) } else { Err(Disagreement::Differs(differs)) }
}

fn is_word(text: &str) -> bool {
    text.len() <= LONGEST
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let long = "a".repeat(65);
        for (name, reason) in [
            ("acme/retail", None),
            ("a/b-2_c", None),
            ("acme", Some("is not `namespace/package`")),
            ("acme/", Some("is not a name")),
            ("acme/a/b", Some("is not a name")),
            ("Acme/retail", Some("is not a name")),
            ("2acme/retail", Some("is not a name")),
            ("acme/re@tail", Some("is not a name")),
            (&format!("acme/{long}"), Some("is not a name")),
            ("sightflow/logic", Some("is kept for blocks")),
        ] {
            match (check_name(name), reason) {
                (Ok(()), None) => {}
                (Err(problem), Some(reason)) => assert!(problem.message.contains(reason), "{name}: {problem:?}"),
                (found, _) => panic!("{name}: {found:?}"),
            }
        }
    }

    #[test]
    fn both_must_agree() {
        let identity =
            |name: &str, version: &str| Identity { name: name.into(), version: version.parse().expect("a version") };
        let said = || Some(identity("acme/retail", "1.0.0"));
        let differs = |places: &[&'static str]| Err(places.to_vec());
        for (said, name, version, expected) in [
            (said(), None, None, Ok(identity("acme/retail", "1.0.0"))),
            (said(), Some("acme/retail"), Some("1.0.0"), Ok(identity("acme/retail", "1.0.0"))),
            (said(), Some("acme/other"), None, differs(&["?name"])),
            (said(), Some("acme/other"), Some("2.0.0"), differs(&["?name", "?version"])),
            (None, Some("acme/other"), Some("2.0.0"), Ok(identity("acme/other", "2.0.0"))),
            (None, Some("acme/other"), None, differs(&["version"])),
            (None, None, None, differs(&["name"])),
        ] {
            let version: Option<Version> = version.map(|text| text.parse().expect("a version"));
            let places = |disagreement| match disagreement {
                Disagreement::Missing(key) => vec![key.to_owned()],
                Disagreement::Differs(problems) => problems.into_iter().map(|problem| problem.pointer).collect(),
            };
            let found = agree(said, name, version.as_ref()).map_err(places);
            let expected = expected.map_err(|places| places.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(found, expected, "{name:?} {version:?}");
        }
    }
}
