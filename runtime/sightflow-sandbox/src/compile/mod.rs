//! Machine code for components: made here or in a child process with limits, never accepted from elsewhere.

mod child;
mod job;
mod refusals;

use std::time::Instant;

use sightflow_types::{Digest, Problem, TenantId};
use wasmtime::Engine;

pub use job::compile_component;

use self::refusals::Refusals;
use crate::finding::{self, Findings};
use crate::native::Native;
use crate::{Allocation, Compiler, LoadError};
use sightflow_fair::{Asked, FairSlots};

/// Compilations at the same time: each uses one core, and calls need some, too.
const AT_ONCE: usize = 2;
/// Uploads of one tenant that wait for their turn; each holds its bytes.
const MOST_WAITING: usize = 8;

/// Compiles what tenants bring, in turns.
pub(crate) struct Compiles {
    compiler: Compiler,
    turns: FairSlots,
    refusals: Refusals,
}

impl Compiles {
    pub(crate) fn new(compiler: Compiler) -> Self {
        Self { compiler, turns: FairSlots::new(AT_ONCE, AT_ONCE, MOST_WAITING), refusals: Refusals::default() }
    }

    /// Machine code for a screened component of this tenant. Blocks the thread until it is the tenant's turn and done.
    pub(crate) fn compile(
        &self,
        engine: &Engine,
        allocation: Allocation,
        tenant: TenantId,
        (digest, bytes): (Digest, &[u8]),
    ) -> Result<Native, LoadError> {
        self.refusals.check(digest, Instant::now())?;
        let _turn = match self.turns.ask(tenant).map_err(|_| LoadError::Busy)? {
            Asked::Slot(turn) => turn,
            Asked::Waiting(waiting) => match waiting.here(|| Ok::<(), std::convert::Infallible>(())) {
                Ok(turn) => turn,
                Err(never) => match never {},
            },
        };
        // The same upload may have been refused while this one waited.
        self.refusals.check(digest, Instant::now())?;
        let compiled = match &self.compiler {
            Compiler::Here => here(engine, bytes),
            Compiler::Child(compiler) => child::compile(compiler, allocation, bytes),
        };
        if let Err(LoadError::Refused(problems)) = &compiled {
            self.refusals.remember(digest, problems, Instant::now());
        }
        compiled
    }
}

/// Compiles on this thread: what is embedded in the program, and for tools.
pub(crate) fn here(engine: &Engine, bytes: &[u8]) -> Result<Native, LoadError> {
    Native::compile(engine, bytes).map_err(|reason| LoadError::Refused(refusal(&reason)))
}

/// One finding of the compiler.
fn refusal(reason: &str) -> Vec<Problem> {
    let mut findings = Findings::default();
    findings.add(finding::code::COMPILE, reason);
    findings.into_vec()
}
