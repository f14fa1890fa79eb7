//! Expressions and templates over one item of a list, which blocks evaluate themselves.

use std::borrow::Cow;

use serde_json::Value;

use crate::expression::{Expression, ExpressionError, Variables};
use crate::path::{Lookup, Path, Step};
use crate::tokens::closing;

/// The names that an item's expression can use.
pub const ITEM_NAMES: [&str; 4] = ["item", "index", "items", "params"];

/// An expression over an item: MiniJinja over `item`, `index`, `items`, `params`. A plain path is looked up without an
/// evaluation, and is null where it leads nowhere.
#[derive(Debug)]
pub enum ItemExpression {
    /// `item.a.b[0]`.
    Path(Path),
    /// Anything else.
    Expression(Box<Expression>),
}

/// Text with `{{ expressions }}` over an item. Where one expression is the whole text, its value keeps its type.
#[derive(Debug)]
pub enum ItemTemplate {
    /// The whole text is one expression.
    Whole(ItemExpression),
    /// Pieces that are joined as text.
    Text(Vec<Piece>),
}

/// A piece of a text.
#[derive(Debug)]
pub enum Piece {
    /// Text as it is.
    Literal(String),
    /// An expression whose value is written out; null writes nothing.
    Expression(ItemExpression),
}

/// The names that are the same for every item, bound once.
#[derive(Debug, Clone, Default)]
pub struct Shared(Variables);

impl ItemExpression {
    /// Compiles an expression; braces around the whole of it are allowed.
    ///
    /// # Errors
    /// As [`Expression::compile`], and unknown names.
    pub fn compile(source: &str) -> Result<Self, ExpressionError> {
        let source = source.trim();
        let inside = source.strip_prefix("{{").and_then(|inside| inside.strip_suffix("}}")).unwrap_or(source).trim();
        if let Some(path) = item_path(inside) {
            return Ok(Self::Path(path));
        }
        let expression = Expression::compile(inside)?;
        expression.check_names(&ITEM_NAMES)?;
        Ok(Self::Expression(Box::new(expression)))
    }

    /// Whether the expression uses the name.
    pub fn uses(&self, name: &str) -> bool {
        match self {
            Self::Path(_) => name == "item",
            Self::Expression(expression) => expression.uses(name),
        }
    }

    /// The value for the item at `index`.
    ///
    /// # Errors
    /// As [`Expression::evaluate`].
    pub fn evaluate(
        &self,
        item: &(impl Lookup + ?Sized),
        index: usize,
        shared: &Shared,
    ) -> Result<Value, ExpressionError> {
        match self {
            Self::Path(path) => Ok(item.lookup(path).map_or(Value::Null, Cow::into_owned)),
            Self::Expression(expression) => {
                let mut variables = shared.0.clone();
                if expression.uses("item")
                    && let Some(item) = item.lookup(&Path::default())
                {
                    variables.set("item", &item);
                }
                if expression.uses("index") {
                    variables.set("index", &Value::from(index));
                }
                expression.evaluate(&variables)
            }
        }
    }
}

impl ItemTemplate {
    /// Compiles a text with `{{ }}`.
    ///
    /// # Errors
    /// As [`ItemExpression::compile`], and braces that are not closed.
    pub fn compile(text: &str) -> Result<Self, ExpressionError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            let inside = &rest[start + 2..];
            let end =
                closing(inside).ok_or_else(|| ExpressionError::Syntax(format!("`{text}`: `{{{{` is not closed")))?;
            let expression = ItemExpression::compile(&inside[..end])?;
            let after = &inside[end + 2..];
            if pieces.is_empty() && rest[..start].trim().is_empty() && after.trim().is_empty() {
                return Ok(Self::Whole(expression));
            }
            if start > 0 {
                pieces.push(Piece::Literal(rest[..start].to_owned()));
            }
            pieces.push(Piece::Expression(expression));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.to_owned()));
        }
        Ok(Self::Text(pieces))
    }

    /// Whether any of its expressions uses the name.
    pub fn uses(&self, name: &str) -> bool {
        match self {
            Self::Whole(expression) => expression.uses(name),
            Self::Text(pieces) => {
                pieces.iter().any(|piece| matches!(piece, Piece::Expression(expression) if expression.uses(name)))
            }
        }
    }

    /// The value for the item at `index`: of any type if the whole text is one expression, else a string.
    ///
    /// # Errors
    /// As [`Expression::evaluate`].
    pub fn evaluate(
        &self,
        item: &(impl Lookup + ?Sized),
        index: usize,
        shared: &Shared,
    ) -> Result<Value, ExpressionError> {
        match self {
            Self::Whole(expression) => expression.evaluate(item, index, shared),
            Self::Text(pieces) => {
                let mut text = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Literal(literal) => text.push_str(literal),
                        Piece::Expression(expression) => match expression.evaluate(item, index, shared)? {
                            Value::Null => {}
                            Value::String(part) => text.push_str(&part),
                            other => text.push_str(&other.to_string()),
                        },
                    }
                }
                Ok(Value::String(text))
            }
        }
    }
}

