//! From a definition to a plan: pure functions, no IO.

mod checks;
mod coerce;
mod compile;
mod compiled;
mod config;
mod document;
mod draft;
mod dynamic;
mod graph;
mod limits;
mod models;
mod named;
mod names;
mod outputs;
mod parameters;
#[expect(clippy::module_inception, reason = "the folder makes plans, the file says what a plan is")]
mod plan;
mod scopes;
mod wires;

pub(crate) use coerce::coerce;
pub use compile::compile;
pub(crate) use compile::compile_with_checks;
pub use compiled::{Compiled, PROBLEMS_SHOWN};
pub use dynamic::Dynamic;
pub use limits::DefinitionLimits;
pub(crate) use outputs::WELL_KNOWN;
pub use plan::{Feed, ImageInput, NodeConfig, Plan, PlanInput, PlanModel, PlanNode, PlanOutput, PlanScope, Wire};
