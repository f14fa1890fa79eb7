//! The operators of conditions: one table from which spellings, schemas, checks and messages come.

mod condition;
mod conditions;
mod fault;
mod logic;
mod test;
mod values;

pub use condition::Condition;
pub use conditions::{CONDITION_KEYS, Conditions, Judge, Verdict};
pub use fault::{ConditionError, Fault};
pub use logic::{LogicMode, rewrite_logic};
pub use values::{equals, sort_order, to_number, truth};

use crate::spelling::nearest;

/// What a condition's `value` has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operand {
    /// No value belongs here.
    None,
    /// Any JSON value.
    Any,
    /// A number or a string.
    Ordered,
    /// `[low, high]`, `{min, max}` or `"low, high"`.
    Range,
    /// An array, or a string of parts separated by commas.
    List,
    /// An array.
    Array,
    /// A string.
    Text,
    /// A regular expression.
    Pattern,
    /// One of [`TYPE_NAMES`].
    TypeName,
    /// A number.
    Number,
}

/// One row of the table.
#[derive(Debug)]
pub struct OperatorInfo {
    /// The operator.
    pub operator: Operator,
    /// The canonical spelling.
    pub name: &'static str,
    /// Other accepted spellings.
    pub aliases: &'static [&'static str],
    /// What `value` has to be.
    pub operand: Operand,
    /// The operator of which this one is the exact negation.
    pub negates: Option<Operator>,
    /// Whether it compares contents, so that `type` and `ignore_case` mean something.
    pub compares: bool,
    /// When it is true.
    pub meaning: &'static str,
}

/// The type names of `is_type`.
pub const TYPE_NAMES: [&str; 7] = ["string", "number", "integer", "boolean", "array", "object", "null"];

macro_rules! operators {
    ($($variant:ident $name:literal [$($alias:literal),*] $operand:ident $(not $twin:ident)? $(, $compares:ident)? ; $meaning:literal)+) => {
        /// An operator of a condition.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Operator {
            $(#[doc = $meaning] $variant),+
        }

        /// Every operator, in the order of the reference.
        pub static OPERATORS: &[OperatorInfo] = &[$(OperatorInfo {
            operator: Operator::$variant,
            name: $name,
            aliases: &[$($alias),*],
            operand: Operand::$operand,
            negates: operators!(@twin $($twin)?),
            compares: operators!(@compares $($compares)?),
            meaning: $meaning,
        }),+];
    };
    (@twin) => { None };
    (@twin $twin:ident) => { Some(Operator::$twin) };
    (@compares) => { false };
    (@compares compares) => { true };
}

operators! {
    Equals "equals" ["==", "=", "eq", "is"] Any, compares;
        "equal: numbers as numbers, also against numeric strings; booleans also against \"true\" and \"false\"; null is null; strings exactly; arrays and objects deep"
    NotEquals "not_equals" ["!=", "<>", "ne", "neq"] Any not Equals, compares;
        "not equal; a missing field differs from everything but null"
    GreaterThan "greater_than" [">", "gt"] Ordered, compares;
        "greater; numeric if both are numbers or numeric strings, else two strings by code point"
    GreaterEqual "greater_equal" [">=", "gte", "ge", "greater_or_equal", "greater_than_or_equal"] Ordered, compares;
        "greater or equal"
    LessThan "less_than" ["<", "lt"] Ordered, compares;
        "less"
    LessEqual "less_equal" ["<=", "lte", "le", "less_or_equal", "less_than_or_equal"] Ordered, compares;
        "less or equal"
    Between "between" ["in_range", "range"] Range, compares;
        "within [low, high], both included"
    NotBetween "not_between" ["not_in_range"] Range not Between, compares;
        "outside [low, high]"
    In "in" ["in_array", "in_list", "one_of"] List, compares;
        "equal to any element of the value"
    NotIn "not_in" ["nin", "not_in_array", "not_in_list"] List not In, compares;
        "equal to no element of the value"
    Contains "contains" ["has", "array_contains", "includes"] Any, compares;
        "an array has an equal element, a string has the substring, an object has the key"
    NotContains "not_contains" [] Any not Contains, compares;
        "does not contain"
    ContainsAny "contains_any" [] Array, compares;
        "the array has at least one of the elements"
    ContainsAll "contains_all" [] Array, compares;
        "the array has all of the elements"
    StartsWith "starts_with" ["startswith"] Text, compares;
        "the string begins with the value"
    EndsWith "ends_with" ["endswith"] Text, compares;
        "the string ends with the value"
    Regex "regex" ["matches", "regex_match"] Pattern, compares;
        "the regular expression is found anywhere in the string"
    NotRegex "not_regex" ["not_matches"] Pattern not Regex, compares;
        "the regular expression is not found"
    Exists "exists" ["is_not_null", "not_null"] None;
        "present and not null"
    NotExists "not_exists" ["is_null", "missing"] None not Exists;
        "missing or null"
    Empty "empty" ["is_empty", "array_empty"] None;
        "\"\", [], {}, null or missing"
    NotEmpty "not_empty" ["array_not_empty"] None not Empty;
        "anything that is not empty"
    IsTrue "is_true" [] None, compares;
        "true, 1, \"true\", \"1\" or \"yes\""
    IsFalse "is_false" [] None, compares;
        "false, 0, \"false\", \"0\" or \"no\""
    IsType "is_type" ["type"] TypeName;
        "has the JSON type"
    LengthEquals "length_equals" ["array_length_equals"] Number;
        "array, string or object of this length"
    LengthGreater "length_greater" ["array_length_greater"] Number;
        "longer than this"
    LengthLess "length_less" ["array_length_less"] Number;
        "shorter than this"
}

