//! The wasmtime engine: what guests may be made of, and where their memory comes from.

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmFeatures};

use crate::{Allocation, SandboxConfig, StartError};

/// Linear memories that one component may have.
pub(crate) const MEMORIES: u32 = 4;
/// Core instances that one component may have; an interpreter linked from many modules needs dozens.
pub(crate) const CORE_INSTANCES: u32 = 64;
/// Tables that one component may have.
pub(crate) const TABLES: u32 = 32;
/// Elements of a table; the same for all, since a pool reserves them.
pub(crate) const TABLE_ELEMENTS: usize = 65_536;
/// Memory that a slot keeps after a call, so that the next one finds its pages in place.
const KEEP_RESIDENT: usize = 2 << 20;

/// The engine and how it allocates.
pub(crate) fn start(config: &SandboxConfig) -> Result<(Engine, Allocation), StartError> {
    for (name, slots) in [("slots", config.slots), ("waiting_slots", config.waiting_slots)] {
        if !(1..=1024).contains(&slots) {
            return Err(StartError::Config(format!("{name} is {slots}; allowed are 1 to 1024")));
        }
    }
    if !(65_536..=4 << 30).contains(&config.max_memory_bytes) {
        return Err(StartError::Config(format!(
            "max_memory_bytes is {}; allowed are 64 KiB to 4 GiB",
            config.max_memory_bytes
        )));
    }
    if config.allocation == Allocation::Pooled {
        match Engine::new(&pooled(config)) {
            Ok(engine) => return Ok((engine, Allocation::Pooled)),
            Err(error) => tracing::warn!(
                error = format!("{error:#}"),
                slots = config.slots,
                "cannot reserve address space for the instance pool; every call will map its own memory"
            ),
        }
    }
    let engine = Engine::new(&on_demand()).map_err(|error| StartError::Engine(format!("{error:#}")))?;
    Ok((engine, Allocation::OnDemand))
}

/// An engine that compiles for the one that allocates like this, and cannot run anything: it reserves nothing.
pub(crate) fn compile_only(allocation: Allocation) -> Result<Engine, String> {
    let config = match allocation {
        // Code does not depend on the pool, but on how memories are reserved and guarded.
        Allocation::Pooled => common(),
        Allocation::OnDemand => on_demand(),
    };
    Engine::new(&config).map_err(|error| format!("{error:#}"))
}

fn pooled(config: &SandboxConfig) -> Config {
    let slots = config.slots + config.waiting_slots;
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots * CORE_INSTANCES)
        .total_memories(slots * MEMORIES)
        .total_tables(slots * TABLES)
        .total_stacks(config.waiting_slots)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_tables_per_module(TABLES)
        .max_memories_per_module(MEMORIES)
        .max_memory_size(config.max_memory_bytes)
        .table_elements(TABLE_ELEMENTS)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(TABLE_ELEMENTS * 8)
        .pagemap_scan(Enabled::Auto);
    let mut engine = common();
    engine.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    engine
}

fn on_demand() -> Config {
    let mut engine = common();
    // No reservation beyond what a memory has: this is for hosts that refuse one.
    engine
        .allocation_strategy(InstanceAllocationStrategy::OnDemand)
        .memory_reservation(0)
        .memory_reservation_for_growth(1 << 20)
        .memory_guard_size(65_536);
    engine
}

/// What guests may be made of: all that wasmtime supports without a garbage collector, but no memories beyond 4 GiB, which
/// would need bounds checks, no threads and no asynchronous functions, since a call has one thread.
pub(crate) fn features() -> WasmFeatures {
    let without = WasmFeatures::GC_TYPES
        | WasmFeatures::EXCEPTIONS
        | WasmFeatures::THREADS
        | WasmFeatures::MEMORY64
        | WasmFeatures::CM_ASYNC;
    (WasmFeatures::WASM3 - without) | WasmFeatures::COMPONENT_MODEL
}

fn common() -> Config {
    let mut engine = Config::new();
    engine
        .wasm_component_model(true)
        .epoch_interruption(true)
        .memory_init_cow(true)
        // Calls are synchronous; the bookkeeping for concurrent ones costs on every call.
        .concurrency_support(false)
        // The same input gives the same bytes on every machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_features(WasmFeatures::all(), false)
        .wasm_features(features(), true)
        .shared_memory(false)
        .max_wasm_stack(512 << 10);
    engine
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_out_of_range_is_refused() {
        for (slots, memory, named) in [(0, 1 << 20, "slots"), (4096, 1 << 20, "slots"), (1, 1, "max_memory_bytes")] {
            let config = SandboxConfig { slots, max_memory_bytes: memory, ..SandboxConfig::default() };
            let error = start(&config).expect_err("refused").to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
