//! Running a plan: the walk over its frames, without a database in sight.
//!
//! The walk decides: which frames may run, and what their work makes of the run. [`Run`] drives it: it computes
//! what is ready on [`Lanes`], enqueues the jobs of a round together, and stops when the run only waits. Everything that
//! leaves the process goes through [`RunParts`], so that the same walk runs executions of a server, benches and tests.

mod drive;
mod effects;
mod frame;
mod import;
mod jobs;
mod kept;
mod lanes;
mod loops;
mod model;
mod outputs;
mod pass;
mod perform;
mod reach;
mod report;
mod request;
mod state;
mod tally;
mod together;
mod trace;
mod values;
mod walk;
mod work;

pub use drive::{Pause, Run, run_plan};
pub use effects::{EffectLog, Unrecorded};
pub use jobs::{JobOutcome, JobRequest, JobRunner};
pub use kept::RunLimits;
pub use lanes::Lanes;
pub use report::{Observer, Record, Report, Silent};
pub use request::{End, RunOutcome, RunParts, RunSpec};
