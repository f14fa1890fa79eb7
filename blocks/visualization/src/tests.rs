//! Every block as the host calls it.

mod draw_boxes;

#[test]
fn examples_hold() {
    sightflow_block::testing::run_examples(crate::PACKAGE);
}
