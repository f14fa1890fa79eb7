//! `map`: every item of a list becomes something else.

use serde_json::value::RawValue;
use sightflow_block::{
    BlockError, CheckContext, Example, Inputs, Map, Outputs, Problem, Value, block, json, pointer_token,
};
use sightflow_expressions::expression::ExpressionError;
use sightflow_expressions::path::{Lookup, Path};
use sightflow_expressions::raw::RawItem;
use sightflow_expressions::template::{ItemExpression, ItemTemplate, Shared};

use crate::condition::object;
use crate::keys::Carried;
use crate::transform::{Transform, transformed};

/// What `map` works on.
#[derive(Debug, Inputs)]
pub struct MapInputs {
    /// The items, of any kind.
    #[port(kind = "array", aliases("data", "array"))]
    pub items: Vec<Box<RawValue>>,
}

/// What each item becomes. At most one of `expression`, `extract_field` and `fields` is given; none of them is the item.
#[derive(Debug, sightflow_block::Config)]
pub struct MapConfig {
    /// An expression over `item`, `index`, `items` and `params`: `item.area * 100`.
    #[config(template, widget = "expression")]
    pub expression: Option<String>,
    /// Path of the item whose value is the result; null where it leads nowhere.
    pub extract_field: Option<String>,
    /// A new object: each name with a path of the item, or a text with `{{ expressions }}`.
    #[config(template)]
    pub fields: Option<Map<String, Value>>,
    /// A conversion of the result.
    #[config(default = Transform::None)]
    pub transform: Transform,
    /// Puts the result under this key on a copy of the item.
    #[config(min_length = 1)]
    pub output_field: Option<String>,
    /// Adds this key to the result, with `add_value`.
    #[config(min_length = 1)]
    pub add_field: Option<String>,
    /// The value of `add_field`.
    pub add_value: Option<Value>,
    /// The parameters of the run.
    #[config(params)]
    pub params: Value,
}

/// What became of the items.
#[derive(Debug, Outputs)]
pub struct MapOutputs {
    /// One result for each item, in the order of the input.
    #[port(kind = "array", aliases("items", "mapped"))]
    pub results: Vec<Carried>,
    /// Number of results.
    pub count: usize,
}

/// How an item becomes a value.
#[derive(Debug)]
enum Maker {
    Same,
    Path(Path),
    Expression(ItemExpression),
    Fields(Vec<(String, Field)>),
}

/// One entry of `fields`.
#[derive(Debug)]
enum Field {
    Path(Path),
    Template(ItemTemplate),
}

