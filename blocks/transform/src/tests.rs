//! Every block as the host calls it.

mod crop;
mod normalize;
mod resize;

#[test]
fn examples_hold() {
    sightflow_block::testing::run_examples(crate::PACKAGE);
}