impl Operator {
    /// The row of the table.
    pub fn info(self) -> &'static OperatorInfo {
        &OPERATORS[self as usize]
    }

    /// The canonical spelling.
    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// The operator with this spelling; case does not matter, and `-` reads as `_`.
    pub fn from_spelling(spelling: &str) -> Option<Self> {
        let spelling = canonical(spelling);
        let row = OPERATORS.iter().find(|row| row.name == spelling || row.aliases.contains(&spelling.as_str()));
        row.map(|row| row.operator)
    }

    /// The accepted spelling that was probably meant.
    pub fn nearest(spelling: &str) -> Option<&'static str> {
        let spelling = canonical(spelling);
        let all = || OPERATORS.iter().flat_map(|row| std::iter::once(&row.name).chain(row.aliases)).copied();
        // `=>` has the letters of `>=`; edit distance alone would find `==` as near.
        let sorted = |text: &str| {
            let mut letters: Vec<char> = text.chars().collect();
            letters.sort_unstable();
            letters
        };
        let letters = sorted(&spelling);
        let swapped =
            all().find(|candidate| sorted(candidate) == letters || spelling.strip_prefix("is_") == Some(candidate));
        swapped.or_else(|| nearest(&spelling, all()).and_then(|found| all().find(|candidate| *candidate == found)))
    }

    /// The operator that is evaluated, and whether its answer is turned round.
    pub(crate) fn positive(self) -> (Self, bool) {
        self.info().negates.map_or((self, false), |twin| (twin, true))
    }
}

/// Names ignore case and read `-` as `_`.
fn canonical(name: &str) -> String {
    name.trim().to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_table_is_sound() {
        let mut seen = HashSet::new();
        for (at, row) in OPERATORS.iter().enumerate() {
            assert_eq!(row.operator as usize, at, "{}", row.name);
            for spelling in std::iter::once(&row.name).chain(row.aliases) {
                assert!(seen.insert(*spelling), "`{spelling}` means two operators");
                assert_eq!(Operator::from_spelling(spelling), Some(row.operator), "{spelling}");
                assert_eq!(
                    Operator::from_spelling(&spelling.to_uppercase().replace('_', "-")),
                    Some(row.operator),
                    "{spelling}"
                );
            }
            assert_eq!(row.negates.is_some(), row.name.starts_with("not_"), "{}", row.name);
            if let Some(twin) = row.negates {
                assert_eq!((twin.info().operand, twin.info().compares), (row.operand, row.compares), "{}", row.name);
            }
        }
        assert_eq!(OPERATORS.len(), 28);
    }

    #[test]
    fn suggests_what_was_meant() {
        for (given, expected) in [
            ("=>", Some(">=")),
            ("=<", Some("<=")),
            ("=!", Some("!=")),
            ("><", Some("<>")),
            ("===", Some("==")),
            ("equal", Some("equals")),
            ("greater", Some("greater_than")),
            ("Contain", Some("contains")),
            ("exist", Some("exists")),
            ("is_not_empty", Some("not_empty")),
            ("regexp", Some("regex")),
            ("betwen", Some("between")),
            ("frobnicate", None),
        ] {
            assert_eq!(Operator::from_spelling(given), None, "{given}");
            assert_eq!(Operator::nearest(given), expected, "{given}");
        }
    }
}
