//! Checks what a run gives a plan, before anything is written.

use serde_json::{Map, Value};
use sightflow_expressions::reference::nearest;
use sightflow_types::manifest::Role;
use sightflow_types::{IMAGE_KEY, Problem};

use crate::image_source::ImageSource;
use crate::plan::{Plan, coerce};
use crate::run_input::RunInput;

/// Checks a run's input and parameters against a plan. Pointers begin with `/input` or `/parameters`.
///
/// # Errors
/// Every problem at once, code `E-BAD-INPUT`.
pub fn validate_run(
    plan: &Plan,
    input: &Map<String, Value>,
    parameters: &Map<String, Value>,
) -> Result<RunInput, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut run = RunInput::default();
    let mut report = |pointer: String, message: String, near: Option<String>| {
        problems.push(Problem::new("E-BAD-INPUT", pointer, message).suggest(near));
    };
    let mut given = parameters.clone();
    for (key, value) in input {
        let pointer = format!("/input/{}", crate::catalog::pointer_token(key));
        let single = match (key.as_str(), value) {
            ("parameters", Value::Object(inside)) => {
                for (name, value) in inside {
                    given.entry(name.clone()).or_insert_with(|| value.clone());
                }
                continue;
            }
            ("parameters", _) => {
                report(pointer, "`parameters` is an object".to_owned(), None);
                continue;
            }
            ("images", Value::Object(images)) => {
                for (name, value) in images {
                    match ImageSource::read(value) {
                        Ok(source) => {
                            run.images.insert(name.clone(), source);
                        }
                        Err(reason) => {
                            report(
                                format!("{pointer}/{}", crate::catalog::pointer_token(name)),
                                format!("the image `{name}` {reason}"),
                                None,
                            );
                        }
                    }
                }
                continue;
            }
            ("images", _) => {
                report(pointer, "`images` is an object of named images".to_owned(), None);
                continue;
            }
            ("image_url", Value::String(url)) => Ok(ImageSource::Url(url.clone())),
            ("image_url", _) => Err("is not a text".to_owned()),
            ("image_base64", _) => Err("was not stored before the run".to_owned()),
            ("image", value) => ImageSource::read(value),
            _ => {
                if let Some(reason) = forged(value) {
                    report(pointer, format!("`{key}` {reason}"), None);
                }
                run.values.insert(key.clone(), value.clone());
                continue;
            }
        };
        match single {
            Ok(_) if run.image.is_some() => {
                report(pointer, "the run image is given twice; name several under `images`".to_owned(), None);
            }
            Ok(source) => run.image = Some(source),
            Err(reason) => report(pointer, format!("`{key}` {reason}"), None),
        }
    }
    check_images(plan, &run, &mut report);
    run.parameters = check_parameters(plan, given, &mut report);
    if problems.is_empty() { Ok(run) } else { Err(problems) }
}

/// What is wrong with the images inside a value from outside: each must be a stored image's reference.
fn forged(value: &Value) -> Option<&'static str> {
    crate::images::any_image(value, &mut |image| image.get(IMAGE_KEY).and_then(crate::images::digest).is_none())
        .then_some("holds an `$image` that is no reference with a valid `digest`")
}

fn check_images(plan: &Plan, run: &RunInput, report: &mut impl FnMut(String, String, Option<String>)) {
    let inputs = plan.image_inputs();
    let only = inputs.len() == 1;
    if run.image.is_some() && inputs.len() > 1 {
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        report(
            "/input".to_owned(),
            format!("the workflow reads several images; name them under `images`: {}", names.join(", ")),
            None,
        );
        return;
    }
    let lone = only && run.image.is_none() && run.images.len() == 1;
    for name in run.images.keys().filter(|name| !lone && !inputs.iter().any(|input| input.name == **name)) {
        let near = nearest(name, inputs.iter().map(|input| input.name.as_str()));
        report(
            format!("/input/images/{}", crate::catalog::pointer_token(name)),
            format!("the workflow reads no image `{name}`"),
            near,
        );
    }
    for input in inputs.iter().filter(|input| input.required && run.image_for(&input.name, only).is_none()) {
        let pointer = if only {
            "/input/image".to_owned()
        } else {
            format!("/input/images/{}", crate::catalog::pointer_token(&input.name))
        };
        report(pointer, format!("the image `{}` is missing; the node `{}` needs it", input.name, input.node_id), None);
    }
}

fn check_parameters(
    plan: &Plan,
    given: Map<String, Value>,
    report: &mut impl FnMut(String, String, Option<String>),
) -> Map<String, Value> {
    let free = plan.parameters.is_empty() && plan.nodes.iter().any(|node| node.entry.plays(Role::RunParameters));
    for (name, value) in &given {
        if let Some(reason) = forged(value) {
            report(format!("/parameters/{}", crate::catalog::pointer_token(name)), format!("`{name}` {reason}"), None);
        }
    }
    if free {
        return given;
    }
    let mut coerced = Map::new();
    for (name, value) in &given {
        let pointer = format!("/parameters/{}", crate::catalog::pointer_token(name));
        match plan.parameters.iter().find(|parameter| parameter.name == *name) {
            None => {
                let near = nearest(name, plan.parameters.iter().map(|parameter| parameter.name.as_str()));
                report(pointer, format!("the workflow declares no parameter `{name}`"), near);
            }
            // Null is not a value: the default applies, or the parameter is missing.
            Some(_) if value.is_null() => {}
            Some(parameter) => match coerce(parameter, value) {
                Ok(value) => {
                    coerced.insert(name.clone(), value);
                }
                Err(reason) => report(pointer, format!("`{name}` {reason}"), None),
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
                let pointer = format!("/parameters/{}", crate::catalog::pointer_token(&parameter.name));
                report(pointer, format!("the parameter `{}` is required", parameter.name), None);
            }
            None => {}
        }
    }
    coerced
}
