//! What a person sees in the bundled photographs: boxes marked by hand, in pixels.

use serde_json::Value;

/// `[x1, y1, x2, y2]`
pub(crate) type Box = [f64; 4];

pub(crate) struct Scene {
    pub(crate) photo: &'static str,
    pub(crate) objects: &'static [(&'static str, Box)],
}

pub(crate) const SCENES: &[Scene] = &[
    Scene { photo: "astronaut.png", objects: &[("person", [22.0, 15.0, 364.0, 512.0])] },
    Scene { photo: "chelsea.png", objects: &[("cat", [0.0, 0.0, 402.0, 300.0])] },
    Scene { photo: "coffee.png", objects: &[("dining table", [0.0, 0.0, 600.0, 400.0])] },
    Scene { photo: "rocket.jpg", objects: &[] },
];

pub(crate) fn iou(a: Box, b: Box) -> f64 {
    let side = |low: usize, high: usize| (a[high].min(b[high]) - a[low].max(b[low])).max(0.0);
    let area = |r: Box| (r[2] - r[0]) * (r[3] - r[1]);
    let both = side(0, 2) * side(1, 3);
    both / (area(a) + area(b) - both)
}

/// A box of a detection: `bbox` (normalised) or `bbox_abs` (pixels).
pub(crate) fn read_box(detection: &Value, key: &str) -> Box {
    ["x1", "y1", "x2", "y2"].map(|side| detection[key][side].as_f64().unwrap())
}
