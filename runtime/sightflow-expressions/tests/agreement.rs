//! What is read from an expression without its grammar agrees with MiniJinja, over generated and mutilated texts.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use sightflow_expressions::expression::{Expression, ExpressionError, Variables};
use sightflow_expressions::reference::{Compiled, LOOP_NAMES, ROOT_NAMES, Resolve, Resolved, Root, Template};

/// SplitMix64: the same texts at every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.roll(choices.len())]
    }
}

/// Fields and names that also mean something else.
const FIELDS: [&str; 8] = ["a", "b", "nodes", "params", "is", "in", "not", "if"];
const NUMBERS: [&str; 11] = ["0", "1", "17", "1_000", "2.5", "3.", "1e3", "2.5e-1", "0x1f", "0b11", "0o17"];
const STRINGS: [&str; 9] =
    ["''", "'a'", "\"b\"", "'}}'", "\"{{ nodes.a.b }}\"", r"'it\'s'", r#""\"\\""#, r"'\u0061'", "'is frob | x'"];

/// Pieces of a well-formed expression, and the names that it uses.
#[derive(Default)]
struct Made {
    pieces: Vec<String>,
    names: BTreeSet<String>,
}

impl Made {
    fn put(&mut self, piece: &str) {
        self.pieces.push(piece.to_owned());
    }

    fn field(&mut self, dice: &mut Dice) {
        let name = dice.of(&FIELDS);
        match dice.roll(4) {
            0 => ["[", &format!("'{name}'"), "]"].iter().for_each(|piece| self.put(piece)),
            1 if name == "a" => ["[", r#""\x61""#, "]"].iter().for_each(|piece| self.put(piece)),
            _ => [".", name].iter().for_each(|piece| self.put(piece)),
        }
    }

    fn name(&mut self, dice: &mut Dice) {
        let name = dice.of(&ROOT_NAMES);
        self.names.insert(name.to_owned());
        self.put(name);
        self.field(dice);
        if name == "nodes" {
            self.field(dice);
        }
        for _ in 0..dice.roll(3) {
            self.field(dice);
        }
    }

    fn list(&mut self, dice: &mut Dice, depth: usize, ends: [&str; 2]) {
        self.put(ends[0]);
        for index in 0..dice.roll(4) {
            if index > 0 {
                self.put(",");
            }
            self.expression(dice, depth);
        }
        self.put(ends[1]);
    }

    /// Something that may stand as an operand.
    fn operand(&mut self, dice: &mut Dice, depth: usize) {
        match dice.roll(if depth == 0 { 3 } else { 10 }) {
            0 => self.put(dice.of(&NUMBERS)),
            1 => self.put(dice.of(&STRINGS)),
            2 | 3 => self.name(dice),
            4 => self.list(dice, depth - 1, ["[", "]"]),
            5 => {
                self.put("{");
                for index in 0..dice.roll(3) {
                    if index > 0 {
                        self.put(",");
                    }
                    self.put(dice.of(&STRINGS));
                    self.put(":");
                    self.expression(dice, depth - 1);
                }
                self.put("}");
            }
            6 => {
                self.put("dict");
                self.put("(");
                for (index, key) in ["nodes", "is", "x"].iter().take(dice.roll(4)).enumerate() {
                    if index > 0 {
                        self.put(",");
                    }
                    self.put(key);
                    self.put("=");
                    self.expression(dice, depth - 1);
                }
                self.put(")");
                self.field(dice);
            }
            _ => {
                self.put("(");
                self.expression(dice, depth - 1);
                self.put(")");
                if dice.roll(3) == 0 {
                    self.field(dice);
                }
            }
        }
    }

    fn expression(&mut self, dice: &mut Dice, depth: usize) {
        let below = depth.saturating_sub(1);
        for _ in 0..dice.roll(3) / 2 {
            self.put(dice.of(&["not", "-"]));
        }
        self.operand(dice, depth);
        if dice.roll(3) == 0 {
            self.put("|");
            self.put(dice.of(&["upper", "length", "string", "list", "first"]));
        }
        // What stands behind the name of a test is its argument, even `if`: it is closed at once.
        if dice.roll(4) == 0 {
            self.put("is");
            if dice.roll(2) == 0 {
                self.put("not");
            }
            self.put(dice.of(&["defined", "none", "string", "odd"]));
            return;
        }
        match dice.roll(if depth == 0 { 1 } else { 5 }) {
            0 | 1 => {}
            2 => {
                self.put("if");
                self.operand(dice, below);
                self.put("else");
                self.expression(dice, below);
            }
            _ => {
                let operator = dice.of(&[
                    "+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and",
                    "or",
                ]);
                self.put(operator);
                // A `not` belongs before comparisons only.
                self.operand(dice, below);
            }
        }
    }

    fn text(&self, dice: &mut Dice) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            let word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
            let glued = word(text.chars().next_back()) && word(piece.chars().next());
            // `1if` is two tokens, as `17in` is.
            let keyword = ["if", "in", "is", "and"].contains(&piece.as_str()) && text.ends_with("17");
            let dot = piece == "." && !text.ends_with(|c: char| c.is_ascii_digit() || c == '.');
            let space = if glued && !keyword && !dot { dice.roll(2) + 1 } else { dice.roll(3) };
            text.push_str(["", " ", "\n "][space.min(2)]);
            text.push_str(piece);
        }
        text
    }
}

