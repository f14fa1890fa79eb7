#![doc = include_str!("../README.md")]

pub mod draw_boxes;
mod label;
mod palette;

sightflow_block::export_package!("sightflow/visualization"; draw_boxes::draw_boxes);

#[cfg(test)]
mod tests;
