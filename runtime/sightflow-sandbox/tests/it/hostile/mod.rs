//! Packages that mean harm. Each ends with the right error, harms no neighbour, and leaves nothing behind.

mod calls;
mod loads;
mod neighbour;

use sightflow_memory::MemoryPool;
use sightflow_sandbox::{CallConditions, CallFailure, GuestOutcome, GuestPayload, Package, Sandbox, SandboxConfig};

use crate::crafted::Crafted;
use crate::guests::{config, version};

/// A budget that is large enough for all, and that knows what is in use.
const BUDGET: u64 = 2 << 30;

/// A sandbox with a budget of its own.
fn sandbox() -> (Sandbox, MemoryPool) {
    let pool = MemoryPool::new(BUDGET);
    let sandbox = Sandbox::with_memory(&SandboxConfig { slots: 4, ..config() }, pool.clone()).expect("a sandbox");
    (sandbox, pool)
}

fn load(sandbox: &Sandbox, crafted: &Crafted) -> Package {
    sandbox.load("test/crafted", &version(), &crafted.build()).unwrap_or_else(|error| panic!("{error}\n{crafted:?}"))
}

fn call(sandbox: &Sandbox, package: &Package, with: &CallConditions) -> Result<GuestOutcome, Box<CallFailure>> {
    // Host strings go through the guest's realloc.
    let payload = GuestPayload { document: format!("{{\"a\":\"{}\"}}", "x".repeat(1000)), images: Vec::new() };
    sandbox.call_blocking(package, "x", "{}", payload, with)
}
