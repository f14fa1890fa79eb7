//! Holds `runtime/ARCHITECTURE.md` against what cargo says and what the files import.

mod circles;
mod edges;
mod metadata;
