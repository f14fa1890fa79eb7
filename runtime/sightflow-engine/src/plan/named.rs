//! Outputs that a node's configuration names: the cases of a `switch`.

use serde_json::Value;
use sightflow_types::manifest::{NamedOutputs, Port};
use sightflow_types::{Problem, ProblemCode};

use super::config::ConfigDraft;
use super::document::RawNode;
use super::dynamic::Dynamic;
use crate::catalog::{BlockEntry, ports};

/// All outputs of a node whose configuration names some of them; what is wrong with a name is reported.
pub(super) fn outputs(
    raw: &RawNode,
    entry: &BlockEntry,
    config: &ConfigDraft,
    problems: &mut Vec<Problem>,
) -> Option<Vec<Port>> {
    let named = entry.manifest.named_outputs.as_ref()?;
    let own = format!("/nodes/{}/config/{}", raw.at, named.key);
    let pointer = raw.from_data.get(&named.key).cloned().unwrap_or(own);
    let mut names: Vec<&str> = Vec::new();
    let mut report =
        |pointer: String, message: String| problems.push(Problem::new(ProblemCode::Config, pointer, message));
    let Some(entries) = entries(config, named) else {
        report(pointer, format!("`{}` names outputs; it cannot be a template as a whole", named.key));
        return Some(entry.with_named(names));
    };
    for (index, name) in entries.into_iter().enumerate() {
        let pointer = format!("{pointer}/{index}/{}", named.field);
        match name {
            Entry::Unknown => {
                let message = format!("`{}` names an output; it cannot be a template", named.field);
                report(pointer, message);
            }
            Entry::Unnamed => {}
            Entry::Name(name) if !is_name(name) => {
                let message =
                    format!("`{name}` cannot name an output: a letter or `_`, then letters, digits or `_`, at most 64");
                report(pointer, message);
            }
            Entry::Name(name) if ports::find(&entry.manifest.outputs, name).is_some() => {
                report(pointer, format!("`{name}` is an output that every `{}` has", entry.block_type));
            }
            Entry::Name(name) if names.contains(&name) => report(pointer, format!("the name `{name}` is used twice")),
            Entry::Name(name) => names.push(name),
        }
    }
    let outputs = entry.with_named(names);
    let exclusive = outputs.iter().filter(|port| port.exclusive).count();
    if exclusive > ports::MOST_EXCLUSIVE {
        let message = format!(
            "`{}` and its default are {exclusive} ways on; at most {} are allowed",
            named.key,
            ports::MOST_EXCLUSIVE
        );
        problems.push(Problem::new(ProblemCode::Limit, pointer, message));
    }
    Some(outputs)
}

/// An entry of the list that names outputs.
enum Entry<'c> {
    Name(&'c str),
    /// Without a name, which the schema reports.
    Unnamed,
    /// Its name is a template.
    Unknown,
}

/// The entries of the list; none where the list itself is a template.
fn entries<'c>(config: &'c ConfigDraft, named: &NamedOutputs) -> Option<Vec<Entry<'c>>> {
    let fixed = |entry: &'c Value| entry.get(&named.field).and_then(Value::as_str).map_or(Entry::Unnamed, Entry::Name);
    let dynamic = |entry: &'c Dynamic| match entry {
        Dynamic::Fixed(entry) => fixed(entry),
        Dynamic::Object(fields) => match fields.iter().find(|(key, _)| *key == named.field) {
            Some((_, Dynamic::Fixed(name))) => name.as_str().map_or(Entry::Unnamed, Entry::Name),
            Some(_) => Entry::Unknown,
            None => Entry::Unnamed,
        },
        Dynamic::Template(_) | Dynamic::List(_) => Entry::Unknown,
    };
    match config.dynamic.iter().find(|(_, (key, _))| *key == named.key) {
        Some((_, (_, Dynamic::List(list)))) => Some(list.iter().map(dynamic).collect()),
        Some(_) => None,
        None => {
            let list = config.canonical.get(&named.key).and_then(Value::as_array);
            Some(list.into_iter().flatten().map(fixed).collect())
        }
    }
}

fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
