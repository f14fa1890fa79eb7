//! Fifty boxes with labels on 1280×720: through the sandboxed block, and the same drawing with OpenCV.

use anyhow::Result;
use serde_json::json;
use sightflow_images::{Image, PixelFormat, Pixels};
use sightflow_sandbox::{CallConditions, GuestPayload, Sandbox, SandboxConfig};

use crate::measure::{detections, micros, repeat};
use crate::python;

const OPENCV: &str = r#"
import time, numpy, cv2
picture = numpy.full((720, 1280, 3), 90, numpy.uint8)
boxes = [(int((i % 10) * .09 * 1280), int((i // 10) * .18 * 720)) for i in range(50)]
def draw():
    out = picture.copy()
    for i, (x, y) in enumerate(boxes):
        cv2.rectangle(out, (x, y), (x + 102, y + 115), (48, 59, 255), 2)
    for i, (x, y) in enumerate(boxes):
        label = f"person {.5 + i / 200:.2f}"
        (w, h), _ = cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, .5, 1)
        top = max(y - h - 8, 0)
        cv2.rectangle(out, (x, top), (x + w + 8, top + h + 8), (48, 59, 255), -1)
        cv2.putText(out, label, (x + 4, top + h + 4), cv2.FONT_HERSHEY_SIMPLEX, .5, (255, 255, 255), 1, cv2.LINE_AA)
    return out
cv2.setNumThreads(1)
for _ in range(50): draw()
times = []
for _ in range(500):
    t = time.perf_counter(); draw(); times.append(time.perf_counter() - t)
print(sorted(times)[250] * 1e6)
"#;

pub(crate) fn run() -> Result<()> {
    let sandbox = Sandbox::new(&SandboxConfig::default())?;
    let packages = sightflow_first_party::load(&sandbox)?;
    let package = crate::blocks::package_of(&packages, "draw_boxes")?;
    let context = CallConditions::default();
    let picture = Image::from_pixels(Pixels::filled(1280, 720, PixelFormat::Rgb8, &[90, 90, 90])?);
    let mut document = json!({"image": {"$image": 0}, "detections": detections(50)});
    // Every default filled in, as the engine does.
    let catalog = sightflow::wiring::Blocks::load(None, None)?.catalog();
    let schema = &catalog.resolve("draw_boxes").map_err(|unknown| anyhow::anyhow!(unknown.message))?.schema;
    let config = serde_json::Value::Object(schema.canonical(serde_json::Map::new()).config).to_string();
    let text = document.take().to_string();
    let call = || {
        let payload = GuestPayload { document: text.clone(), images: vec![picture.clone()] };
        Ok(sandbox.call_blocking(package, "draw_boxes", &config, payload, &context)?)
    };
    let ours = repeat(50, 500, call)?;
    ours.print("draw_boxes: 50 boxes with labels, 1280×720", "bar ≤ OpenCV");
    match python::number(OPENCV, &["cv2", "numpy"]) {
        Ok(opencv) => println!(
            "{:<44} µs p50 {opencv:>10.1}; ratio {:.2}",
            "the same with OpenCV, one thread",
            micros(ours.quantile(0.5)) / opencv
        ),
        Err(reason) => println!("OpenCV was not measured: {reason}"),
    }
    Ok(())
}
