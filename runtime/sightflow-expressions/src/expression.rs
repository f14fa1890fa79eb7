//! MiniJinja expressions over named values: what stands between `{{` and `}}`.
//!
//! Only expressions, no statements: nothing can be included, defined or looped over by hand. Every evaluation has a
//! fuel budget that pays for instructions, visited items and produced bytes, so that no expression runs or grows
//! without end.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::{Map, Number, Value};

use crate::spelling::nearest;
use crate::tokens::{Token, Tokens};

/// Longest accepted expression, in bytes.
pub const MAX_EXPRESSION_BYTES: usize = 4 * 1024;
/// Deepest nesting of brackets and prefix operators in an expression.
const MAX_NESTING: usize = 64;
/// Longest chain of operators, filters and calls in an expression; each is a level of the compiler's recursion.
const MAX_OPERATORS: usize = 400;
/// Deepest result.
const MAX_RESULT_DEPTH: usize = 64;
/// Most numbers that one `range` makes.
const MAX_RANGE: i128 = 100_000;

/// How much work one evaluation may do; one unit is an instruction, two visited items or 64 produced bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fuel {
    /// 100,000: configuration, inputs, outputs, `map`.
    Standard,
    /// 10,000: the `custom_expression` of a condition.
    Condition,
}

/// What is wrong with an expression, or with its evaluation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// It is not an expression of the language.
    #[error("{0}")]
    Syntax(String),
    /// It uses a name, filter, test or function that does not exist.
    #[error("{message}")]
    Unknown {
        /// Names the thing and says what exists.
        message: String,
        /// The nearest existing name.
        suggestion: Option<String>,
    },
    /// It is longer or more deeply nested than an expression may be.
    #[error("{0}")]
    TooLarge(String),
    /// A value that it names does not exist, and no `default` handles that.
    #[error("{0}")]
    Undefined(String),
    /// It used up its fuel.
    #[error("the expression needs more than its {0} operations; make the data or the expression smaller")]
    Fuel(u64),
    /// An operation failed on the values at hand.
    #[error("{0}")]
    Evaluation(String),
}

impl ExpressionError {
    /// The stable code: `E-REFERENCE` for what does not exist, `E-EXPRESSION` for the rest.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Undefined(_) => "E-REFERENCE",
            _ => "E-EXPRESSION",
        }
    }
}

impl Fuel {
    /// The budget in operations.
    pub const fn units(self) -> u64 {
        match self {
            Self::Standard => 100_000,
            Self::Condition => 10_000,
        }
    }
}

static STANDARD: LazyLock<Environment<'static>> = LazyLock::new(|| environment(Fuel::Standard));
static CONDITION: LazyLock<Environment<'static>> = LazyLock::new(|| environment(Fuel::Condition));

fn environment(fuel: Fuel) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(fuel.units()));
    environment.set_recursion_limit(64);
    // Not part of the language: they show internals, or only make sense with statements or markup.
    for function in ["debug", "namespace"] {
        environment.remove_global(function);
    }
    for filter in ["safe", "escape", "e", "pprint"] {
        environment.remove_filter(filter);
    }
    environment.add_function("range", range);
    environment
}

/// `range(end)`, `range(start, end)`, `range(start, end, step)`: the numbers from `start` up to, not including, `end`.
///
/// Ours, because MiniJinja's counts in machine words: it overflows at the ends and differs between a component and its
/// host. The numbers are made while they are visited, and each visit is paid with fuel.
fn range(first: i64, second: Option<i64>, step: Option<i64>) -> Result<minijinja::Value, Error> {
    let (start, end) = second.map_or((0, first), |second| (first, second));
    let step = step.unwrap_or(1);
    let distance = match step {
        0 => return Err(Error::new(ErrorKind::InvalidOperation, "`range` cannot go in steps of 0")),
        1.. => i128::from(end) - i128::from(start),
        _ => i128::from(start) - i128::from(end),
    };
    let stride = i128::from(step.unsigned_abs());
    let count = (distance.max(0) + stride - 1) / stride;
    if count > MAX_RANGE {
        let message = format!("`range` makes at most {MAX_RANGE} numbers, not {count}");
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    }
    // Every number lies between the ends, so what wraps on the way comes back.
    Ok(minijinja::Value::make_iterable(move || {
        (0..count as i64).map(move |at| start.wrapping_add(at.wrapping_mul(step)))
    }))
}

