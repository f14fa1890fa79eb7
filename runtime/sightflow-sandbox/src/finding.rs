//! Findings about a package: stable codes and texts for its author, in the form in which the API returns them.

use sightflow_types::Problem;

use crate::text::capped;

/// Stable codes of findings.
pub mod code {
    /// The package, or something in it, is larger than allowed.
    pub const SIZE: &str = "E-SIZE";
    /// Not a WebAssembly component, or not a valid one.
    pub const SHAPE: &str = "E-SHAPE";
    /// The block interface as the component knows it differs from the one of this host.
    pub const WIT: &str = "E-WIT";
    /// Imports what no block is given.
    pub const IMPORT: &str = "E-IMPORT";
    /// Imports what is given only to packages with a grant.
    pub const GRANT: &str = "E-GRANT";
    /// `catalog` failed, or its manifests or the identity are not valid.
    pub const MANIFEST: &str = "E-MANIFEST";
    /// The compiler refused it or needed more than it is given.
    pub const COMPILE: &str = "E-COMPILE";
}

/// Findings about one package that are kept; an author mends some and uploads again.
const MOST: usize = 64;
/// Bytes of a finding's text that are kept: names in it come from the package.
const TEXT_BYTES: usize = 2 << 10;

/// Findings, in the order in which they were made.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Problem>);

impl Findings {
    /// Adds one, about the package as a whole.
    pub(crate) fn add(&mut self, code: &str, message: impl AsRef<str>) {
        if self.0.len() < MOST {
            let message = crate::text::line(&capped(message.as_ref(), TEXT_BYTES), TEXT_BYTES * 2).0;
            self.0.push(Problem::new(code, "", message));
        }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them; none means that nothing was found.
    pub(crate) fn into_vec(self) -> Vec<Problem> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_bounded_and_stay_on_their_line() {
        let mut findings = Findings::default();
        for index in 0..1000 {
            findings.add(code::IMPORT, format!("{index}\n{}", "x".repeat(10_000)));
        }
        let all = findings.into_vec();
        assert_eq!(all.len(), MOST);
        assert!(all[0].message.starts_with("0\\nxxx"), "{}", &all[0].message[..20]);
        assert!(all.iter().all(|problem| problem.message.len() < TEXT_BYTES + 100));
    }
}
