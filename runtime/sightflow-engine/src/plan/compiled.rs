//! What comes of compiling a definition: a plan, or problems.

use std::sync::Arc;

use sightflow_types::{Problem, ProblemCode};

use super::Plan;

/// The outcome of compiling a definition.
#[derive(Debug, Clone, Default)]
pub struct Compiled {
    /// Present exactly when there is no error.
    pub plan: Option<Arc<Plan>>,
    /// What prevents a save, in document order: the first [`PROBLEMS_SHOWN`], then one that counts the others.
    pub errors: Vec<Problem>,
    /// What a save reports beside its success, shown as errors are.
    pub warnings: Vec<Problem>,
}

/// Problems that are told one by one.
pub const PROBLEMS_SHOWN: usize = 100;

impl Compiled {
    pub(crate) fn shown(mut self) -> Self {
        for (problems, code) in
            [(&mut self.errors, ProblemCode::Limit), (&mut self.warnings, ProblemCode::MoreWarnings)]
        {
            let more = problems.len().saturating_sub(PROBLEMS_SHOWN);
            if more > 0 {
                problems.truncate(PROBLEMS_SHOWN);
                problems.push(Problem::new(code, "", format!("{more} more, which are not shown")));
            }
        }
        self
    }
}