/// A compiled expression; compile once, evaluate often.
pub struct Expression {
    compiled: minijinja::Expression<'static, 'static>,
    names: Vec<String>,
    source: String,
    fuel: Fuel,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source && self.fuel == other.fuel
    }
}

impl Expression {
    /// Compiles an expression with the standard budget; `source` is the text without braces.
    ///
    /// # Errors
    /// [`ExpressionError::Syntax`], [`ExpressionError::Unknown`] filters or tests, [`ExpressionError::TooLarge`].
    pub fn compile(source: &str) -> Result<Self, ExpressionError> {
        Self::compile_with(source, Fuel::Standard)
    }

    /// Compiles an expression that may spend `fuel` on each evaluation.
    ///
    /// # Errors
    /// As [`Expression::compile`].
    pub fn compile_with(source: &str, fuel: Fuel) -> Result<Self, ExpressionError> {
        let source = source.trim();
        check_size(source)?;
        let environment: &'static Environment<'static> = match fuel {
            Fuel::Standard => &STANDARD,
            Fuel::Condition => &CONDITION,
        };
        let compiled =
            environment.compile_expression_owned(source.to_owned()).map_err(|error| translate(&error, fuel))?;
        check_end(source, environment)?;
        check_calls(source, environment)?;
        let mut names: Vec<String> = compiled
            .undeclared_variables(false)
            .into_iter()
            .filter(|name| !environment.globals().any(|(global, _)| global == name))
            .collect();
        names.sort_unstable();
        Ok(Self { compiled, names, source: source.to_owned(), fuel })
    }

    /// The expression's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The free names, sorted: `inputs`, `item`, `nodes`, `params`, ….
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether the expression uses the free name.
    pub fn uses(&self, name: &str) -> bool {
        self.names.iter().any(|used| used == name)
    }

    /// An error if the expression uses a free name that is not among `allowed`.
    ///
    /// # Errors
    /// [`ExpressionError::Unknown`] with the nearest allowed name.
    pub fn check_names(&self, allowed: &[&str]) -> Result<(), ExpressionError> {
        let Some(unknown) = self.names.iter().find(|name| !allowed.contains(&name.as_str())) else { return Ok(()) };
        if let Some((name, meant)) = hyphenated(&self.source, unknown) {
            return Err(ExpressionError::Unknown {
                message: format!("`{name}` has a hyphen, which subtracts in an expression; write `{meant}`"),
                suggestion: Some(meant),
            });
        }
        Err(ExpressionError::Unknown {
            message: format!("`{unknown}` is not a name here; known are {}", quoted(allowed.iter().copied())),
            suggestion: nearest(unknown, allowed.iter().copied()),
        })
    }

    /// The expression's value.
    ///
    /// # Errors
    /// [`ExpressionError::Undefined`], [`ExpressionError::Fuel`], [`ExpressionError::Evaluation`] (wrong types,
    /// division by zero, a result that is not JSON: infinities, NaN, functions).
    pub fn evaluate(&self, variables: &Variables) -> Result<Value, ExpressionError> {
        let context =
            minijinja::Value::from_pairs(variables.values.iter().map(|(name, value)| (name.clone(), value.clone())));
        let value = self.compiled.eval(context).map_err(|error| translate(&error, self.fuel))?;
        let mut budget = self.fuel.units().saturating_mul(2);
        to_json(&value, MAX_RESULT_DEPTH, &mut budget, self.fuel)
    }
}

/// The text that a quoted string stands for.
pub(crate) fn literal(written: &str) -> Option<String> {
    STANDARD.compile_expression(written).ok()?.eval(()).ok()?.as_str().map(str::to_owned)
}

/// The values that an expression can name.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    values: BTreeMap<String, minijinja::Value>,
}

impl Variables {
    /// No names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds a name. The value is converted here, once, whatever the number of evaluations.
    pub fn set(&mut self, name: &str, value: &Value) {
        self.values.insert(name.to_owned(), minijinja::Value::from(minijinja::value::Serde(value)));
    }

    /// Binds a name and returns the set, for chains.
    #[must_use]
    pub fn with(mut self, name: &str, value: &Value) -> Self {
        self.set(name, value);
        self
    }
}

