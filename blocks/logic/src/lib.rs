#![doc = include_str!("../README.md")]

pub mod condition;
pub mod filter;
pub mod keys;
pub mod map;
pub mod switch;
pub mod transform;

sightflow_block::export_package!("sightflow/logic"; condition::condition, filter::filter, map::map, switch::switch);
