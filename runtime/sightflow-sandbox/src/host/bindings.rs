//! Rust types of `wit/v0_1`, generated.

wasmtime::component::bindgen!({
    path: "../../wit/v0_1",
    world: "block-package",
    imports: { default: trappable },
    with: {
        "sightflow:block/images.image": sightflow_images::Image,
        "sightflow:block/images.canvas": sightflow_images::Canvas,
        "sightflow:block/images.drawing": sightflow_images::Drawing,
    },
});
