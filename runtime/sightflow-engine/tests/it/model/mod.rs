//! The meaning of a definition, told a second time: a plain recursive interpreter that knows neither plans nor frames nor
//! time. What the engine does is compared with it.

mod compare;
mod graph;
mod outputs;
mod pass;

pub(crate) use compare::{compare, compare_end};

use graph::Graph;
use pass::Pass;
pub(crate) use pass::SPOILED;
use serde_json::{Map, Value};

/// What became of a node in a pass.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fate {
    Done(Map<String, Value>),
    Skipped,
    /// It failed, and what is around it goes on.
    Failed,
    /// It failed, and its item or the run with it.
    Fatal,
    /// Something before it was fatal.
    Never,
}

/// Something that a run, or an item, may have failed with. Which of several is a matter of time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trouble {
    pub(crate) node: String,
    pub(crate) item: String,
    pub(crate) code: &'static str,
}

/// A run as it ought to be.
pub(crate) struct Model {
    graph: Graph,
    input: Map<String, Value>,
    root: std::rc::Rc<Pass>,
    /// Most items of a loop.
    most: usize,
}

impl Model {
    /// Runs a definition. It must be one that the engine accepts.
    pub(crate) fn run(definition: &Value, input: &Value) -> Self {
        let model = Self {
            graph: Graph::read(definition),
            input: input.as_object().cloned().unwrap_or_default(),
            root: Pass::root(),
            most: 10_000,
        };
        model.walk(&model.root);
        model
    }
}