fn mutilated(mut text: String, dice: &mut Dice) -> String {
    const PIECES: [&str; 24] = [
        ".", "'", "\"", "\\", "{", "}", "}}", "(", ")", "[", "]", "|", "=", "==", " is ", " not ", "nodes", "params.a",
        " if ", "1", "e", "x", "é", "-",
    ];
    for _ in 0..=dice.roll(3) {
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let at = places[dice.roll(places.len())];
        let end = *places.iter().find(|place| **place > at).unwrap_or(&at);
        match dice.roll(3) {
            0 => text.replace_range(at..end, ""),
            1 => text.insert_str(at, dice.of(&PIECES)),
            _ => text.replace_range(at..end, dice.of(&PIECES)),
        }
    }
    text
}

/// Everything that generated expressions can name, and more.
struct Everything(Value);

impl Everything {
    fn new() -> Self {
        let leaf = json!({"a": 2, "b": "text", "is": [1, 2], "in": {"a": 1}, "if": null, "nodes": {"a": {"b": 3}}});
        let level = |below: &Value| FIELDS.map(|name| (name.to_owned(), below.clone())).into_iter().collect::<Value>();
        let ports = level(&leaf);
        Self(json!({"inputs": ports, "params": ports, "nodes": level(&ports), "item": leaf, "index": 3, "total": 7}))
    }

    fn variables(&self) -> Variables {
        let names = ROOT_NAMES.into_iter().chain(LOOP_NAMES.iter().map(|(name, _)| *name));
        names.fold(Variables::new(), |all, name| all.with(name, &self.0[name]))
    }
}

impl Resolve for Everything {
    fn resolve(&self, root: &Root) -> Option<Cow<'_, Value>> {
        let found = match root {
            Root::Input(name) => self.0["inputs"].get(name),
            Root::Param(name) => self.0["params"].get(name),
            Root::Port { node, port } => self.0["nodes"].get(node)?.get(port),
            Root::Node(node) => self.0["nodes"].get(node),
            Root::Item => self.0.get("item"),
            Root::Index => self.0.get("index"),
            Root::Total => self.0.get("total"),
        };
        found.map(Cow::Borrowed)
    }
}

