//! How the answers of several conditions become one.

use super::canonical;
use crate::spelling::nearest;

/// How the answers of several conditions become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogicMode {
    /// Every condition is true.
    All,
    /// At least one is.
    Any,
    /// None is.
    None,
    /// Exactly one is.
    Xor,
    /// Not all are.
    Nand,
    /// An expression over the answers decides.
    Custom,
}

impl LogicMode {
    /// Canonical spellings and what else is accepted.
    pub const SPELLINGS: [(Self, &'static str, &'static [&'static str]); 6] = [
        (Self::All, "all", &["and"]),
        (Self::Any, "any", &["or"]),
        (Self::None, "none", &["nor"]),
        (Self::Xor, "xor", &[]),
        (Self::Nand, "nand", &[]),
        (Self::Custom, "custom", &[]),
    ];

    /// The mode with this spelling; case does not matter.
    pub fn from_spelling(spelling: &str) -> Option<Self> {
        let spelling = canonical(spelling);
        let row =
            Self::SPELLINGS.iter().find(|(_, name, aliases)| *name == spelling || aliases.contains(&spelling.as_str()));
        row.map(|row| row.0)
    }

    /// The spelling that was probably meant.
    pub fn nearest(spelling: &str) -> Option<String> {
        nearest(
            spelling,
            Self::SPELLINGS.iter().flat_map(|(_, name, aliases)| std::iter::once(*name).chain(aliases.iter().copied())),
        )
    }

    /// The one answer; none for `custom`, which an expression decides.
    pub fn decide(self, answers: &[bool]) -> Option<bool> {
        let truths = answers.iter().filter(|answer| **answer).count();
        Some(match self {
            Self::All => truths == answers.len(),
            Self::Any => truths > 0,
            Self::None => truths == 0,
            Self::Xor => truths == 1,
            Self::Nand => truths < answers.len(),
            Self::Custom => return None,
        })
    }
}

/// A `custom_expression` in MiniJinja's words: `AND OR NOT && || !` outside of string literals become `and or not`.
pub fn rewrite_logic(source: &str) -> String {
    let mut rewritten = String::with_capacity(source.len() + 16);
    let mut rest = source;
    while let Some(character) = rest.chars().next() {
        let (taken, written) = match character {
            '"' | '\'' => {
                let end = literal_end(rest, character);
                (end, &rest[..end])
            }
            '&' if rest.starts_with("&&") => (2, " and "),
            '|' if rest.starts_with("||") => (2, " or "),
            '!' if !rest.starts_with("!=") => (1, " not "),
            c if c.is_alphanumeric() || c == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                let word = &rest[..end];
                // `value.NOT` is a key, not an operator.
                let key = rewritten.trim_end().ends_with('.');
                let written = match word {
                    "AND" if !key => "and",
                    "OR" if !key => "or",
                    "NOT" if !key => "not",
                    word => word,
                };
                (end, written)
            }
            other => (other.len_utf8(), &rest[..other.len_utf8()]),
        };
        rewritten.push_str(written);
        rest = &rest[taken..];
    }
    rewritten.trim().to_owned()
}

/// The length of the string literal with which `text` begins; all of it if the literal is not closed.
fn literal_end(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decides() {
        const F: bool = false;
        const T: bool = true;
        let cases: [(&[bool], [bool; 5]); 6] = [
            // all, any, none, xor, nand
            (&[T], [T, T, F, T, F]),
            (&[F], [F, F, T, F, T]),
            (&[T, T], [T, T, F, F, F]),
            (&[T, F], [F, T, F, T, T]),
            (&[F, F], [F, F, T, F, T]),
            (&[T, F, T], [F, T, F, F, T]),
        ];
        for (answers, expected) in cases {
            let modes = [LogicMode::All, LogicMode::Any, LogicMode::None, LogicMode::Xor, LogicMode::Nand];
            assert_eq!(modes.map(|mode| mode.decide(answers)), expected.map(Some), "{answers:?}");
            assert_eq!(LogicMode::Custom.decide(answers), None);
        }
    }

    #[test]
    fn reads_spellings() {
        for (given, expected) in [
            ("all", Some(LogicMode::All)),
            ("AND", Some(LogicMode::All)),
            ("or", Some(LogicMode::Any)),
            ("Any", Some(LogicMode::Any)),
            ("nor", Some(LogicMode::None)),
            ("XOR", Some(LogicMode::Xor)),
            ("nand", Some(LogicMode::Nand)),
            ("custom", Some(LogicMode::Custom)),
            ("both", None),
        ] {
            assert_eq!(LogicMode::from_spelling(given), expected, "{given}");
        }
        assert_eq!(LogicMode::nearest("custm").as_deref(), Some("custom"));
    }

    #[test]
    fn rewrites_operators_outside_of_literals() {
        for (given, expected) in [
            ("(c1 AND NOT c2) OR c3", "(c1 and not c2) or c3"),
            ("c1&&c2||!c3", "c1 and c2 or  not c3"),
            ("!c1 && value.a != 3", "not c1  and  value.a != 3"),
            ("!(c1)", "not (c1)"),
            ("value.name == 'AND && !'", "value.name == 'AND && !'"),
            (r#"value.name == "it's \"NOT\" OR" OR c1"#, r#"value.name == "it's \"NOT\" OR" or c1"#),
            ("value.NOT or ANDY and c1", "value.NOT or ANDY and c1"),
            ("value['OR'] | length > 1", "value['OR'] | length > 1"),
            ("c1 and 'open AND", "c1 and 'open AND"),
            ("é AND ü", "é and ü"),
        ] {
            assert_eq!(rewrite_logic(given), expected, "{given}");
        }
    }
}
