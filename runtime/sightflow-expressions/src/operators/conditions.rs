//! The conditions of a block: one, or a list with a logic mode.

use serde_json::{Map, Value};
use sightflow_types::{Problem, ProblemCode};

use super::condition::{Condition, KEYS};
use super::fault::ConditionError;
use super::logic::{LogicMode, rewrite_logic};
use super::values::type_of;
use crate::expression::{Expression, ExpressionError, Fuel, Variables};
use crate::path::{Lookup, Path};

/// The configuration keys that together ask a question.
pub const CONDITION_KEYS: [&str; 8] =
    ["field", "operator", "value", "type", "ignore_case", "conditions", "logic_mode", "custom_expression"];

/// Conditions and how their answers become one.
#[derive(Debug)]
pub struct Conditions {
    list: Vec<Condition>,
    mode: LogicMode,
    custom: Option<Expression>,
}

/// [`Conditions`] with the parameters of a run at hand.
#[derive(Debug)]
pub struct Judge<'c> {
    conditions: &'c Conditions,
    variables: Variables,
}

/// The answers for one value.
#[derive(Debug, PartialEq)]
pub struct Verdict {
    /// The answer of each condition, or why it has none.
    pub answers: Vec<Result<bool, ConditionError>>,
    /// The one answer; the first error if there is one.
    pub passed: Result<bool, ConditionError>,
}

impl Conditions {
    /// Reads the keys of [`CONDITION_KEYS`] from a block's configuration and leaves all others alone; `Ok(None)` if
    /// they ask nothing. `pointer` is where the configuration stands, `/config`.
    ///
    /// # Errors
    /// What [`Condition::parse`] finds, `E-CONFIG` for a condition beside a list, an empty list, an unknown logic
    /// mode and a custom expression without its mode or the reverse, and `E-EXPRESSION`.
    pub fn parse(config: &Map<String, Value>, pointer: &str) -> Result<Option<Self>, Vec<Problem>> {
        Self::read(config, pointer, &[])
    }

    /// What is wrong with a configuration some of whose values are only known when the workflow runs. They are left
    /// out of `config` and named by `unknown`: a key (`value`), or a JSON pointer below the configuration for a value
    /// inside of a list (`/conditions/0/value`).
    pub fn check(config: &Map<String, Value>, pointer: &str, unknown: &[String]) -> Vec<Problem> {
        Self::read(config, pointer, unknown).err().unwrap_or_default()
    }

    fn read(config: &Map<String, Value>, pointer: &str, unknown: &[String]) -> Result<Option<Self>, Vec<Problem>> {
        let later = |key: &str| unknown.iter().any(|name| name == key || name.strip_prefix('/') == Some(key));
        let given = |key: &str| later(key) || config.get(key).is_some_and(|value| !value.is_null());
        let mut problems = Vec::new();
        let mut problem = |key: &str, message: String| {
            problems.push(Problem::new(ProblemCode::Config, format!("{pointer}/{key}"), message));
        };
        let single: Vec<&str> =
            ["field", "operator", "value"].into_iter().filter(|key| given(key) || config.contains_key(*key)).collect();
        let mut list = Some(Vec::new());
        if let (Some(key), true) = (single.first(), given("conditions")) {
            problem(
                key,
                format!("give either `conditions` or a single condition, not both: `{key}` belongs to a single one"),
            );
            list = None;
        }
        if let Some(mode) = config.get("logic_mode").filter(|mode| !mode.is_string() && !mode.is_null()) {
            problem("logic_mode", format!("`logic_mode` is a name, not {}", type_of(mode)));
        }
        let spelling = config.get("logic_mode").and_then(Value::as_str);
        let mode = match spelling.map(LogicMode::from_spelling) {
            None => Some(LogicMode::All),
            Some(Some(mode)) => Some(mode),
            Some(None) => {
                let (given, names) = (spelling.unwrap_or_default(), LogicMode::SPELLINGS.map(|row| row.1).join(", "));
                let message = format!("there is no logic mode `{given}`; there are {names}");
                problems.push(
                    Problem::new(ProblemCode::Config, format!("{pointer}/logic_mode"), message)
                        .suggest(LogicMode::nearest(given)),
                );
                None
            }
        };
        match config.get("conditions").filter(|conditions| !conditions.is_null()) {
            Some(Value::Array(given)) if given.is_empty() => {
                problems.push(Problem::new(
                    ProblemCode::Config,
                    format!("{pointer}/conditions"),
                    "the list of conditions is empty; leave the key out, or add one",
                ));
            }
            Some(Value::Array(given)) => {
                for (index, condition) in given.iter().enumerate() {
                    let below = format!("/conditions/{index}");
                    if later(below.trim_start_matches('/')) {
                        list = None;
                        continue;
                    }
                    let Value::Object(keys) = condition else {
                        problems.extend(
                            Condition::parse(condition, &format!("{pointer}{below}")).err().into_iter().flatten(),
                        );
                        continue;
                    };
                    let nested = |key: &str| {
                        unknown.iter().any(|name| {
                            name.strip_prefix(&below).is_some_and(|rest| rest.strip_prefix('/') == Some(key))
                        })
                    };
                    match Condition::from_keys(keys, &format!("{pointer}{below}"), &nested) {
                        Ok(condition) => list.iter_mut().for_each(|list| list.push(condition.clone())),
                        Err(found) => problems.extend(found),
                    }
                }
            }
            Some(other) => problems.push(Problem::new(
                ProblemCode::Config,
                format!("{pointer}/conditions"),
                format!("`conditions` is a list, not {}", type_of(other)),
            )),
            None if later("conditions") => list = None,
            None if !single.is_empty() => {
                let keys: Map<String, Value> = KEYS
                    .iter()
                    .filter_map(|key| config.get(*key).map(|value| ((*key).to_owned(), value.clone())))
                    .collect();
                match Condition::from_keys(&keys, pointer, &later) {
                    Ok(condition) => list.iter_mut().for_each(|list| list.push(condition.clone())),
                    Err(found) => problems.extend(found),
                }
            }
            None => {}
        }
        let count = list.as_ref().map(Vec::len);
        let custom =
            if later("logic_mode") { None } else { custom(config, pointer, mode, count, &later, &mut problems) };
        match list {
            _ if !problems.is_empty() => Err(problems),
            Some(list) if !list.is_empty() => Ok(Some(Self { list, mode: mode.unwrap_or(LogicMode::All), custom })),
            _ => Ok(None),
        }
    }