/// A problem with one of the configuration's texts: the key, the code, the message, what was probably meant.
type Flaw = (String, &'static str, String, Option<String>);

impl Maker {
    /// The one of `expression`, `extract_field` and `fields` that is given.
    fn new(
        expression: Option<&str>,
        extract_field: Option<&str>,
        fields: Option<&Map<String, Value>>,
    ) -> Result<Self, Vec<Flaw>> {
        let path = |key: &str, text: &str| {
            Path::parse(text).map_err(|error| (key.to_owned(), "E-CONFIG", error.to_string(), None))
        };
        match (expression, extract_field, fields) {
            (None, None, None) => Ok(Self::Same),
            (Some(source), None, None) => ItemExpression::compile(source)
                .map(Self::Expression)
                .map_err(|error| vec![flaw("expression".to_owned(), error)]),
            (None, Some(text), None) => path("extract_field", text).map(Self::Path).map_err(|flaw| vec![flaw]),
            (None, None, Some(fields)) => {
                let (mut made, mut flaws) = (Vec::with_capacity(fields.len()), Vec::new());
                for (name, value) in fields {
                    let key = format!("fields/{}", pointer_token(name));
                    let field = match value {
                        Value::String(text) if text.contains("{{") => {
                            ItemTemplate::compile(text).map(Field::Template).map_err(|error| flaw(key, error))
                        }
                        Value::String(text) => path(&key, text).map(Field::Path),
                        other => Err((
                            key,
                            "E-CONFIG",
                            format!("a field is a path or a text with `{{{{ }}}}`, not {other}"),
                            None,
                        )),
                    };
                    match field {
                        Ok(field) => made.push((name.clone(), field)),
                        Err(flaw) => flaws.push(flaw),
                    }
                }
                if flaws.is_empty() { Ok(Self::Fields(made)) } else { Err(flaws) }
            }
            _ => {
                let key = if expression.is_some() && extract_field.is_some() { "extract_field" } else { "fields" };
                Err(vec![(key.to_owned(), "E-CONFIG", ONE_OF.to_owned(), None)])
            }
        }
    }

    fn uses(&self, name: &str) -> bool {
        match self {
            Self::Expression(expression) => expression.uses(name),
            Self::Fields(fields) => {
                fields.iter().any(|(_, field)| matches!(field, Field::Template(template) if template.uses(name)))
            }
            Self::Same | Self::Path(_) => false,
        }
    }

    /// The value that the item becomes; none if it stays as it is.
    fn make(&self, item: &RawItem<'_>, index: usize, shared: &Shared) -> Result<Option<Value>, ExpressionError> {
        let at = |path: &Path| item.lookup(path).map_or(Value::Null, std::borrow::Cow::into_owned);
        Ok(Some(match self {
            Self::Same => return Ok(None),
            Self::Path(path) => at(path),
            Self::Expression(expression) => expression.evaluate(item, index, shared)?,
            Self::Fields(fields) => {
                let mut object = Map::new();
                for (name, field) in fields {
                    let value = match field {
                        Field::Path(path) => at(path),
                        Field::Template(template) => template.evaluate(item, index, shared)?,
                    };
                    object.insert(name.clone(), value);
                }
                Value::Object(object)
            }
        }))
    }
}

const ONE_OF: &str = "give only one of `expression`, `extract_field` and `fields`";

fn flaw(key: String, error: ExpressionError) -> Flaw {
    match error {
        ExpressionError::Unknown { message, suggestion } => (key, "E-EXPRESSION", message, suggestion),
        other => (key, "E-EXPRESSION", other.to_string(), None),
    }
}

/// Makes something new of every item of a list: the value of an expression, one field, or an object of several; converts it
/// if asked, and can put it back onto a copy of the item.
#[block(category = "logic", icon = "arrow-right-left", check = check, examples = examples)]
pub fn map(inputs: &MapInputs, config: &MapConfig) -> Result<MapOutputs, BlockError> {
    let maker = Maker::new(config.expression.as_deref(), config.extract_field.as_deref(), config.fields.as_ref())
        .map_err(|flaws| {
            let (key, _, message, _) = flaws.into_iter().next().unwrap_or_default();
            BlockError::bad_config("bad_expression", message).key(key)
        })?;
    if config.add_field.is_some() != config.add_value.is_some() {
        return Err(BlockError::bad_config("add_field", ADD_BOTH).key("add_field"));
    }
    let all = || Value::Array(inputs.items.iter().map(|text| RawItem::new(text).to_value()).collect());
    let shared = Shared::new(|name| maker.uses(name), &config.params, all);
    let mut results = Vec::with_capacity(inputs.items.len());
    for (index, text) in inputs.items.iter().enumerate() {
        let item = RawItem::new(text);
        let made = maker.make(&item, index, &shared).map_err(|error| expression_error(&maker, error).index(index))?;
        results.push(finish(config, &item, made).map_err(|error| error.port("items").index(index))?);
    }
    Ok(MapOutputs { count: results.len(), results })
}

const ADD_BOTH: &str = "`add_field` and `add_value` belong together";

/// Converts a result and puts it where it belongs.
fn finish(config: &MapConfig, item: &RawItem<'_>, made: Option<Value>) -> Result<Carried, BlockError> {
    if made.is_none()
        && config.transform == Transform::None
        && config.output_field.is_none()
        && config.add_field.is_none()
    {
        return Ok(Carried::Text(item.as_raw().to_owned()));
    }
    let mut value = transformed(made.unwrap_or_else(|| item.to_value()), config.transform)?;
    if let Some(key) = &config.output_field {
        let Value::Object(mut copy) = item.to_value() else {
            return Err(no_object("output_field", &item.to_value()));
        };
        copy.insert(key.clone(), value);
        value = Value::Object(copy);
    }
    if let (Some(key), Some(added)) = (&config.add_field, &config.add_value) {
        match &mut value {
            Value::Object(object) => _ = object.insert(key.clone(), added.clone()),
            other => return Err(no_object("add_field", other)),
        }
    }
    Ok(Carried::Value(value))
}

fn no_object(key: &str, value: &Value) -> BlockError {
    BlockError::bad_input("bad_type", format!("`{key}` needs an object to put a key on, not {value}"))
}

/// Data or configuration: only running out of fuel is the configuration's fault.
fn expression_error(maker: &Maker, error: ExpressionError) -> BlockError {
    let key = if matches!(maker, Maker::Fields(_)) { "fields" } else { "expression" };
    match error {
        ExpressionError::Fuel(_) => BlockError::bad_config("fuel", error.to_string()).key(key),
        ExpressionError::Undefined(_) => BlockError::bad_input("undefined", error.to_string()).port("items"),
        other => BlockError::bad_input("expression", other.to_string()).port("items"),
    }
}

fn check(context: &CheckContext, config: &Map<String, Value>) -> Vec<Problem> {
    let text = |key: &str| config.get(key).and_then(Value::as_str);
    let fields = config.get("fields").and_then(Value::as_object);
    let flaws = Maker::new(text("expression"), text("extract_field"), fields).err().unwrap_or_default();
    let mut problems: Vec<Problem> = flaws
        .into_iter()
        .map(|(key, code, message, suggestion)| {
            Problem::new(code, format!("/config/{key}"), message).suggest(suggestion)
        })
        .collect();
    let set = |key: &str| context.is_dynamic(key) || config.contains_key(key);
    if set("extract_field") && config.get("extract_field").is_none() && (set("expression") || set("fields")) {
        problems.push(Problem::new("E-CONFIG", "/config/extract_field", ONE_OF));
    }
    if set("add_field") != set("add_value") {
        let given = if set("add_field") { "add_field" } else { "add_value" };
        problems.push(Problem::new("E-CONFIG", format!("/config/{given}"), ADD_BOTH));
    }
    problems
}

fn examples() -> Vec<Example> {
    let items = json!({"items": [{"area": 0.125}, {"area": 0.02}]});
    vec![
        Example {
            inputs: object(items.clone()),
            config: object(json!({"expression": "item.area * 100"})),
            outputs: object(json!({"results": [12.5, 2.0], "count": 2})),
        },
        Example {
            inputs: object(items),
            config: object(json!({"fields": {"percent": "{{ (item.area * 100) | round | int }} %", "area": "area"}})),
            outputs: object(json!({"results": [{"percent": "12 %", "area": 0.125}, {"percent": "2 %", "area": 0.02}]})),
        },
    ]
}
