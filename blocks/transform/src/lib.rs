#![doc = include_str!("../README.md")]

pub mod crop;
mod frame;
pub mod normalize;
pub mod resize;
mod surface;

sightflow_block::export_package!("sightflow/transform"; crop::crop, resize::resize, normalize::normalize);

#[cfg(test)]
mod tests;