    /// One condition.
    pub fn single(condition: Condition) -> Self {
        Self { list: vec![condition], mode: LogicMode::All, custom: None }
    }

    /// The conditions in order.
    pub fn list(&self) -> &[Condition] {
        &self.list
    }

    /// Prepares to ask; `params` are what a custom expression sees under that name.
    pub fn judge(&self, params: &Value) -> Judge<'_> {
        let mut variables = Variables::new();
        if self.custom.as_ref().is_some_and(|custom| custom.uses("params")) {
            variables.set("params", params);
        }
        Judge { conditions: self, variables }
    }
}

/// The compiled `custom_expression`, if the mode asks for one.
fn custom(
    config: &Map<String, Value>,
    pointer: &str,
    mode: Option<LogicMode>,
    count: Option<usize>,
    later: &dyn Fn(&str) -> bool,
    problems: &mut Vec<Problem>,
) -> Option<Expression> {
    let mut fail = |code: ProblemCode, message: String, suggestion: Option<String>| {
        problems.push(Problem::new(code, format!("{pointer}/custom_expression"), message).suggest(suggestion));
        None
    };
    let source = config.get("custom_expression").filter(|source| !source.is_null());
    match (mode?, source) {
        (LogicMode::Custom, Some(Value::String(source))) => {
            let compiled = Expression::compile_with(&rewrite_logic(source), Fuel::Condition).and_then(|expression| {
                if let Some(count) = count {
                    let mut names: Vec<String> = (1..=count).map(|at| format!("c{at}")).collect();
                    names.extend(["value".to_owned(), "params".to_owned()]);
                    expression.check_names(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
                }
                Ok(expression)
            });
            match compiled {
                Ok(expression) => Some(expression),
                Err(ExpressionError::Unknown { message, suggestion }) => {
                    fail(ProblemCode::Expression, message, suggestion)
                }
                Err(other) => fail(ProblemCode::Expression, other.to_string(), None),
            }
        }
        (LogicMode::Custom, None) if later("custom_expression") => None,
        (LogicMode::Custom, None) => fail(
            ProblemCode::Config,
            "`logic_mode: custom` needs a `custom_expression`, for example `(c1 and not c2) or c3`".to_owned(),
            None,
        ),
        (_, None) => None,
        (_, Some(Value::String(_))) => {
            fail(ProblemCode::Config, "`custom_expression` has no effect without `logic_mode: custom`".to_owned(), None)
        }
        (_, Some(other)) => {
            fail(ProblemCode::Config, format!("`custom_expression` is a string, not {}", type_of(other)), None)
        }
    }
}

impl Judge<'_> {
    /// Asks every condition about `item`. Every one is evaluated, whatever the others say.
    pub fn ask(&self, item: &(impl Lookup + ?Sized)) -> Verdict {
        let answers: Vec<_> = self.conditions.list.iter().map(|condition| condition.evaluate(item)).collect();
        let known: Result<Vec<bool>, ConditionError> = answers.iter().cloned().collect();
        let passed = known.and_then(|known| match self.conditions.mode.decide(&known) {
            Some(passed) => Ok(passed),
            None => self.custom(&known, item),
        });
        Verdict { answers, passed }
    }

    /// Only the one answer.
    ///
    /// # Errors
    /// The first condition's that has no answer, or the custom expression's.
    pub fn passes(&self, item: &(impl Lookup + ?Sized)) -> Result<bool, ConditionError> {
        match self.conditions.list.as_slice() {
            [only] if self.conditions.custom.is_none() => {
                only.evaluate(item).map(|answer| self.conditions.mode.decide(&[answer]).unwrap_or(answer))
            }
            _ => self.ask(item).passed,
        }
    }

    fn custom(&self, answers: &[bool], item: &(impl Lookup + ?Sized)) -> Result<bool, ConditionError> {
        let Some(expression) = &self.conditions.custom else {
            return Err(ConditionError::bad_config(
                "custom_expression",
                "`logic_mode: custom` needs a `custom_expression`",
            ));
        };
        let mut variables = self.variables.clone();
        for (at, answer) in answers.iter().enumerate() {
            variables.set(&format!("c{}", at + 1), &Value::Bool(*answer));
        }
        if expression.uses("value")
            && let Some(value) = item.lookup(&Path::default())
        {
            variables.set("value", &value);
        }
        match expression.evaluate(&variables) {
            Ok(Value::Bool(answer)) => Ok(answer),
            Ok(other) => Err(ConditionError::bad_config(
                "not_boolean",
                format!("the custom expression yields {}, not a boolean", type_of(&other)),
            )),
            Err(error @ ExpressionError::Fuel(_)) => Err(ConditionError::bad_config("fuel", error.to_string())),
            Err(error @ ExpressionError::Undefined(_)) => {
                Err(ConditionError::bad_input("undefined", error.to_string()))
            }
            Err(error) => Err(ConditionError::bad_input("expression", error.to_string())),
        }
    }
}
