//! Declared run parameters.

use serde_json::{Map, Value};
use sightflow_types::definition::Parameter;
use sightflow_types::{Problem, ProblemCode};

use super::coerce::coerce;

pub(super) fn read(raw: &[(usize, Map<String, Value>)], problems: &mut Vec<Problem>) -> Vec<Parameter> {
    let mut parameters: Vec<Parameter> = Vec::new();
    for (at, object) in raw {
        let pointer = format!("/parameters/{at}");
        let mut parameter: Parameter = match serde_json::from_value(Value::Object(object.clone())) {
            Ok(parameter) => parameter,
            Err(error) => {
                problems.push(Problem::new(ProblemCode::Config, pointer, format!("not a parameter: {error}")));
                continue;
            }
        };
        if parameter.name.is_empty() || parameters.iter().any(|other| other.name == parameter.name) {
            let message = format!("the parameter name `{}` is empty or used twice", parameter.name);
            problems.push(Problem::new(ProblemCode::Config, format!("{pointer}/name"), message));
            continue;
        }
        if parameter.min.zip(parameter.max).is_some_and(|(min, max)| min > max) {
            problems.push(Problem::new(ProblemCode::Config, format!("{pointer}/min"), "`min` is greater than `max`"));
        }
        if let Some(default) = parameter.default.take().filter(|default| !default.is_null()) {
            match coerce(&parameter, &default) {
                Ok(value) => parameter.default = Some(value),
                Err(reason) => problems.push(Problem::new(
                    ProblemCode::Config,
                    format!("{pointer}/default"),
                    format!("the default {reason}"),
                )),
            }
        }
        parameters.push(parameter);
    }
    parameters
}
