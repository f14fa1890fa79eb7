//! The configuration keys that ask a question, shared by every block that asks one.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use sightflow_block::{BlockError, ConfigType, Map, Problem, Value, json};
use sightflow_expressions::operators::{Conditions, Fault, OPERATORS};
use sightflow_expressions::{ConditionError, LogicMode};

/// An operator in any of its spellings; the schema renames aliases, and `check` refuses what is unknown.
#[derive(Debug, Clone, Deserialize)]
pub struct OperatorName(pub String);

impl ConfigType for OperatorName {
    fn schema() -> Value {
        let aliases: Map<String, Value> = OPERATORS
            .iter()
            .flat_map(|row| row.aliases.iter().map(|alias| ((*alias).to_owned(), Value::from(row.name))))
            .collect();
        let names: Vec<&str> = OPERATORS.iter().map(|row| row.name).collect();
        let meanings: Map<String, Value> =
            OPERATORS.iter().map(|row| (row.name.to_owned(), Value::from(row.meaning))).collect();
        json!({"type": "string", "examples": names, "x-value-aliases": aliases, "x-meanings": meanings})
    }
}

/// A list of conditions; `check` looks inside.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ConditionList(pub Vec<Value>);

impl ConfigType for ConditionList {
    fn schema() -> Value {
        json!({
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "field": {"type": "string", "description": "Path of the field; nothing means the whole value."},
                    "operator": OperatorName::schema(),
                    "value": {"description": "What the field is compared with."},
                    "type": {"type": "string", "examples": ["auto", "string", "number", "boolean", "field"]},
                    "ignore_case": {"type": "boolean"},
                },
            },
        })
    }
}

/// A logic mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub LogicMode);

impl Mode {
    /// The canonical name.
    pub fn name(self) -> &'static str {
        LogicMode::SPELLINGS.iter().find(|row| row.0 == self.0).map_or("all", |row| row.1)
    }
}

impl ConfigType for Mode {
    fn schema() -> Value {
        let names = LogicMode::SPELLINGS.map(|row| row.1);
        let rows = LogicMode::SPELLINGS.iter();
        let aliases: Map<String, Value> = rows
            .flat_map(|(_, name, aliases)| aliases.iter().map(|alias| ((*alias).to_owned(), Value::from(*name))))
            .collect();
        json!({"type": "string", "enum": names, "x-value-aliases": aliases})
    }
}

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        LogicMode::from_spelling(&name)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom(format_args!("there is no logic mode `{name}`")))
    }
}

/// A configuration with the keys of a question, and its own.
macro_rules! condition_config {
    ($(#[$attribute:meta])* pub struct $name:ident { $($own:tt)* }) => {
        $(#[$attribute])*
        #[derive(Debug, sightflow_block::Config)]
        pub struct $name {
            /// Path of the field that the condition looks at: `confidence`, `tags[0]`, `length`. Nothing means the whole value.
            pub field: Option<String>,
            /// How the field is compared. Without any operator the question is whether the field is true.
            #[config(widget = "operator")]
            pub operator: Option<$crate::keys::OperatorName>,
            /// What the field is compared with; operators such as `exists` take none.
            pub value: Option<sightflow_block::Value>,
            /// What both sides are converted to first. With `field` the value is a path in the same item.
            #[config(default = $crate::keys::Comparison::Auto)]
            pub r#type: $crate::keys::Comparison,
            /// Whether text is compared without regard to upper and lower case.
            #[config(default = false)]
            pub ignore_case: bool,
            /// Several conditions `{field, operator, value, type, ignore_case}` instead of the single one.
            #[config(widget = "conditions")]
            pub conditions: Option<$crate::keys::ConditionList>,
            /// How the answers of the conditions become one.
            #[config(default = $crate::keys::Mode(sightflow_expressions::LogicMode::All), aliases("logic"))]
            pub logic_mode: $crate::keys::Mode,
            /// For `logic_mode: custom`: an expression over the answers `c1`, `c2`, … and `value` and `params`, for example `(c1 and not c2) or c3`.
            #[config(template)]
            pub custom_expression: Option<String>,
            /// The parameters of the run.
            #[config(params)]
            pub params: sightflow_block::Value,
            $($own)*
        }

        impl $name {
            /// The keys of the question, as far as they were given.
            fn question(&mut self) -> sightflow_block::Map<String, sightflow_block::Value> {
                use sightflow_block::Value;
                let mut keys = sightflow_block::Map::new();
                let mut give = |key: &str, value: Option<Value>| value.and_then(|value| keys.insert(key.to_owned(), value));
                give("field", self.field.take().map(Value::String));
                give("operator", self.operator.take().map(|operator| Value::String(operator.0)));
                give("value", self.value.take());
                give("type", Some(Value::from(self.r#type.as_str())));
                give("ignore_case", Some(Value::Bool(self.ignore_case)));
                give("conditions", self.conditions.take().map(|conditions| Value::Array(conditions.0)));
                give("logic_mode", Some(Value::from(self.logic_mode.name())));
                give("custom_expression", self.custom_expression.take().map(Value::String));
                keys
            }
        }
    };
}
pub(crate) use condition_config;

/// What both sides of a comparison are converted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sightflow_block::Choice)]
pub enum Comparison {
    /// As the values are.
    Auto,
    /// Text.
    String,
    /// Numbers.
    Number,
    /// True or false.
    Boolean,
    /// The value is a path in the same item.
    Field,
}

/// The conditions of a configuration when the block runs; none if there are none.
pub fn conditions(keys: &Map<String, Value>) -> Result<Option<Conditions>, BlockError> {
    Conditions::parse(keys, "/config").map_err(|problems| bad_config(&problems))
}

/// Problems that only show when the block runs, because a value was a template.
pub fn bad_config(problems: &[Problem]) -> BlockError {
    let message = problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("; ");
    let key = problems.first().and_then(|problem| problem.pointer.strip_prefix("/config/")).unwrap_or_default();
    let key = key.split('/').next().unwrap_or_default().to_owned();
    BlockError::bad_config("bad_condition", message).key(key)
}

/// Why a condition has no answer, as the block's own error.
pub fn condition_error(error: ConditionError, port: &'static str) -> BlockError {
    match error.fault {
        Fault::BadInput => BlockError::bad_input(error.code, error.message).port(port),
        Fault::BadConfig => BlockError::bad_config(error.code, error.message).key("custom_expression"),
    }
}

/// A value on its way through a block: the text in which it came, or a new value.
#[derive(Debug, Clone)]
pub enum Carried {
    /// As it came.
    Text(Box<RawValue>),
    /// Made here.
    Value(Value),
}

impl Serialize for Carried {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Value(value) => value.serialize(serializer),
        }
    }
}