impl Shared {
    /// Binds `params`, and `items` from the function if `uses` says that a name is used.
    pub fn new(uses: impl Fn(&str) -> bool, params: &Value, items: impl FnOnce() -> Value) -> Self {
        let mut variables = Variables::new();
        if uses("params") {
            variables.set("params", params);
        }
        if uses("items") {
            variables.set("items", &items());
        }
        Self(variables)
    }
}

/// The path of `item`, `item.a`, `item["odd key"][0]`; none for anything that is not only a path.
fn item_path(source: &str) -> Option<Path> {
    let rest = source.strip_prefix("item").filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']))?;
    let plain = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let path = Path::parse(source).ok()?;
    let steps = path.steps().get(1..)?;
    // Inside of brackets and names of a path there may be text that is an operator in an expression.
    let written = Path::from_steps([&[Step::Name("item".to_owned())], steps].concat()).to_string();
    let only = steps.iter().all(|step| match step {
        Step::Name(name) => plain(name) && !name.starts_with(|c: char| c.is_ascii_digit()),
        Step::Key(_) | Step::Index(_) => true,
    });
    (only && (rest.is_empty() || written == source)).then(|| Path::from_steps(steps.to_vec()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn evaluate(template: &str, item: &Value) -> Result<Value, ExpressionError> {
        let template = ItemTemplate::compile(template)?;
        let shared = Shared::new(|name| template.uses(name), &json!({"unit": "px"}), || json!([1, 2, 3]));
        template.evaluate(item, 7, &shared)
    }

    #[test]
    fn plain_paths_need_no_evaluation() {
        for (source, path) in [
            ("item", Some(".")),
            ("item.a", Some("a")),
            ("{{ item.bbox.x1 }}", Some("bbox.x1")),
            ("item.tags[-1].b", Some("tags[-1].b")),
            ("item[\"odd key\"]", Some("[\"odd key\"]")),
            ("item.length", Some("length")),
            ("items", None),
            ("item.a * 100", None),
            ("item.a-1", None),
            ("item.a | round", None),
            ("item.a if item.b else 1", None),
            ("item[0] + 1", None),
            ("item[index]", None),
            ("item.f()", None),
            ("index", None),
        ] {
            let compiled = ItemExpression::compile(source).unwrap();
            let found = match &compiled {
                ItemExpression::Path(path) => Some(path.to_string()),
                ItemExpression::Expression(_) => None,
            };
            assert_eq!(found.as_deref(), path, "{source}");
        }
    }

    #[test]
    fn writes_values() {
        let item = json!({"class_name": "can", "confidence": 0.926, "n": 3, "none": null, "box": {"x1": 1}});
        for (template, expected) in [
            ("{{ item.n }}", json!(3)),
            (" {{ item.n * 2 }} ", json!(6)),
            ("{{ item.class }} {{ (item.confidence * 100) | round | int }}%", json!("can 93%")),
            ("#{{ index }}/{{ items | length }}", json!("#7/3")),
            ("{{ item.n }}{{ params.unit }}", json!("3px")),
            ("{{ item.nowhere }}", json!(null)),
            ("<{{ item.none }}{{ item.nowhere }}>", json!("<>")),
            ("{{ item.box }}!", json!("{\"x1\":1}!")),
            ("{{ {'a': item.n} }}", json!({"a": 3})),
            ("{{ '}}' }}", json!("}}")),
            ("plain", json!("plain")),
            ("", json!("")),
        ] {
            assert_eq!(evaluate(template, &item), Ok(expected), "{template}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (template, message) in [
            ("{{ item.n", "not closed"),
            ("{{ }}", "empty"),
            ("{{ item.n + }}", "not an expression"),
            ("{{ nodes.a }}", "`nodes` is not a name here"),
            ("{{ item.n | frob }}", "no filter `frob`"),
        ] {
            let error = ItemTemplate::compile(template).unwrap_err().to_string();
            assert!(error.contains(message), "{template}: {error}");
        }
        assert!(matches!(
            evaluate("{{ item.nowhere * 2 }}", &json!({})),
            Err(ExpressionError::Undefined(_) | ExpressionError::Evaluation(_))
        ));
        assert!(matches!(
            evaluate("{{ range(99999) | map('string') | list | length }}", &json!({})),
            Err(ExpressionError::Fuel(_) | ExpressionError::Evaluation(_))
        ));
    }
}
