//! `condition`: one value, two ways on.

use serde_json::value::RawValue;
use sightflow_block::{BlockError, CheckContext, Choice, Example, Inputs, Map, Outputs, Problem, Value, block, json};
use sightflow_expressions::operators::Conditions;
use sightflow_expressions::path::Lookup;
use sightflow_expressions::raw::RawItem;

use crate::keys::{Carried, condition_config, condition_error, conditions};

/// What `condition` decides about.
#[derive(Debug, Inputs)]
pub struct ConditionInputs {
    /// The value to decide about; it is passed on to the output that is taken.
    #[port(kind = "any")]
    pub value: Box<RawValue>,
}

condition_config! {
    /// The question and what follows from its answer.
    pub struct ConditionConfig {
        /// Turns the answer round.
        #[config(default = false)]
        pub invert: bool,
        /// Where to go when a condition has no answer, because the value does not fit it.
        #[config(default = OnError::Fail, aliases("default_branch"))]
        pub on_error: OnError,
        /// Delivered on `true_output` instead of the input.
        pub true_value: Option<Value>,
        /// Delivered on `false_output` instead of the input.
        pub false_value: Option<Value>,
        /// Whether to deliver `metadata`: each condition's answer and the value that it saw.
        #[config(default = false)]
        pub add_metadata: bool,
    }
}

/// The branch when a condition has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Choice)]
pub enum OnError {
    /// The node fails.
    #[choice(aliases("error"))]
    Fail,
    /// As if the answer were yes.
    True,
    /// As if the answer were no.
    False,
}

/// The answer, and the value on the branch that is taken.
#[derive(Debug, Outputs)]
pub struct ConditionOutputs {
    /// The answer.
    pub result: bool,
    /// The answer again.
    pub passed: bool,
    /// The input if the answer is yes; else everything that is wired here is skipped.
    #[port(kind = "any", exclusive, aliases("true", "then"))]
    pub true_output: Option<Carried>,
    /// The input if the answer is no; else everything that is wired here is skipped.
    #[port(kind = "any", exclusive, aliases("false", "else"))]
    pub false_output: Option<Carried>,
    /// Positions of the conditions that are true.
    #[port(kind = "numbers")]
    pub matched_conditions: Vec<usize>,
    /// With `add_metadata`: `{conditions: [{index, result, actual}]}`.
    #[port(kind = "object")]
    pub metadata: Option<Value>,
}

/// Asks one or several conditions about a value and passes it on to `true_output` or `false_output`; what is wired to the
/// other one is skipped.
#[block(category = "logic", icon = "git-branch", aliases("if"), check = check, examples = examples)]
pub fn condition(inputs: ConditionInputs, mut config: ConditionConfig) -> Result<ConditionOutputs, BlockError> {
    let mut keys = config.question();
    ask_about_the_whole(&mut keys, false);
    let asked = conditions(&keys)?.unwrap_or_else(|| Conditions::single(Default::default()));
    let (passed, answers, actual) = {
        let item = RawItem::new(&inputs.value);
        let verdict = asked.judge(&config.params).ask(&item);
        let passed = match (verdict.passed, config.on_error) {
            (Ok(passed), _) => passed != config.invert,
            (Err(error), OnError::Fail) => return Err(condition_error(error, "value")),
            (Err(error), branch) => match condition_error(error, "value") {
                BlockError::BadInput(_) => branch == OnError::True,
                other => return Err(other),
            },
        };
        let actual = |list: &[sightflow_expressions::Condition]| -> Vec<Value> {
            list.iter()
                .map(|condition| item.lookup(condition.field()).map_or(Value::Null, std::borrow::Cow::into_owned))
                .collect()
        };
        let actual = config.add_metadata.then(|| actual(asked.list()));
        (passed, verdict.answers, actual)
    };
    let matched_conditions =
        answers.iter().enumerate().filter(|(_, answer)| **answer == Ok(true)).map(|(index, _)| index).collect();
    let metadata = actual.map(|actual| {
        let conditions: Vec<Value> = answers
            .iter()
            .zip(actual)
            .enumerate()
            .map(|(index, (answer, actual))| json!({"index": index, "result": answer.as_ref().ok(), "actual": actual}))
            .collect();
        json!({ "conditions": conditions })
    });
    let instead = if passed { config.true_value } else { config.false_value };
    let taken = Some(instead.map_or_else(|| Carried::Text(inputs.value), Carried::Value));
    let (true_output, false_output) = if passed { (taken, None) } else { (None, taken) };
    Ok(ConditionOutputs { result: passed, passed, true_output, false_output, matched_conditions, metadata })
}

/// Without any condition the question is whether the whole value is true.
fn ask_about_the_whole(keys: &mut Map<String, Value>, list_comes_later: bool) {
    let asks = ["field", "operator", "value", "conditions"].iter().any(|key| keys.contains_key(*key));
    if !asks && !list_comes_later {
        keys.insert("field".to_owned(), Value::from(""));
    }
}

fn check(context: &CheckContext, config: &Map<String, Value>) -> Vec<Problem> {
    let mut keys = config.clone();
    ask_about_the_whole(&mut keys, context.is_dynamic("conditions"));
    Conditions::check(&keys, "/config", &context.dynamic)
}

fn examples() -> Vec<Example> {
    let example = |value: Value, config: Value, outputs: Value| Example {
        inputs: [("value".to_owned(), value)].into_iter().collect(),
        config: object(config),
        outputs: object(outputs),
    };
    vec![
        example(
            json!([{"class_name": "bottle"}, {"class_name": "can"}]),
            json!({"field": "length", "operator": ">", "value": 0}),
            json!({"result": true, "passed": true, "matched_conditions": [0], "true_output": [{"class_name": "bottle"}, {"class_name": "can"}]}),
        ),
        example(
            json!({"count": 3, "blurred": true}),
            json!({
                "conditions": [{"field": "count", "operator": ">=", "value": 3}, {"field": "blurred"}],
                "logic_mode": "custom",
                "custom_expression": "c1 AND NOT c2",
            }),
            json!({"result": false, "matched_conditions": [0, 1], "false_output": {"count": 3, "blurred": true}}),
        ),
    ]
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
