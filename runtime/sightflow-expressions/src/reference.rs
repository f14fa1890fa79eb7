//! References (`$nodes.detect.detections[0].class_name`) and templates (`{{ params.threshold * 2 }}`) in definitions.
//!
//! A [`Template`] is compiled once, when a workflow is planned; it knows statically which inputs, parameters and node
//! outputs it names, because a reference to a node is a dependency exactly as an edge is.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::expression::{Expression, ExpressionError, Variables, literal};
use crate::path::{Lookup, Path, Step};
pub use crate::spelling::nearest;
use crate::tokens::{Token, Tokens, closing};

/// The free names of an expression outside loops.
pub const ROOT_NAMES: [&str; 3] = ["inputs", "params", "nodes"];

/// The further names of an expression in a loop; each is a value of the innermost one.
pub const LOOP_NAMES: [(&str, Root); 3] = [("item", Root::Item), ("index", Root::Index), ("total", Root::Total)];

/// Every name that an expression can use.
const NAMES: [&str; 6] = ["inputs", "params", "nodes", "item", "index", "total"];

/// Longest text that a template makes, in bytes.
const MAX_TEXT_BYTES: usize = 16 << 20;

/// What a reference starts from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Root {
    /// `$inputs.<name>`: part of the run's input.
    Input(String),
    /// `$params.<name>`: a run parameter.
    Param(String),
    /// `$nodes.<id>.<port>`: one output of a node.
    Port {
        /// The node.
        node: String,
        /// Its output port.
        port: String,
    },
    /// `$nodes.<id>.*`: an object of all outputs of a node.
    Node(String),
    /// `{{ item }}`: what the loop is about to work on.
    Item,
    /// `{{ index }}`: the item's position, from 0.
    Index,
    /// `{{ total }}`: how many items the loop has.
    Total,
}

/// A parsed reference: where it starts and the path below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Where it starts.
    pub root: Root,
    path: Path,
    text: String,
}

/// A text of a definition that is not a plain literal.
#[derive(Debug, PartialEq)]
pub enum Template {
    /// `$nodes.a.b`: the value, with its type.
    Reference(Reference),
    /// `{{ … }}` as the whole text: the value, with its type.
    Expression(Compiled),
    /// Text with `{{ … }}` inside: a string.
    Text(Vec<Piece>),
}

/// Part of an interpolated text.
#[derive(Debug, PartialEq)]
pub enum Piece {
    /// Taken as it stands.
    Literal(String),
    /// Replaced by its value: strings as they are, null as nothing, everything else as JSON.
    Expression(Compiled),
}

/// An expression and what it names.
#[derive(Debug, PartialEq)]
pub struct Compiled {
    expression: Expression,
    roots: Vec<Root>,
}

/// A problem in a reference or template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// `E-REFERENCE` or `E-EXPRESSION`.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

/// Gives a template the values that it names.
pub trait Resolve {
    /// The value at `root`; `None` where it is absent: a skipped node, a parameter that was not given.
    fn resolve(&self, root: &Root) -> Option<Cow<'_, Value>>;
}

/// What a template evaluates to.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolved {
    /// A value.
    Value(Value),
    /// It refers to an absent value: the key it stands for is treated as not given.
    Absent,
}

impl From<ExpressionError> for TemplateError {
    fn from(error: ExpressionError) -> Self {
        let suggestion = match &error {
            ExpressionError::Unknown { suggestion, .. } => suggestion.clone(),
            _ => None,
        };
        Self { code: error.code(), message: error.to_string(), suggestion }
    }
}

fn reference_error(message: impl Into<String>) -> TemplateError {
    TemplateError { code: "E-REFERENCE", message: message.into(), suggestion: None }
}

