//! Makes a case that fails as small as it gets.

use serde_json::{Value, json};

use super::{Case, difference};
use crate::script::compiled;

/// Runs of smaller cases at most.
const TRIES: usize = 3_000;

/// Takes away whatever can go while the case still fails; the case and how it fails.
pub(super) async fn shrink(mut case: Case, mut reason: String) -> (Case, String) {
    let mut tries = 0;
    'smaller: loop {
        for candidate in smaller(&case) {
            tries += 1;
            if tries > TRIES {
                return (case, reason);
            }
            if compiled(&candidate.definition).plan.is_none() {
                continue;
            }
            if let Some(found) = difference(&candidate).await {
                (case, reason) = (candidate, found);
                continue 'smaller;
            }
        }
        return (case, reason);
    }
}

/// Cases with one thing less, those with the most less first.
fn smaller(case: &Case) -> Vec<Case> {
    let mut found = Vec::new();
    let definition = &case.definition;
    let count = |key: &str| definition[key].as_array().map_or(0, Vec::len);
    for at in (0..count("nodes")).rev() {
        found.push(Case { definition: without_node(definition, at), ..case.clone() });
    }
    for key in ["edges", "outputs"] {
        for at in (0..count(key)).rev() {
            let mut less = case.clone();
            less.definition[key].as_array_mut().expect("a list").remove(at);
            found.push(less);
        }
    }
    for at in 0..count("nodes") {
        let node = &definition["nodes"][at];
        for (part, keys) in [("config", &node["config"]), ("inputs", &node["inputs"])] {
            for key in keys.as_object().into_iter().flat_map(|keys| keys.keys()) {
                let mut less = case.clone();
                less.definition["nodes"][at][part].as_object_mut().expect("an object").remove(key);
                found.push(less);
            }
        }
        if node.get("on_error").is_some() {
            let mut less = case.clone();
            less.definition["nodes"][at].as_object_mut().expect("a node").remove("on_error");
            found.push(less);
        }
    }
    for (name, list) in case.input.as_object().into_iter().flatten() {
        for at in 0..list.as_array().map_or(0, Vec::len) {
            let mut less = case.clone();
            less.input[name].as_array_mut().expect("a list").remove(at);
            found.push(less);
            if list[at] != json!(1) {
                let mut less = case.clone();
                less.input[name][at] = json!(1);
                found.push(less);
            }
        }
    }
    found
}

/// Without a node, and what names it.
fn without_node(definition: &Value, at: usize) -> Value {
    let mut less = definition.clone();
    let id = less["nodes"].as_array_mut().expect("nodes").remove(at)["id"].clone();
    let start = format!("$nodes.{}.", id.as_str().unwrap_or_default());
    let named = |value: &Value| value.as_str().is_some_and(|text| text.starts_with(&start));
    less["edges"].as_array_mut().expect("edges").retain(|edge| edge["source"] != id && edge["target"] != id);
    less["outputs"].as_array_mut().expect("outputs").retain(|output| !named(&output["source"]));
    for node in less["nodes"].as_array_mut().expect("nodes") {
        if let Some(inputs) = node.get_mut("inputs").and_then(Value::as_object_mut) {
            inputs.retain(|_, value| !named(value));
        }
    }
    less
}
