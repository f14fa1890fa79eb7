//! What single nodes must keep, beyond their schemas.

use serde_json::Value;
use sightflow_expressions::path::Path;
use sightflow_expressions::reference::nearest;
use sightflow_types::definition::Parameter;
use sightflow_types::manifest::Role;
use sightflow_types::{Problem, ProblemCode};

use super::draft::Draft;
use crate::catalog::Catalog;

/// The parameter that a node brings is declared, where any is.
pub(super) fn parameter_inputs(drafts: &[Draft], parameters: &[Parameter], problems: &mut Vec<Problem>) {
    for draft in drafts.iter().filter(|draft| draft.plays(Role::RunParameters)) {
        let Some(name) = draft.config.canonical.get("parameter_name").and_then(Value::as_str) else {
            continue;
        };
        if !parameters.is_empty() && !parameters.iter().any(|parameter| parameter.name == name) {
            let near = nearest(name, parameters.iter().map(|parameter| parameter.name.as_str()));
            let pointer = format!("/nodes/{}/config/parameter_name", draft.at);
            problems.push(
                Problem::new(ProblemCode::Config, pointer, format!("the workflow declares no parameter `{name}`"))
                    .suggest(near),
            );
        }
    }
}

/// `draw_boxes` of a detection needs the block that draws.
pub(super) fn drawing(drafts: &[Draft], catalog: &Catalog, problems: &mut Vec<Problem>) {
    let draws = |draft: &&Draft| draft.config.canonical.get("draw_boxes") == Some(&Value::Bool(true));
    if catalog.playing(Role::DrawDetections).is_some() {
        return;
    }
    for draft in drafts.iter().filter(draws) {
        let pointer = format!("/nodes/{}/config/draw_boxes", draft.at);
        let message = "the block `draw_boxes`, which draws for `detection`, is not installed";
        problems.push(Problem::new(ProblemCode::Config, pointer, message));
    }
}

/// `unique_key` of a collect is a path.
pub(super) fn unique_keys(drafts: &[Draft], problems: &mut Vec<Problem>) {
    for draft in drafts.iter().filter(|draft| draft.plays(Role::Collect)) {
        let path = draft.config.canonical.get("unique_key").and_then(Value::as_str);
        if let Some(Err(error)) = path.map(Path::parse) {
            let pointer = format!("/nodes/{}/config/unique_key", draft.at);
            problems.push(Problem::new(ProblemCode::Config, pointer, error.to_string()));
        }
    }
}

/// A block has what it asks for.
pub(super) fn grants(drafts: &[Draft], problems: &mut Vec<Problem>) {
    for draft in drafts {
        let Some(entry) = draft.entry.as_ref() else { continue };
        if let Some(lacks) = &entry.lacks {
            let pointer = format!("/nodes/{}/type", draft.at);
            problems.push(Problem::new(ProblemCode::Grant, pointer, format!("`{}` {lacks}", entry.block_type)));
        }
    }
}