impl Template {
    /// Parses a text of a definition. `Ok(Err(literal))` is a plain text, with a leading `$$` reduced to `$`.
    ///
    /// # Errors
    /// A malformed reference (`E-REFERENCE`) or expression (`E-EXPRESSION`).
    pub fn parse(text: &str) -> Result<Result<Self, Cow<'_, str>>, TemplateError> {
        if let Some(literal) = text.strip_prefix("$$") {
            return Ok(Err(Cow::Owned(format!("${literal}"))));
        }
        if text.starts_with('$') {
            return Reference::parse(text).map(|reference| Ok(Self::Reference(reference)));
        }
        if text.contains("{%") && text.contains("%}") {
            return Err(TemplateError {
                code: "E-EXPRESSION",
                message: "statements (`{% … %}`) are not part of the language; use an expression in `{{ … }}`"
                    .to_owned(),
                suggestion: None,
            });
        }
        if !text.contains("{{") {
            return Ok(Err(Cow::Borrowed(text)));
        }
        Self::parse_pieces(text).map(Ok)
    }

    /// Whether a text is a reference or holds an expression, without compiling it.
    pub fn is_template(text: &str) -> bool {
        (text.starts_with('$') && !text.starts_with("$$"))
            || text.contains("{{")
            || (text.contains("{%") && text.contains("%}"))
    }

    fn parse_pieces(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            if start > 0 {
                pieces.push(Piece::Literal(rest[..start].to_owned()));
            }
            let inside = &rest[start + 2..];
            let end = closing(inside).ok_or_else(|| TemplateError {
                code: "E-EXPRESSION",
                message: "`{{` is never closed by `}}`".to_owned(),
                suggestion: None,
            })?;
            pieces.push(Piece::Expression(Compiled::compile(&inside[..end])?));
            rest = &inside[end + 2..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.to_owned()));
        }
        if pieces.len() == 1
            && let Some(Piece::Expression(_)) = pieces.first()
        {
            let Some(Piece::Expression(compiled)) = pieces.pop() else { unreachable!("just seen") };
            return Ok(Self::Expression(compiled));
        }
        Ok(Self::Text(pieces))
    }

    /// Everything that the template names.
    pub fn roots(&self) -> impl Iterator<Item = &Root> {
        let (single, pieces) = match self {
            Self::Reference(reference) => (std::slice::from_ref(&reference.root), &[][..]),
            Self::Expression(compiled) => (compiled.roots.as_slice(), &[][..]),
            Self::Text(pieces) => (&[][..], pieces.as_slice()),
        };
        let nested = pieces.iter().flat_map(|piece| match piece {
            Piece::Literal(_) => &[][..],
            Piece::Expression(compiled) => compiled.roots.as_slice(),
        });
        single.iter().chain(nested)
    }

    /// The template's value.
    ///
    /// # Errors
    /// `E-REFERENCE` for a path that leads nowhere in a value that is there, `E-EXPRESSION` for everything else.
    pub fn evaluate(&self, values: &dyn Resolve) -> Result<Resolved, TemplateError> {
        match self {
            Self::Reference(reference) => match values.resolve(&reference.root) {
                None => Ok(Resolved::Absent),
                Some(value) => reference.below(&value).map(|found| Resolved::Value(found.into_owned())),
            },
            Self::Expression(compiled) => compiled.evaluate(values),
            Self::Text(pieces) => {
                let mut text = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Literal(literal) => text.push_str(literal),
                        Piece::Expression(compiled) => match compiled.evaluate(values)? {
                            Resolved::Absent => return Ok(Resolved::Absent),
                            Resolved::Value(Value::Null) => {}
                            Resolved::Value(Value::String(part)) => text.push_str(&part),
                            Resolved::Value(other) => text.push_str(&other.to_string()),
                        },
                    }
                    if text.len() > MAX_TEXT_BYTES {
                        let message = format!("the text would have more than {MAX_TEXT_BYTES} bytes");
                        return Err(TemplateError { code: "E-EXPRESSION", message, suggestion: None });
                    }
                }
                Ok(Resolved::Value(Value::String(text)))
            }
        }
    }
}

