//! The codes of findings in a definition.

macro_rules! codes {
    ($($variant:ident = $text:literal, $help:literal;)+) => {
        /// What is wrong with a definition, or worth a warning. A code never changes its meaning. Components may have codes of
        /// their own beside these.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ProblemCode { $(#[doc = $help] $variant),+ }

        impl ProblemCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The text on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// What happened and what to do, as the error reference says it.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help),+ }
            }
        }
    };
}

codes! {
    Version = "E-VERSION", "The definition's `version` is not one that this server reads. Write \"1.0\".";
    NodeId = "E-NODE-ID", "A node has no `id`, or one that is not a letter or `_` followed by at most 99 letters, digits, `_` or `-`.";
    NodeDuplicate = "E-NODE-DUPLICATE", "Two nodes have the same `id`. Rename one, and the edges and references that mean it.";
    TypeUnknown = "E-TYPE-UNKNOWN", "No active block has this `type`, or not in the version that is asked for. The suggestion is the nearest one.";
    Config = "E-CONFIG", "A value has the wrong type or shape, is out of range, contradicts another or is missing; the pointer says where.";
    ConfigKey = "E-CONFIG-KEY", "The block has no such configuration key. The suggestion is the nearest one; a key that is refused on purpose says what to do instead.";
    EdgeSource = "E-EDGE-SOURCE", "An edge comes from a node that does not exist, or asks for a side of a node that has no sides.";
    EdgeTarget = "E-EDGE-TARGET", "An edge leads to a node that does not exist.";
    PortUnknown = "E-PORT-UNKNOWN", "An edge or an `inputs` entry names a port that the block does not have.";
    PortType = "E-PORT-TYPE", "What one port delivers is of a type that the other does not take.";
    PortRequired = "E-PORT-REQUIRED", "A required input has neither an edge nor an entry in `inputs`.";
    PortConflict = "E-PORT-CONFLICT", "Two values can reach one port at the same time. Only branches of one condition or switch may meet in a port; use a port that takes many, or merge the values before.";
    HandleAmbiguous = "E-HANDLE-AMBIGUOUS", "An edge does not say which ports it joins, and several pairs, or none, would fit. Name the ports in `sourceHandle` and `targetHandle`.";
    Cycle = "E-CYCLE", "Nodes depend on each other in a circle, so none of them can run first. To repeat work for a list of items use `foreach`.";
    LoopEscape = "E-LOOP-ESCAPE", "A value of a loop is used where the loop's items are not: beside another loop, in what waits for the loop's end, or in a `collect` outside of loops. A value leaves a loop through `collect`, or through `outputs`.";
    LoopNesting = "E-LOOP-NESTING", "Loops lie in each other deeper than is allowed. Collect the inner items and flatten them, then use one loop.";
    Reference = "E-REFERENCE", "A reference or expression names something that does not exist here: a node, a port, a parameter, or `item`, `index` and `total` outside of a loop.";
    Expression = "E-EXPRESSION", "The text between `{{` and `}}` is no expression of the language, or uses a name, filter or test that does not exist.";
    Grant = "E-GRANT", "A block asks for something that was not granted to its package.";
    Operator = "E-OPERATOR", "A condition has an operator that does not exist, or a value where its operator takes none.";
    ModelUnknown = "E-MODEL-UNKNOWN", "No model of this id is registered for the task, or it is disabled or broken. A model is never replaced by another.";
    Limit = "E-LIMIT", "The definition, or a value in it, is larger than is allowed; the message says the limit.";
    Alias = "W-ALIAS", "An accepted spelling was read as the one that the suggestion gives. The stored definition keeps yours.";
    ConfigInData = "W-CONFIG-IN-DATA", "Configuration was found in `data`, where editors keep it. Write it into `config`.";
    DroppedKey = "W-DROPPED-KEY", "A key that has no effect on results was left out.";
    InputWins = "W-INPUT-WINS", "A port has an edge and an entry in `inputs`; the entry is used.";
    MoreWarnings = "W-LIMIT", "There are more warnings than are shown.";
}

impl ProblemCode {
    /// The code with this text.
    pub fn find(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|code| code.as_str() == text).copied()
    }
}

impl From<ProblemCode> for String {
    fn from(code: ProblemCode) -> Self {
        code.as_str().to_owned()
    }
}

impl std::fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::ProblemCode;

    #[test]
    fn each_text_means_one_code() {
        for code in ProblemCode::ALL {
            assert_eq!(ProblemCode::find(code.as_str()), Some(*code));
            assert!(["E-", "W-"].iter().any(|class| code.as_str().starts_with(class)), "{code}");
            assert!(code.help().ends_with('.'), "{code} says what it means in sentences");
        }
        assert_eq!(ProblemCode::find("E-NONE"), None);
    }
}
