//! How packages may be called.

use sightflow_types::Problem;

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
}