impl Reference {
    /// Parses `$inputs.name…`, `$params.name…`, `$nodes.id.port…` or `$nodes.id.*`.
    ///
    /// # Errors
    /// `E-REFERENCE` that says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let inside = text
            .strip_prefix('$')
            .ok_or_else(|| reference_error(format!("`{text}` is not a reference: it does not begin with `$`")))?;
        let (inside, all) = match inside.strip_suffix(".*") {
            Some(inside) => (inside, true),
            None => (inside, false),
        };
        let path =
            Path::parse(inside).map_err(|error| reference_error(format!("`{text}` is not a reference: {error}")))?;
        let mut steps = path.steps().iter();
        let mut name = || match steps.next() {
            Some(Step::Name(name) | Step::Key(name)) => Some(name.clone()),
            _ => None,
        };
        let space = name().unwrap_or_default();
        if !ROOT_NAMES.contains(&space.as_str()) {
            return Err(if LOOP_NAMES.iter().any(|(name, _)| *name == space) {
                let message = format!("`${space}` does not exist; what a loop is at stands in an expression");
                TemplateError { suggestion: Some(format!("{{{{ {inside} }}}}")), ..reference_error(message) }
            } else {
                let message = format!(
                    "`${space}` does not exist; there are `$inputs`, `$params` and `$nodes`, and `$$` writes a literal `$`"
                );
                let suggestion = nearest(&space, ROOT_NAMES.into_iter()).map(|name| format!("${name}"));
                TemplateError { suggestion, ..reference_error(message) }
            });
        }
        let Some(first) = name() else {
            return Err(reference_error(format!("`{text}` names nothing: write `${space}.<name>`")));
        };
        let root = match (space.as_str(), all) {
            ("inputs", false) => Root::Input(first),
            ("params", false) => Root::Param(first),
            ("nodes", true) => Root::Node(first),
            ("nodes", false) => {
                let message = || reference_error(format!("`{text}` names no output: write `$nodes.{first}.<port>`"));
                let port = name().ok_or_else(message)?;
                Root::Port { node: first, port }
            }
            _ => return Err(reference_error(format!("`{text}`: `*` stands for all outputs of a node only"))),
        };
        let rest: Vec<Step> = steps.cloned().collect();
        if all && !rest.is_empty() {
            return Err(reference_error(format!("`{text}`: `*` can only follow the node")));
        }
        if path.steps().iter().any(|step| matches!(step, Step::Name(name) if name.contains(|c: char| c.is_whitespace() || "{}()|+/,".contains(c)))) {
            return Err(reference_error(format!("`{text}` is not a reference; calculations go into `{{{{ … }}}}`")));
        }
        Ok(Self { root, path: Path::from_steps(rest), text: text.to_owned() })
    }

    /// True where nothing follows the root.
    pub fn is_whole(&self) -> bool {
        self.path.is_whole()
    }

    /// Follows the path below the root in `value`.
    ///
    /// # Errors
    /// `E-REFERENCE` for a path that leads nowhere.
    pub fn below<'v>(&self, value: &'v Value) -> Result<Cow<'v, Value>, TemplateError> {
        value.lookup(&self.path).ok_or_else(|| {
            reference_error(format!("`{}` leads nowhere: `{}` is {}", self.text, self.root, describe(value)))
        })
    }
}

impl std::fmt::Display for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Input(name) => write!(f, "$inputs.{name}"),
            Self::Param(name) => write!(f, "$params.{name}"),
            Self::Port { node, port } => write!(f, "$nodes.{node}.{port}"),
            Self::Node(node) => write!(f, "$nodes.{node}.*"),
            Self::Item => f.write_str("item"),
            Self::Index => f.write_str("index"),
            Self::Total => f.write_str("total"),
        }
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "a boolean".to_owned(),
        Value::Number(_) => "a number".to_owned(),
        Value::String(_) => "a string".to_owned(),
        Value::Array(items) => format!("an array of {}", items.len()),
        Value::Object(object) => {
            let keys: Vec<&str> = object.keys().take(8).map(String::as_str).collect();
            format!("an object with the keys {}", if keys.is_empty() { "(none)".to_owned() } else { keys.join(", ") })
        }
    }
}

impl Compiled {
    /// Compiles an expression of a definition: its names are `inputs`, `params` and `nodes`, and what it takes from
    /// them is known without running it; besides [`LOOP_NAMES`], which mean something in loops only.
    ///
    /// # Errors
    /// As [`Expression::compile`]; unknown names; `E-REFERENCE` for `nodes` and the others used as a whole.
    pub fn compile(source: &str) -> Result<Self, TemplateError> {
        let expression = Expression::compile(source)?;
        expression.check_names(&NAMES)?;
        let mut roots = roots_of(expression.source())?;
        roots.extend(LOOP_NAMES.into_iter().filter(|(name, _)| expression.uses(name)).map(|(_, root)| root));
        Ok(Self { expression, roots })
    }

    /// The expression's text.
    pub fn source(&self) -> &str {
        self.expression.source()
    }

    /// What the expression names.
    pub fn roots(&self) -> &[Root] {
        &self.roots
    }

