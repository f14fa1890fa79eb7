//! `switch`: one value, one of several ways on.

use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use sightflow_block::{
    BlockError, CheckContext, Config, ConfigType, Example, Inputs, Map, NamedOutputs, Outputs, Port, PortKind, Problem,
    Value, block, json,
};
use sightflow_expressions::Condition;
use sightflow_expressions::raw::RawItem;

use crate::condition::object;
use crate::keys::{Carried, ConditionList, bad_config, condition_error};

/// The output of a value that fits no case.
const DEFAULT: &str = "default";

/// What `switch` decides about.
#[derive(Debug, Inputs)]
pub struct SwitchInputs {
    /// The value to decide about; it is passed on to the output that is taken.
    #[port(kind = "any")]
    pub value: Box<RawValue>,
}

/// The ways on.
#[derive(Debug, Config)]
pub struct SwitchConfig {
    /// The cases in order: `{name, operator, value}`, with `field`, `type` and `ignore_case` as in a condition. The first that
    /// is true is taken; each name is an output.
    #[config(widget = "cases")]
    pub cases: Cases,
}

/// A list of named conditions; `check` looks inside.
#[derive(Debug, Deserialize)]
pub struct Cases(pub Vec<Value>);

impl ConfigType for Cases {
    fn schema() -> Value {
        let mut schema = ConditionList::schema();
        schema["minItems"] = json!(1);
        schema["maxItems"] = json!(63);
        schema["items"]["required"] = json!(["name"]);
        schema["items"]["properties"]["name"] = json!({"type": "string", "description": "The output of this case."});
        schema
    }
}

/// The value on the one output that is taken.
#[derive(Debug)]
pub struct SwitchOutputs {
    port: String,
    value: Carried,
}

impl Outputs for SwitchOutputs {
    fn ports() -> Vec<Port> {
        vec![Port {
            name: DEFAULT.to_owned(),
            kind: PortKind::Any,
            required: false,
            many: false,
            exclusive: true,
            aliases: Vec::new(),
            description: "The input if no case is true; else everything that is wired here is skipped.".to_owned(),
        }]
    }

    fn named() -> Option<NamedOutputs> {
        Some(NamedOutputs { key: "cases".to_owned(), field: "name".to_owned() })
    }
}

impl Serialize for SwitchOutputs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(&self.port, &self.value)?;
        map.end()
    }
}

/// Passes a value on to the output of the first case that is true, else to `default`; what is wired to the others is
/// skipped.
#[block(category = "logic", icon = "split", aliases("switch_case"), check = check, examples = examples)]
pub fn switch(inputs: SwitchInputs, config: &SwitchConfig) -> Result<SwitchOutputs, BlockError> {
    let mut port = DEFAULT.to_owned();
    {
        let item = RawItem::new(&inputs.value);
        for (index, case) in config.cases.0.iter().enumerate() {
            let (name, condition) = read(index, case).map_err(|problems| bad_config(&problems))?;
            if condition.evaluate(&item).map_err(|error| condition_error(error, "value"))? {
                port = name;
                break;
            }
        }
    }
    Ok(SwitchOutputs { port, value: Carried::Text(inputs.value) })
}

/// The name and the condition of a case.
fn read(index: usize, case: &Value) -> Result<(String, Condition), Vec<Problem>> {
    let mut keys = case.clone();
    let name = keys.as_object_mut().and_then(|keys| keys.remove("name"));
    let condition = Condition::parse(&keys, &format!("/config/cases/{index}"))?;
    Ok((name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default(), condition))
}

/// Names are checked where they become outputs: by the planner.
fn check(_: &CheckContext, config: &Map<String, Value>) -> Vec<Problem> {
    let cases = config.get("cases").and_then(Value::as_array);
    let cases = cases.into_iter().flatten().enumerate();
    cases.flat_map(|(index, case)| read(index, case).err().unwrap_or_default()).collect()
}

fn examples() -> Vec<Example> {
    let sizes = json!({"cases": [
        {"name": "small", "field": "area", "operator": "<", "value": 0.1},
        {"name": "large", "field": "area", "operator": ">", "value": 0.5},
    ]});
    let example = |value: Value, outputs: Value| Example {
        inputs: [("value".to_owned(), value)].into_iter().collect(),
        config: object(sizes.clone()),
        outputs: object(outputs),
    };
    vec![
        example(json!({"area": 0.04}), json!({"small": {"area": 0.04}})),
        example(json!({"area": 0.3}), json!({"default": {"area": 0.3}})),
    ]
}
