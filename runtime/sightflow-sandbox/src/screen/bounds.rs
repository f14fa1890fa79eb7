//! How large a package and its parts may be. Each bound is several times what the largest interpreter packages need
//! (Python: 18 MB, 40 modules) and keeps one cost of screening, compiling or instantiating small.

/// Bytes of a component: it is held in memory, stored, and sent to every engine.
pub const MAX_PACKAGE_BYTES: usize = 32 << 20;
/// Core modules: each becomes a compilation of its own. A call's instance may use fewer (`engine::CORE_INSTANCES`).
pub(super) const CORE_MODULES: u64 = 256;
/// Instances that are declared, core and component, re-export bags included: work at every instantiation.
pub(super) const INSTANCES: u64 = 4_096;
/// Functions with a body: each costs the compiler about half a millisecond before its first instruction.
pub(super) const FUNCTIONS: u64 = 65_536;
/// Bytes of one function's body: parts of the compiler take more than linear time in it.
pub(super) const FUNCTION_BYTES: u64 = 512 << 10;
/// Bytes of all function bodies: what there is to compile.
pub(super) const CODE_BYTES: u64 = 24 << 20;
/// Components in components: readers of the result go as deep as they lie.
pub(super) const NESTING: u64 = 16;
/// Types, canonical functions and aliases that are declared: each is kept in memory for as long as the package is loaded.
pub(super) const DECLARATIONS: u64 = 131_072;
/// Imports and exports of the component.
pub(super) const NAMES: u64 = 512;
