//! Checks what a run gives a plan, before anything is written.

use serde_json::{Map, Value};
use sightflow_expressions::reference::nearest;
use sightflow_types::manifest::Role;
use sightflow_types::{IMAGE_KEY, Problem};

use crate::catalog::pointer_token;
use crate::image_source::ImageSource;
use crate::plan::{Plan, coerce};
use crate::run_input::RunInput;

/// Checks a run's input and parameters against a plan: what an execution is made of. Pointers begin with `/input` or
/// `/parameters`.
///
/// # Errors
/// Every problem at once, code `E-BAD-INPUT`.
pub fn validate_run(
    plan: &Plan,
    input: &Map<String, Value>,
    parameters: &Map<String, Value>,
) -> Result<RunInput, Vec<Problem>> {
    let mut found = Found::default();
    let mut run = read(input, &mut found);
    check_images(plan, &run, &mut found);
    run.parameters = check_parameters(plan, parameters, &mut found);
    if found.0.is_empty() { Ok(run) } else { Err(found.0) }
}

/// Reads back what [`validate_run`] let pass and [`RunInput::to_input`] wrote; the parameters have their types and defaults.
///
/// # Errors
/// As [`validate_run`], for what is no input at all: the row is damaged.
pub(crate) fn stored_run(input: &Map<String, Value>, parameters: Map<String, Value>) -> Result<RunInput, Vec<Problem>> {
    let mut found = Found::default();
    let run = RunInput { parameters, ..read(input, &mut found) };
    if found.0.is_empty() { Ok(run) } else { Err(found.0) }
}

/// The problems of a run's input.
#[derive(Default)]
struct Found(Vec<Problem>);

impl Found {
    fn report(&mut self, pointer: impl Into<String>, message: String, near: Option<String>) {
        self.0.push(Problem::new("E-BAD-INPUT", pointer.into(), message).suggest(near));
    }
}

/// Images and values, whatever plan they are for.
fn read(input: &Map<String, Value>, found: &mut Found) -> RunInput {
    let mut run = RunInput::default();
    for (key, value) in input {
        let pointer = format!("/input/{}", pointer_token(key));
        let single = match (key.as_str(), value) {
            ("images", Value::Object(images)) => {
                for (name, value) in images {
                    match ImageSource::read(value) {
                        Ok(source) => drop(run.images.insert(name.clone(), source)),
                        Err(reason) => found.report(
                            format!("{pointer}/{}", pointer_token(name)),
                            format!("the image `{name}` {reason}"),
                            None,
                        ),
                    }
                }
                continue;
            }
            ("images", _) => {
                found.report(pointer, "`images` is an object of named images".to_owned(), None);
                continue;
            }
            ("image_url", Value::String(url)) => Ok(ImageSource::Url(url.clone())),
            ("image_url", _) => Err("is not a text".to_owned()),
            ("image_base64", _) => Err("was not stored before the run".to_owned()),
            ("image", value) => ImageSource::read(value),
            _ => {
                if let Some(reason) = forged(value) {
                    found.report(pointer, format!("`{key}` {reason}"), None);
                }
                run.values.insert(key.clone(), value.clone());
                continue;
            }
        };
        match single {
            Ok(_) if run.image.is_some() => {
                found.report(pointer, "the run image is given twice; name several under `images`".to_owned(), None);
            }
            Ok(source) => run.image = Some(source),
            Err(reason) => found.report(pointer, format!("`{key}` {reason}"), None),
        }
    }
    run
}

/// What is wrong with the images inside a value from outside: each must be a stored image's reference.
fn forged(value: &Value) -> Option<&'static str> {
    crate::images::any_image(value, &mut |image| image.get(IMAGE_KEY).and_then(crate::images::digest).is_none())
        .then_some("holds an `$image` that is no reference with a valid `digest`")
}

fn check_images(plan: &Plan, run: &RunInput, found: &mut Found) {
    let inputs = plan.image_inputs();
    let only = inputs.len() == 1;
    if run.image.is_some() && inputs.len() > 1 {
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        found.report(
            "/input".to_owned(),
            format!("the workflow reads several images; name them under `images`: {}", names.join(", ")),
            None,
        );
        return;
    }
    let lone = only && run.image.is_none() && run.images.len() == 1;
    for name in run.images.keys().filter(|name| !lone && !inputs.iter().any(|input| input.name == **name)) {
        let near = nearest(name, inputs.iter().map(|input| input.name.as_str()));
        found.report(
            format!("/input/images/{}", pointer_token(name)),
            format!("the workflow reads no image `{name}`"),
            near,
        );
    }
    for input in inputs.iter().filter(|input| input.required && run.image_for(&input.name, only).is_none()) {
        let pointer =
            if only { "/input/image".to_owned() } else { format!("/input/images/{}", pointer_token(&input.name)) };
        found.report(
            pointer,
            format!("the image `{}` is missing; the node `{}` needs it", input.name, input.node_id),
            None,
        );
    }
}

fn check_parameters(plan: &Plan, given: &Map<String, Value>, found: &mut Found) -> Map<String, Value> {
    let free = plan.parameters.is_empty() && plan.nodes.iter().any(|node| node.entry.plays(Role::RunParameters));
    for (name, value) in given {
        if let Some(reason) = forged(value) {
            found.report(format!("/parameters/{}", pointer_token(name)), format!("`{name}` {reason}"), None);
        }
    }
    if free {
        return given.clone();
    }
    let mut coerced = Map::new();
    for (name, value) in given {
        let pointer = format!("/parameters/{}", pointer_token(name));
        match plan.parameters.iter().find(|parameter| parameter.name == *name) {
            None => {
                let near = nearest(name, plan.parameters.iter().map(|parameter| parameter.name.as_str()));
                found.report(pointer, format!("the workflow declares no parameter `{name}`"), near);
            }
            // Null is not a value: the default applies, or the parameter is missing.
            Some(_) if value.is_null() => {}
            Some(parameter) => match coerce(parameter, value) {
                Ok(value) => {
                    coerced.insert(name.clone(), value);
                }
                Err(reason) => found.report(pointer, format!("`{name}` {reason}"), None),
            },
        }
    }
    for parameter in &plan.parameters {
        if coerced.contains_key(&parameter.name) {
            continue;
        }
        match &parameter.default {
            Some(default) => {
                coerced.insert(parameter.name.clone(), default.clone());
            }
            None if parameter.required && given.get(&parameter.name).is_none_or(Value::is_null) => {
                let pointer = format!("/parameters/{}", pointer_token(&parameter.name));
                found.report(pointer, format!("the parameter `{}` is required", parameter.name), None);
            }
            None => {}
        }
    }
    coerced
}