    fn evaluate(&self, values: &dyn Resolve) -> Result<Resolved, TemplateError> {
        let (mut inputs, mut params) = (Map::new(), Map::new());
        let mut nodes: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        let mut variables = Variables::new();
        let mut absent = false;
        for root in &self.roots {
            let value = values.resolve(root);
            absent |= value.is_none();
            if let (Some((name, _)), Some(value)) = (LOOP_NAMES.iter().find(|(_, own)| own == root), &value) {
                variables.set(name, value);
                continue;
            }
            let value = value.map(Cow::into_owned);
            match root {
                Root::Input(name) => {
                    inputs.extend(value.map(|value| (name.clone(), value)));
                }
                Root::Param(name) => {
                    params.extend(value.map(|value| (name.clone(), value)));
                }
                Root::Port { node, port } => {
                    nodes.entry(node).or_default().extend(value.map(|value| (port.clone(), value)));
                }
                Root::Node(node) => {
                    if let Some(Value::Object(all)) = value {
                        nodes.entry(node).or_default().extend(all);
                    }
                }
                Root::Item | Root::Index | Root::Total => {}
            }
        }
        let nodes = nodes.into_iter().map(|(id, ports)| (id.to_owned(), Value::Object(ports))).collect();
        for (name, object) in [("inputs", inputs), ("params", params), ("nodes", nodes)] {
            if self.expression.uses(name) {
                variables.set(name, &Value::Object(object));
            }
        }
        match self.expression.evaluate(&variables) {
            Ok(value) => Ok(Resolved::Value(value)),
            // Operations report a missing operand in many ways. Without its values the expression has no value.
            Err(ExpressionError::Undefined(_) | ExpressionError::Evaluation(_)) if absent => Ok(Resolved::Absent),
            Err(ExpressionError::Undefined(detail)) => {
                let named: Vec<String> = self.roots.iter().map(ToString::to_string).collect();
                Err(reference_error(format!(
                    "`{}`: {detail} (it reads {})",
                    self.expression.source(),
                    named.join(", ")
                )))
            }
            Err(other) => {
                Err(TemplateError { message: format!("`{}`: {other}", self.expression.source()), ..other.into() })
            }
        }
    }
}

/// Finds `inputs.x`, `params["x"]`, `nodes.id.port` in an expression's tokens.
fn roots_of(source: &str) -> Result<Vec<Root>, TemplateError> {
    let tokens: Vec<Token<'_>> = Tokens::new(source).collect();
    let mut roots = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let before = at.checked_sub(1).map(|before| tokens[before]);
        let Token::Word(space) = tokens[at] else {
            at += 1;
            continue;
        };
        // `x.nodes` is a field and `nodes=…` a keyword argument, not our names.
        let keyword =
            tokens.get(at + 1) == Some(&Token::Symbol('=')) && tokens.get(at + 2) != Some(&Token::Symbol('='));
        at += 1;
        if !ROOT_NAMES.contains(&space) || before == Some(Token::Symbol('.')) || keyword {
            continue;
        }
        let name = step(&tokens, &mut at).ok_or_else(|| {
            reference_error(format!("`{source}` uses `{space}` as a whole; name what it reads: `{space}.<name>`"))
        })?;
        let root = match space {
            "inputs" => Root::Input(name),
            "params" => Root::Param(name),
            _ => {
                let port = step(&tokens, &mut at).ok_or_else(|| no_port(source, &name, &tokens[at..]))?;
                Root::Port { node: name, port }
            }
        };
        if !roots.contains(&root) {
            roots.push(root);
        }
    }
    Ok(roots)
}

/// A node without an output behind it. `nodes.node-1.count` reads as `nodes.node` less a number.
fn no_port(source: &str, name: &str, rest: &[Token<'_>]) -> TemplateError {
    if let [Token::Symbol('-'), Token::Number(number), ..] = rest {
        let meant = format!("nodes['{name}-{number}']");
        let message = format!("`{name}-{number}` has a hyphen, which subtracts in an expression; write `{meant}`");
        return TemplateError { suggestion: Some(meant), ..reference_error(message) };
    }
    reference_error(format!("`{source}` uses the node `{name}` as a whole; name an output: `nodes.{name}.<port>`"))
}

/// One `.name` or `["name"]` at `at`.
fn step(tokens: &[Token<'_>], at: &mut usize) -> Option<String> {
    match tokens.get(*at..)? {
        [Token::Symbol('.'), Token::Word(name), ..] => {
            *at += 2;
            Some((*name).to_owned())
        }
        [Token::Symbol('['), Token::Text(name), Token::Symbol(']'), ..] => {
            *at += 3;
            literal(name)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
