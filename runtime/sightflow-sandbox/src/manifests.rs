//! Reads and checks what `catalog` answers.

use std::collections::HashSet;

use serde_json::Value;
use sightflow_types::capability::Capability;
use sightflow_types::manifest::{Manifest, Port};
use sightflow_types::{Problem, fold};

use crate::finding::{Findings, code};
use crate::host::linker::HTTP;

/// Most blocks in one package.
const MOST_BLOCKS: usize = 256;

/// The manifests, or everything that is wrong with them.
///
/// `reaches_out`: the package imports what it needs for requests.
pub(crate) fn parse(catalog: &str, reaches_out: bool) -> Result<Vec<Manifest>, Vec<Problem>> {
    let mut findings = Findings::default();
    let manifests = read(catalog).unwrap_or_else(|problems| {
        problems.iter().for_each(|problem| findings.add(code::MANIFEST, problem));
        Vec::new()
    });
    let asks = |manifest: &Manifest| manifest.capabilities.iter().any(|one| matches!(one, Capability::Http(_)));
    for manifest in &manifests {
        let name = &manifest.name;
        // The clock of such a package goes and its random numbers are some: none of its blocks is a function of its inputs.
        if reaches_out && !asks(manifest) {
            let ask = "`capabilities: [\"http:HOST\"]`";
            let message = format!(
                "block `{name}` asks for no host ({ask}), but its package imports `{HTTP}…`: a block that only computes belongs in another package"
            );
            findings.add(code::GRANT, message);
        }
        if !reaches_out && manifest.reaches_out() {
            let message = format!(
                "block `{name}`: it asks for a capability or is an effect, but its package imports no `{HTTP}…`"
            );
            findings.add(code::MANIFEST, message);
        }
    }
    if findings.is_empty() { Ok(manifests) } else { Err(findings.into_vec()) }
}

fn read(catalog: &str) -> Result<Vec<Manifest>, Vec<String>> {
    let values: Vec<Value> =
        serde_json::from_str(catalog).map_err(|error| vec![format!("`catalog` is not a JSON array: {error}")])?;
    let mut problems = Vec::new();
    if values.is_empty() {
        problems.push("the package has no block".to_owned());
    }
    if values.len() > MOST_BLOCKS {
        return Err(vec![format!("the package has {} blocks; at most {MOST_BLOCKS} are allowed", values.len())]);
    }
    let mut manifests = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        let name = value
            .get("name")
            .and_then(Value::as_str)
            .map_or_else(|| format!("block {index}"), |name| format!("block `{name}`"));
        match serde_json::from_value::<Manifest>(value) {
            Ok(manifest) => {
                check(&manifest, &mut |problem| problems.push(format!("{name}: {problem}")));
                manifests.push(manifest);
            }
            Err(error) => problems.push(format!("{name}: {error}")),
        }
    }
    let mut names = HashSet::new();
    for manifest in &manifests {
        for name in std::iter::once(&manifest.name).chain(&manifest.aliases) {
            if !names.insert(fold(name)) {
                problems.push(format!(
                    "block `{}`: the name `{name}` is taken by another block of the package",
                    manifest.name
                ));
            }
        }
    }
    if problems.is_empty() { Ok(manifests) } else { Err(problems) }
}

fn check(manifest: &Manifest, problem: &mut dyn FnMut(String)) {
    if !is_name(&manifest.name) {
        problem(format!(
            "`{}` is not a name: lower-case letters, digits and `_`, beginning with a letter, at most 64",
            manifest.name
        ));
    }
    for (field, text) in
        [("title", &manifest.title), ("description", &manifest.description), ("category", &manifest.category)]
    {
        if text.trim().is_empty() {
            problem(format!("`{field}` is empty"));
        }
    }
    ports("input", &manifest.inputs, problem);
    ports("output", &manifest.outputs, problem);
    match manifest.config.as_object() {
        None => problem("`config` must be a JSON Schema object".to_owned()),
        Some(schema) => {
            if schema.get("type") != Some(&Value::from("object")) {
                problem("`config` must have `type: object`".to_owned());
            }
            if schema.get("additionalProperties") != Some(&Value::from(false)) {
                problem("`config` must have `additionalProperties: false`".to_owned());
            }
        }
    }
    if let Some(role) = manifest.role.filter(|role| role.is_native()) {
        problem(format!("the role {role:?} is played by the engine's own blocks"));
    }
    if let Some(named) = &manifest.named_outputs {
        let list = manifest.config.pointer(&format!("/properties/{}/type", named.key));
        if list.is_none_or(|kind| kind != "array") {
            problem(format!("`named_outputs` takes names from `{}`, which is no list of the configuration", named.key));
        }
    }
}

