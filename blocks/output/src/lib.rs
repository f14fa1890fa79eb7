#![doc = include_str!("../README.md")]

pub mod flatten;
pub mod json_output;
pub mod select;

sightflow_block::export_package!("sightflow/output"; json_output::json_output);