fn check_size(source: &str) -> Result<(), ExpressionError> {
    if source.is_empty() {
        return Err(ExpressionError::Syntax("the expression is empty".to_owned()));
    }
    if source.len() > MAX_EXPRESSION_BYTES {
        return Err(ExpressionError::TooLarge(format!(
            "the expression has {} bytes; at most {MAX_EXPRESSION_BYTES} are allowed",
            source.len()
        )));
    }
    // The compiler recurses on brackets, prefix operators and chains; bound them before it sees them.
    let (mut depth, mut operators) = (0usize, 0usize);
    let mut prefix = 0usize;
    for token in Tokens::new(source) {
        let is_prefix = match token {
            Token::Word("not") => true,
            Token::Word("and" | "or" | "if" | "else" | "in" | "is") => {
                operators += 1;
                false
            }
            Token::Symbol('(' | '[' | '{') => {
                depth += 1;
                operators += 1;
                false
            }
            Token::Symbol(')' | ']' | '}') => {
                depth = depth.saturating_sub(1);
                false
            }
            Token::Symbol('-') => {
                operators += 1;
                true
            }
            Token::Symbol(',') | Token::Word(_) | Token::Number(_) | Token::Text(_) => false,
            Token::Symbol(_) => {
                operators += 1;
                false
            }
        };
        prefix = if is_prefix { prefix + 1 } else { 0 };
        if depth > MAX_NESTING || prefix > MAX_NESTING {
            return Err(ExpressionError::TooLarge(format!(
                "the expression is nested deeper than {MAX_NESTING} levels"
            )));
        }
        if operators > MAX_OPERATORS {
            return Err(ExpressionError::TooLarge(format!("the expression has more than {MAX_OPERATORS} operators")));
        }
    }
    Ok(())
}

/// MiniJinja overlooks a character that it cannot read behind a filter, a test or a string, and drops everything from there
/// on: `items | length ? 1 : 2` would be `items | length`. Within brackets it cannot end early.
fn check_end(source: &str, environment: &Environment<'_>) -> Result<(), ExpressionError> {
    if environment.compile_expression(&format!("({source})")).is_ok() {
        return Ok(());
    }
    let unreadable = Tokens::new(source).find_map(|token| match token {
        Token::Symbol(symbol) if !"+-*/%.,:~|=!<>()[]{}".contains(symbol) => Some(symbol),
        _ => None,
    });
    Err(ExpressionError::Syntax(match unreadable {
        Some(symbol) => format!("not an expression: unexpected `{symbol}`"),
        None => "not an expression: it does not end where it should".to_owned(),
    }))
}

/// MiniJinja looks filters and tests up when it runs; a definition should hear about them when it is saved.
fn check_calls(source: &str, environment: &Environment<'_>) -> Result<(), ExpressionError> {
    let tokens: Vec<Token<'_>> = Tokens::new(source).collect();
    let mut state = environment.empty_state();
    for at in 0..tokens.len() {
        // `x.is` is a field.
        let field = at > 0 && tokens[at - 1] == Token::Symbol('.');
        let (what, rest) = match &tokens[at..] {
            [Token::Symbol('|'), rest @ ..] => ("filter", rest),
            [Token::Word("is"), Token::Word("not"), rest @ ..] if !field => ("test", rest),
            [Token::Word("is"), rest @ ..] if !field => ("test", rest),
            _ => continue,
        };
        let name = match rest {
            // A name may have dots; none that exists has any.
            [Token::Word(name), Token::Symbol('.'), Token::Word(more), ..] => Cow::Owned(format!("{name}.{more}")),
            [Token::Word(name), ..] => Cow::Borrowed(*name),
            _ => continue,
        };
        // A call with no argument: an unknown name is one error, wrong arguments are another.
        let kind = match what {
            "filter" => state.apply_filter(&name, &[]).err().map(|error| error.kind()),
            _ => state.perform_test(&name, &[]).err().map(|error| error.kind()),
        };
        if matches!(kind, Some(ErrorKind::UnknownFilter | ErrorKind::UnknownTest)) {
            let suggestion = if what == "filter" { nearest(&name, FILTERS.iter().copied()) } else { None };
            return Err(ExpressionError::Unknown { message: format!("there is no {what} `{name}`"), suggestion });
        }
    }
    Ok(())
}

/// Filters worth suggesting.
const FILTERS: [&str; 34] = [
    "abs",
    "attr",
    "batch",
    "bool",
    "chain",
    "count",
    "default",
    "dictsort",
    "first",
    "float",
    "format",
    "groupby",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "sort",
    "split",
    "sum",
    "unique",
    "upper",
];

