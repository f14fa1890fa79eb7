//! One condition: parsed once, evaluated on many values.

use serde_json::{Map, Value};
use sightflow_types::{Problem, ProblemCode, pointer_token};

use super::fault::ConditionError;
use super::test::{Misfit, Test, expected};
use super::values::{Cast, Sides, shown, type_of};
use super::{OPERATORS, Operand, Operator, canonical};
use crate::path::{Lookup, Path};
use crate::spelling::nearest;

/// One question about a value: `{field?, operator, value?, type?, ignore_case?}`.
#[derive(Debug, Clone)]
pub struct Condition {
    field: Path,
    operator: Operator,
    compared: Compared,
    sides: Sides,
}

/// What the field is compared with.
#[derive(Debug, Clone)]
enum Compared {
    /// A value from the configuration, or none.
    Given(Test),
    /// A path in the same item.
    Field(Path),
    /// A value that is only known when the workflow runs. Never left in a condition that is evaluated.
    Unknown,
}

/// The keys of a condition.
pub(crate) const KEYS: [&str; 5] = ["field", "operator", "value", "type", "ignore_case"];
const CASTS: [&str; 5] = ["auto", "string", "number", "boolean", "field"];

impl Default for Condition {
    /// `is_true` of the whole value.
    fn default() -> Self {
        Self {
            field: Path::default(),
            operator: Operator::IsTrue,
            compared: Compared::Given(Test::Truth(true)),
            sides: Sides { cast: Cast::Auto, ignore_case: false },
        }
    }
}

impl Condition {
    /// Parses a condition; `pointer` is where it stands in the document, for the problems.
    ///
    /// # Errors
    /// Everything that is wrong: `E-OPERATOR` for an unknown operator and for a value where none belongs,
    /// `E-CONFIG-KEY` for unknown keys, `E-CONFIG` for the rest (paths, patterns, ranges, types).
    pub fn parse(condition: &Value, pointer: &str) -> Result<Self, Vec<Problem>> {
        let Value::Object(keys) = condition else {
            let message = format!("a condition is an object, not {}", type_of(condition));
            return Err(vec![Problem::new(ProblemCode::Config, pointer, message)]);
        };
        Self::from_keys(keys, pointer, &|_| false)
    }

    /// What is wrong with a condition some of whose keys get their values only when the workflow runs; such a key is
    /// left out of `condition` and named by `unknown`.
    pub fn check(condition: &Value, pointer: &str, unknown: &[&str]) -> Vec<Problem> {
        let Value::Object(keys) = condition else {
            return Self::parse(condition, pointer).err().unwrap_or_default();
        };
        Self::from_keys(keys, pointer, &|key| unknown.contains(&key)).err().unwrap_or_default()
    }