fn agrees(text: &str, everything: &Everything) {
    let ours = Expression::compile(text);
    let environment = minijinja::Environment::new();
    // It overlooks what it cannot read at the end of some expressions, but not within brackets.
    let bracketed = format!("({})", text.trim());
    let theirs = environment.compile_expression(text.trim()).and_then(|_| environment.compile_expression(&bracketed));
    match (&ours, &theirs) {
        (Ok(_), Err(error)) => panic!("accepted, but: {error}"),
        (Err(error @ ExpressionError::Syntax(_)), Ok(_)) => panic!("refused: {error}"),
        (Err(ExpressionError::Unknown { message, .. }), Ok(_)) => {
            let name = message.split('`').nth(1).unwrap_or_default();
            assert!(text.replace(['\n', ' '], "").contains(name), "refused: {message}");
        }
        _ => {}
    }
    // A text around it is cut where it begins and where it ends. At the edges `-` and `+` would trim white space there.
    if ours.is_ok() && !text.contains("{%") {
        let around = format!("x{{{{ {text} }}}}y");
        match (Template::parse(&around), Compiled::compile(text)) {
            (Ok(Ok(Template::Text(pieces))), Ok(compiled)) => assert_eq!(pieces.len(), 3, "{around}: {compiled:?}"),
            (Err(_), Err(_)) => {}
            (found, alone) => panic!("{around}: {found:?}, but alone {alone:?}"),
        }
    }
    let Ok(compiled) = Compiled::compile(text) else { return };
    let expression = ours.expect("compiled as part of the other");
    let named: BTreeSet<&str> = compiled
        .roots()
        .iter()
        .map(|root| match root {
            Root::Input(_) => "inputs",
            Root::Param(_) => "params",
            Root::Port { .. } | Root::Node(_) => "nodes",
            Root::Item => "item",
            Root::Index => "index",
            Root::Total => "total",
        })
        .collect();
    assert_eq!(named, expression.names().iter().map(String::as_str).collect(), "the names that it reads");
    // What it was given beforehand is all that it needs. Where that is absent, it is absent with its whole node.
    if compiled.roots().iter().any(|root| everything.resolve(root).is_none()) {
        return;
    }
    let template = Template::Expression(compiled);
    match (template.evaluate(everything), expression.evaluate(&everything.variables())) {
        (Ok(Resolved::Value(found)), Ok(expected)) => assert_eq!(found, expected),
        (Err(_) | Ok(Resolved::Absent), Err(_)) => {}
        (found, expected) => panic!("with what it names {found:?}, with everything {expected:?}"),
    }
}

#[test]
fn texts_are_read_as_minijinja_reads_them() {
    const SEED: u64 = 20;
    let everything = Everything::new();
    let mut dice = Dice(SEED);
    let started = Instant::now();
    let (mut number, mut accepted) = (0, 0);
    while number < 1_000 || (number < 20_000 && started.elapsed() < Duration::from_secs(4)) {
        number += 1;
        let mut made = Made::default();
        let depth = dice.roll(4);
        made.expression(&mut dice, depth);
        let text = made.text(&mut dice);
        let spoilt = mutilated(text.clone(), &mut dice);
        for text in [&text, &spoilt] {
            let checked = std::panic::catch_unwind(|| agrees(text, &everything));
            assert!(checked.is_ok(), "text {number} of seed {SEED}: {text:?}");
        }
        match Expression::compile(&text) {
            Ok(expression) => {
                assert_eq!(expression.names().iter().cloned().collect::<BTreeSet<_>>(), made.names, "{text:?}");
                accepted += 1;
            }
            Err(error) => panic!("text {number} of seed {SEED} is well-formed: {text:?}: {error}"),
        }
    }
    assert_eq!(accepted, number);
}

/// What the comparison has found, and what it cannot find by chance.
#[test]
fn corners() {
    let everything = Everything::new();
    for text in [
        "params.is and params.a",
        "params.a if params.is else 1",
        "17if params.a else 2",
        "17is odd",
        "nodes['\\x61'].b",
        "nodes.0.b",
        "params.1.a",
        "params.a.1.0",
        "1 | abs.nodes",
        "params.a | first.upper",
        "params.a is defined.x",
        "{'nodes': nodes.a.b}.nodes",
        "dict(nodes=1, params = params.a)",
        "2.nodes",
        "params.a is eq params.b",
    ] {
        agrees(text, &everything);
    }
    for (text, expected) in [
        ("17is primee", "there is no test `primee`"),
        ("1 | abs.nodes", "there is no filter `abs.nodes`"),
        ("nodes.0.b", "uses `nodes` as a whole"),
    ] {
        let error = Compiled::compile(text).expect_err(text);
        assert!(error.message.contains(expected), "{text}: {}", error.message);
    }
}