fn ports(side: &str, ports: &[Port], problem: &mut dyn FnMut(String)) {
    let mut names = HashSet::new();
    for port in ports {
        if !is_name(&port.name) {
            problem(format!("the {side} port `{}` is not a name", port.name));
        }
        for name in std::iter::once(&port.name).chain(&port.aliases) {
            if !names.insert(name) {
                problem(format!("the {side} port name `{name}` occurs twice"));
            }
        }
    }
}

fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::parse;

    fn manifest(change: impl FnOnce(&mut Value)) -> Value {
        let mut value = json!({
            "name": "count", "title": "Count", "description": "Counts.", "category": "logic", "aliases": ["counter"],
            "inputs": [{"name": "items", "kind": "array", "required": true}], "outputs": [{"name": "count", "kind": "number"}],
            "config": {"type": "object", "additionalProperties": false},
        });
        change(&mut value);
        value
    }

    #[test]
    fn manifests() {
        let ok = || manifest(|_| ());
        let cases = [
            (json!([ok()]), None),
            (json!([]), Some("no block")),
            (json!({}), Some("not a JSON array")),
            (json!([ok(), ok()]), Some("`count` is taken")),
            (
                json!([
                    ok(),
                    manifest(|m| {
                        m["name"] = json!("other");
                        m["aliases"] = json!(["Counter"]);
                    })
                ]),
                Some("`Counter` is taken"),
            ),
            (json!([manifest(|m| m["name"] = json!("Count it"))]), Some("is not a name")),
            (json!([manifest(|m| m["inputs"][0]["kind"] = json!("picture"))]), Some("unknown variant `picture`")),
            (json!([manifest(|m| m["config"] = json!("none"))]), Some("must be a JSON Schema object")),
            (json!([manifest(|m| m["config"] = json!({"type": "object"}))]), Some("additionalProperties")),
            (json!([manifest(|m| m["config"] = json!({"additionalProperties": false}))]), Some("type: object")),
            (
                json!([manifest(|m| m["inputs"] =
                    json!([{"name": "a", "kind": "any"}, {"name": "b", "kind": "any", "aliases": ["a"]}]))]),
                Some("`a` occurs twice"),
            ),
            (json!([manifest(|m| m["capabilities"] = json!(["http:example.com"]))]), Some("imports no `wasi:http/")),
            (json!([manifest(|m| m["effect"] = json!(true))]), Some("imports no `wasi:http/")),
            (json!([manifest(|m| m["capabilities"] = json!(["files:/"]))]), Some("files:/")),
            (json!([manifest(|m| m["role"] = json!("draw_detections"))]), None),
            (json!([manifest(|m| m["role"] = json!("loop"))]), Some("the role Loop")),
            (json!([manifest(|m| m["role"] = json!("king"))]), Some("unknown variant `king`")),
            (json!([manifest(|m| m["named_outputs"] = json!({"key": "cases", "field": "name"}))]), Some("`cases`")),
            (json!([manifest(|m| m["colour"] = json!("red"))]), Some("unknown field `colour`")),
            (json!([manifest(|m| m["title"] = json!(" "))]), Some("`title` is empty")),
        ];
        for (catalog, expected) in cases {
            match (parse(&catalog.to_string(), false), expected) {
                (Ok(manifests), None) => assert_eq!(manifests.len(), 1),
                (Err(problems), Some(part)) => {
                    assert!(
                        problems.iter().any(|p| p.message.contains(part) && p.code == "E-MANIFEST"),
                        "{part}: {problems:?}"
                    );
                }
                (answer, _) => panic!("{catalog}: {answer:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn in_a_package_that_reaches_out_every_block_asks_for_a_host() {
        let asks = || manifest(|m| m["capabilities"] = json!(["http:example.com", "secret:KEY"]));
        let read = |catalog: Value| parse(&catalog.to_string(), true);
        assert!(read(json!([asks()])).expect("a package")[0].reaches_out());
        for other in [json!([]), json!(["secret:KEY"])] {
            let other = manifest(|m| {
                m["name"] = json!("other");
                m["aliases"] = json!([]);
                m["capabilities"] = other;
            });
            let problems = read(json!([asks(), other])).expect_err("it asks for none");
            let [problem] = &problems[..] else { panic!("{problems:?}") };
            assert!(problem.code == "E-GRANT" && problem.message.contains("`other` asks for no host"), "{problem:?}");
        }
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let catalog = json!([manifest(|m| {
            m["name"] = json!("A");
            m["title"] = json!("");
            m["config"] = json!(1);
        })]);
        assert_eq!(parse(&catalog.to_string(), false).expect_err("three problems").len(), 3);
    }
}