    pub(crate) fn from_keys(
        keys: &Map<String, Value>,
        pointer: &str,
        unknown: &dyn Fn(&str) -> bool,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems { found: Vec::new(), pointer };
        for key in keys.keys().filter(|key| !KEYS.contains(&key.as_str())) {
            let suggestion = nearest(key, KEYS.into_iter());
            let message = format!("a condition has no key `{key}`; it has {}", KEYS.join(", "));
            problems.found.push(
                Problem::new(ProblemCode::ConfigKey, format!("{pointer}/{}", pointer_token(key)), message)
                    .suggest(suggestion),
            );
        }
        let field = problems.path(keys, "field").unwrap_or_default();
        let ignore_case = match keys.get("ignore_case") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(flag)) => *flag,
            Some(other) => {
                problems.add(
                    ProblemCode::Config,
                    "ignore_case",
                    format!("`ignore_case` is a boolean, not {}", type_of(other)),
                    None,
                );
                false
            }
        };
        let cast = problems.cast(keys);
        let operator = problems.operator(keys, unknown("operator"));
        // Nothing can be said about a value without an operator or a type.
        if let (Some(operator), Some(cast)) = (operator, cast)
            && !unknown("type")
        {
            problems.useless(operator, cast, ignore_case);
            let sides = Sides { cast: cast.unwrap_or(Cast::Auto), ignore_case };
            let compared = problems.compared(keys, operator, cast, sides, unknown("value"));
            if let (Some(compared), true) = (compared, problems.found.is_empty()) {
                return Ok(Self { field, operator, compared, sides });
            }
        }
        if problems.found.is_empty() { Ok(Self { field, ..Self::unknown() }) } else { Err(problems.found) }
    }

    fn unknown() -> Self {
        Self { compared: Compared::Unknown, ..Self::default() }
    }

    /// The path of the field.
    pub fn field(&self) -> &Path {
        &self.field
    }

    /// The operator.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// The answer for `item`.
    ///
    /// # Errors
    /// `not_comparable`, `bad_type` (also where `type` cannot convert a side), and with `type: field` what is wrong
    /// with the other field as a value.
    pub fn evaluate(&self, item: &(impl Lookup + ?Sized)) -> Result<bool, ConditionError> {
        let (positive, negated) = self.operator.positive();
        let found = item.lookup(&self.field);
        let Some(field) = found.as_deref().filter(|field| !field.is_null()) else {
            let holds = match (positive, &self.compared) {
                (Operator::Empty, _) => true,
                (Operator::Equals, Compared::Given(Test::Equals(value))) => value.is_null(),
                (Operator::Equals, Compared::Field(path)) => item.lookup(path).is_none_or(|other| other.is_null()),
                (Operator::IsType, Compared::Given(Test::IsType(name))) => *name == "null" && found.is_some(),
                _ => false,
            };
            return Ok(holds != negated);
        };
        let answer = match &self.compared {
            Compared::Given(test) => self.ask(test, field),
            Compared::Field(path) => match item.lookup(path).filter(|other| !other.is_null()) {
                None => Ok(false),
                Some(other) => Test::build(positive, &other, self.sides)
                    .map_err(|misfit| {
                        ConditionError::bad_input("bad_type", format!("the field `{path}`: {}", misfit.message))
                    })
                    .and_then(|test| self.ask(&test, field)),
            },
            Compared::Unknown => {
                Err(ConditionError::bad_config("unresolved", "the condition's value is not known yet"))
            }
        };
        answer.map(|holds| holds != negated).map_err(|error| error.about(self.operator, &self.field))
    }

    fn ask(&self, test: &Test, field: &Value) -> Result<bool, ConditionError> {
        if self.sides.cast == Cast::Auto {
            return test.holds(field, self.sides);
        }
        let converted = self.sides.cast.apply(field).ok_or_else(|| {
            ConditionError::bad_input(
                "bad_type",
                format!("{} cannot be converted to {}", shown(field), self.sides.cast.name()),
            )
        })?;
        test.holds(&converted, self.sides)
    }
}

/// Problems of one condition as they are found.
struct Problems<'a> {
    found: Vec<Problem>,
    pointer: &'a str,
}

