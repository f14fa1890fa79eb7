//! What an execution is pinned to, and what becomes of it after an upgrade of the program.

use semver::Version;
use serde_json::{Map, Value, json};
use sightflow_store::NewEvent;
use sightflow_types::error::{RunError, code};
use sightflow_types::event;

/// Packages that come with the program.
const FIRST_PARTY: &str = "sightflow/";

/// Pins to record, none if they stand; and events that say what was pinned anew.
pub(super) type Pinned = (Option<Value>, Vec<NewEvent>);

/// Compares what an execution was started with (`old`, `{}` if nothing was recorded) with what is installed. A first-party
/// block of the same major version does the same, so the execution goes on with it. A model that was replaced does not.
///
/// # Errors
/// What is not there any more.
pub(super) fn settle(old: &Value, new: Value) -> Result<Pinned, RunError> {
    if old.as_object().is_none_or(Map::is_empty) {
        return Ok((Some(new), Vec::new()));
    }
    if *old == new {
        return Ok((None, Vec::new()));
    }
    let of = |pins: &Value, kind: &str| pins.get(kind).and_then(Value::as_object).cloned().unwrap_or_default();
    let (models, installed) = (of(old, "models"), of(&new, "models"));
    if let Some((model, _)) = models.iter().find(|(model, digest)| installed.get(*model) != Some(digest)) {
        let message = format!("the model `{model}` was replaced since the execution started; run the workflow again");
        return Err(RunError::new(code::MODEL_UNAVAILABLE, message));
    }
    let (blocks, installed) = (of(old, "blocks"), of(&new, "blocks"));
    let mut events = Vec::new();
    for (block, from) in &blocks {
        let Some(to) = installed.get(block).filter(|to| *to == from || replaces(from, to)) else {
            let message = format!(
                "the block `{block}` that the execution was started with is not installed any more; run the workflow again"
            );
            return Err(RunError::new(code::INTERNAL, message));
        };
        if to != from {
            let payload = json!({"block": block, "from": version(from), "to": version(to)});
            events.push(NewEvent { kind: event::EXECUTION_REPINNED.to_owned(), payload });
        }
    }
    Ok((Some(new), events))
}

fn version(pin: &Value) -> Value {
    json!({"version": pin.get("version"), "digest": pin.get("digest")})
}

fn replaces(from: &Value, to: &Value) -> bool {
    let package = |pin: &Value| pin.get("package").and_then(Value::as_str).map(str::to_owned);
    let major = |pin: &Value| {
        pin.get("version")
            .and_then(Value::as_str)
            .and_then(|text| Version::parse(text).ok())
            .map(|version| version.major)
    };
    package(from) == package(to)
        && package(from).is_some_and(|name| name.starts_with(FIRST_PARTY))
        && major(from).is_some()
        && major(from) == major(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pins(package: &str, version: &str, digest: &str, model: &str) -> Value {
        json!({"blocks": {"crop": {"package": package, "version": version, "digest": digest}}, "models": {"pretrained/m": model}})
    }

    #[test]
    fn what_becomes_of_pins() {
        let now = pins("sightflow/transform", "1.4.0", "sha256:b", "sha256:m");
        // What was pinned; what is said to be wrong, or how many blocks are pinned anew and whether pins are written.
        let cases = [
            (json!({}), Ok((0, true))),
            (now.clone(), Ok((0, false))),
            (pins("sightflow/transform", "1.2.3", "sha256:a", "sha256:m"), Ok((1, true))),
            (pins("sightflow/transform", "1.4.0", "sha256:a", "sha256:m"), Ok((1, true))),
            (pins("sightflow/transform", "2.0.0", "sha256:a", "sha256:m"), Err("the block `crop`")),
            (pins("sightflow/logic", "1.4.0", "sha256:a", "sha256:m"), Err("the block `crop`")),
            (pins("acme/transform", "1.4.0", "sha256:a", "sha256:m"), Err("the block `crop`")),
            (
                pins("sightflow/transform", "1.4.0", "sha256:b", "sha256:n"),
                Err("the model `pretrained/m` was replaced"),
            ),
        ];
        for (old, expected) in cases {
            let settled = settle(&old, now.clone());
            match (settled, expected) {
                (Ok((written, events)), Ok((count, writes))) => {
                    assert_eq!((events.len(), written.is_some()), (count, writes), "{old}");
                }
                (Err(error), Err(reason)) => assert!(error.message.starts_with(reason), "{error}"),
                (settled, expected) => panic!("{old}: {settled:?} instead of {expected:?}"),
            }
        }
        let (_, events) = settle(&pins("sightflow/transform", "1.2.3", "sha256:a", "sha256:m"), now).unwrap();
        let expected = json!({"block": "crop", "from": {"version": "1.2.3", "digest": "sha256:a"}, "to": {"version": "1.4.0", "digest": "sha256:b"}});
        assert_eq!((events[0].kind.as_str(), &events[0].payload), ("execution.repinned", &expected));
    }

    #[test]
    fn a_third_party_block_goes_on_only_as_it_was() {
        let acme = pins("acme/blur", "1.0.0", "sha256:a", "sha256:m");
        assert_eq!(settle(&acme, acme.clone()), Ok((None, Vec::new())));
    }
}