fn translate(error: &minijinja::Error, fuel: Fuel) -> ExpressionError {
    let detail = error.detail().map_or_else(|| error.kind().to_string(), ToOwned::to_owned);
    match error.kind() {
        ErrorKind::OutOfFuel => ExpressionError::Fuel(fuel.units()),
        ErrorKind::UndefinedError => ExpressionError::Undefined(match error.detail() {
            Some(detail) => detail.to_owned(),
            None => "a value in the expression does not exist; `default(…)` can handle that".to_owned(),
        }),
        ErrorKind::InvalidOperation if lacks_operand(&detail) => {
            ExpressionError::Undefined(format!("{detail}; `default(…)` can handle what does not exist"))
        }
        ErrorKind::SyntaxError | ErrorKind::BadEscape => {
            ExpressionError::Syntax(format!("not an expression: {detail}"))
        }
        ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction | ErrorKind::UnknownMethod => {
            ExpressionError::Unknown { message: detail, suggestion: None }
        }
        _ => ExpressionError::Evaluation(detail),
    }
}

/// MiniJinja's arithmetic takes a value that does not exist for one of a wrong type.
fn lacks_operand(detail: &str) -> bool {
    let kinds = detail.split_once("operator on unsupported types ").map_or("", |(_, kinds)| kinds);
    kinds.split(' ').any(|kind| kind == "undefined")
}

fn to_json(value: &minijinja::Value, depth: usize, budget: &mut u64, fuel: Fuel) -> Result<Value, ExpressionError> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(ExpressionError::Evaluation(format!("the result is nested deeper than {MAX_RESULT_DEPTH} levels")));
    };
    *budget = budget.checked_sub(1).ok_or(ExpressionError::Fuel(fuel.units()))?;
    let not_json = |what: &str| ExpressionError::Evaluation(format!("the result is {what}, which is not a JSON value"));
    match value.kind() {
        ValueKind::Undefined => Err(ExpressionError::Undefined(
            "the expression's value does not exist; `default(…)` can handle that".to_owned(),
        )),
        ValueKind::None => Ok(Value::Null),
        ValueKind::Bool => Ok(Value::Bool(value.is_true())),
        ValueKind::Number => {
            if value.is_integer() {
                let number = i64::try_from(value.clone())
                    .map(Number::from)
                    .or_else(|_| u64::try_from(value.clone()).map(Number::from));
                return number.map(Value::Number).map_err(|_| not_json("an integer of more than 64 bits"));
            }
            let number = f64::try_from(value.clone()).ok().and_then(Number::from_f64);
            number.map(Value::Number).ok_or_else(|| not_json("not a finite number"))
        }
        ValueKind::String => Ok(Value::String(value.as_str().unwrap_or_default().to_owned())),
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter().map_err(|error| translate(&error, fuel))?;
            items.map(|item| to_json(&item, depth, budget, fuel)).collect::<Result<Vec<_>, _>>().map(Value::Array)
        }
        ValueKind::Map => {
            let mut object = Map::new();
            for key in value.try_iter().map_err(|error| translate(&error, fuel))? {
                let item = value.get_item(&key).map_err(|error| translate(&error, fuel))?;
                let key = key.as_str().map_or_else(|| key.to_string(), ToOwned::to_owned);
                object.insert(key, to_json(&item, depth, budget, fuel)?);
            }
            Ok(Value::Object(object))
        }
        other => Err(not_json(&format!("a {other}"))),
    }
}

/// For `nodes.my-node.count` and the unknown name `node`: `my-node`, and `nodes['my-node']`, which was meant.
fn hyphenated(source: &str, unknown: &str) -> Option<(String, String)> {
    let in_run = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    source.split(|c| !in_run(c)).find_map(|run| {
        let mut before = String::new();
        for segment in run.split('.') {
            let pieces: Vec<&str> = segment.split('-').collect();
            let joined = pieces.len() > 1 && pieces.iter().all(|piece| !piece.is_empty());
            if joined && pieces[1..].contains(&unknown) && !before.is_empty() {
                return Some((segment.to_owned(), format!("{before}['{segment}']")));
            }
            before = if before.is_empty() { segment.to_owned() } else { format!("{before}.{segment}") };
        }
        None
    })
}

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