impl Problems<'_> {
    fn add(&mut self, code: ProblemCode, key: &str, message: String, suggestion: Option<String>) {
        self.found.push(Problem::new(code, format!("{}/{key}", self.pointer), message).suggest(suggestion));
    }

    fn path(&mut self, keys: &Map<String, Value>, key: &str) -> Option<Path> {
        let parsed = match keys.get(key)? {
            Value::Null => return None,
            Value::String(text) => Path::parse(text).map_err(|error| error.to_string()),
            other => Err(format!("`{key}` is a path, not {}", type_of(other))),
        };
        parsed.map_err(|message| self.add(ProblemCode::Config, key, message, None)).ok()
    }

    /// `None` where the type is wrong, `Some(None)` for `field`.
    fn cast(&mut self, keys: &Map<String, Value>) -> Option<Option<Cast>> {
        let given = match keys.get("type") {
            None | Some(Value::Null) => return Some(Some(Cast::Auto)),
            Some(Value::String(given)) => given,
            Some(other) => {
                self.add(
                    ProblemCode::Config,
                    "type",
                    format!("`type` is one of {}, not {}", CASTS.join(", "), type_of(other)),
                    None,
                );
                return None;
            }
        };
        Some(match canonical(given).as_str() {
            "auto" => Some(Cast::Auto),
            "string" => Some(Cast::String),
            "number" => Some(Cast::Number),
            "boolean" => Some(Cast::Boolean),
            "field" => None,
            unknown => {
                let suggestion = nearest(unknown, CASTS.into_iter());
                self.add(
                    ProblemCode::Config,
                    "type",
                    format!("there is no type `{given}`; it is one of {}", CASTS.join(", ")),
                    suggestion,
                );
                return None;
            }
        })
    }

    /// No operator at all is `is_true`; `None` where it is unknown.
    fn operator(&mut self, keys: &Map<String, Value>, later: bool) -> Option<Operator> {
        match keys.get("operator") {
            None | Some(Value::Null) if later => None,
            None | Some(Value::Null) => Some(Operator::IsTrue),
            Some(Value::String(given)) => {
                let operator = Operator::from_spelling(given);
                if operator.is_none() {
                    let suggestion = Operator::nearest(given);
                    let hint = match suggestion {
                        Some(meant) => format!("did you mean `{meant}`?"),
                        None => {
                            format!("there are {}", OPERATORS.iter().map(|row| row.name).collect::<Vec<_>>().join(", "))
                        }
                    };
                    self.add(
                        ProblemCode::Operator,
                        "operator",
                        format!("there is no operator `{given}`; {hint}"),
                        suggestion.map(ToOwned::to_owned),
                    );
                }
                operator
            }
            Some(other) => {
                self.add(
                    ProblemCode::Operator,
                    "operator",
                    format!("an operator is a string, not {}", type_of(other)),
                    None,
                );
                None
            }
        }
    }

    /// `type` and `ignore_case` where they could not change anything.
    fn useless(&mut self, operator: Operator, cast: Option<Cast>, ignore_case: bool) {
        let name = operator.name();
        let info = operator.info();
        let message = |key: &str| format!("`{name}` compares nothing, so `{key}` has no effect; leave it out");
        if cast.is_none() && info.operand == Operand::None {
            let message = format!("`{name}` takes no value, so `type: field` has no effect; leave it out");
            self.add(ProblemCode::Config, "type", message, None);
        } else if cast.is_some_and(|cast| cast != Cast::Auto) && !info.compares {
            self.add(ProblemCode::Config, "type", message("type"), None);
        }
        if ignore_case && !info.compares {
            self.add(ProblemCode::Config, "ignore_case", message("ignore_case"), None);
        }
    }

    /// What the field is compared with; `None` with a problem where that is wrong.
    fn compared(
        &mut self,
        keys: &Map<String, Value>,
        operator: Operator,
        cast: Option<Cast>,
        sides: Sides,
        later: bool,
    ) -> Option<Compared> {
        let (name, operand) = (operator.name(), operator.info().operand);
        let value = keys.get("value");
        if operand == Operand::None {
            // A form may send null for a field that is not shown.
            if later || value.is_some_and(|value| !value.is_null()) {
                let implied = keys.get("operator").is_none_or(Value::is_null);
                let message = if implied {
                    "there is a value but no operator; without one the question is whether the field is true".to_owned()
                } else {
                    format!("`{name}` takes no value")
                };
                self.add(ProblemCode::Operator, "value", message, None);
                return None;
            }
            return Test::build(operator, &Value::Null, sides).ok().map(Compared::Given);
        }
        if later {
            return Some(Compared::Unknown);
        }
        let Some(value) = value else {
            self.add(ProblemCode::Config, "value", format!("`{name}` needs a `value`: {}", expected(operand)), None);
            return None;
        };
        if cast.is_none() {
            if !value.is_string() {
                self.add(
                    ProblemCode::Config,
                    "value",
                    format!("with `type: field` the value is a path, not {}", type_of(value)),
                    None,
                );
                return None;
            }
            return self.path(keys, "value").map(Compared::Field);
        }
        match Test::build(operator, value, sides) {
            Ok(test) => Some(Compared::Given(test)),
            Err(Misfit { message, suggestion }) => {
                self.add(ProblemCode::Config, "value", message, suggestion);
                None
            }
        }
    }
}
