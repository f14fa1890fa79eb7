//! What the sandbox costs: an instance alone, an empty call, a call with fifty detections.

use anyhow::{Context, Result};
use serde_json::json;
use sightflow_sandbox::{CallConditions, GuestPayload, Package, Sandbox, SandboxConfig};

use crate::measure::{detections, repeat};

pub(crate) fn run() -> Result<()> {
    let sandbox = Sandbox::new(&SandboxConfig::default())?;
    let start = std::time::Instant::now();
    let packages = sightflow_first_party::load(&sandbox)?;
    println!("compile the first-party packages, no cache    {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    let condition = package_of(&packages, "condition")?;
    let context = CallConditions::default();
    let config = r#"{"field":"length","operator":"greater_than","value":10}"#;
    repeat(500, 5000, || Ok(sandbox.instantiate_blocking(condition, &context)?))?
        .print("component: instance alone", "bar ≤ 30");
    for (name, count, bar) in
        [("component: call, empty list", 0, ""), ("component: call, 50 detections", 50, "bar ≤ 100")]
    {
        let document = json!({"value": detections(count)}).to_string();
        let call = || {
            let payload = GuestPayload { document: document.clone(), images: Vec::new() };
            Ok(sandbox.call_blocking(condition, "condition", config, payload, &context)?)
        };
        repeat(500, 5000, call)?.print(name, bar);
    }
    Ok(())
}

/// The package that has a block.
pub(crate) fn package_of<'a>(packages: &'a [Package], block: &str) -> Result<&'a Package> {
    let has = |package: &&Package| package.manifests().iter().any(|manifest| manifest.name == block);
    packages.iter().find(has).with_context(|| format!("no package has the block `{block}`"))
}
