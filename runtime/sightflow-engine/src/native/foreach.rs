//! `foreach`: reads what a loop is to do. That its items run, in passes over its scope, is the walk's work.

use async_trait::async_trait;
use serde_json::Value;
use sightflow_types::error::{RunError, code};

use super::{NativeBlock, NativeCall, NativeOutcome};
use crate::cell::Cell;

#[derive(Debug)]
pub(super) struct ForEach;

/// What a loop is to do.
#[derive(Debug)]
pub(crate) struct LoopSpec {
    /// The items that it takes.
    pub(crate) items: Vec<Cell>,
    /// Place of the first of `items` in the list that arrived.
    pub(crate) first: usize,
    /// Given to every item as it is.
    pub(crate) context: Option<Cell>,
    /// Most items at a time.
    pub(crate) concurrency: usize,
    /// Whether a failed item leaves the others alone.
    pub(crate) skips: bool,
    /// Bytes that the run keeps for it while it runs.
    pub(crate) kept: u64,
}

/// Bytes of an item beside its value: the cell, and the places of the item in lists.
const ITEM_BYTES: u64 = 256;

impl LoopSpec {
    /// Bytes that its items take, each with `results` places for what comes of it.
    pub(crate) fn weight(&self, results: usize) -> u64 {
        let places = ITEM_BYTES + 32 * results as u64;
        self.items.iter().map(|item| item.weight() + places).sum()
    }
}

#[async_trait]
impl NativeBlock for ForEach {
    fn manifest(&self) -> &'static str {
        include_str!("foreach.json")
    }

    async fn run(&self, call: NativeCall<'_>) -> Result<NativeOutcome, RunError> {
        read(call).map(NativeOutcome::Loop)
    }
}

fn read(mut call: NativeCall<'_>) -> Result<LoopSpec, RunError> {
    let missing = || RunError::new(code::INTERNAL, "a `foreach` was started without items");
    let (items, context) = (call.take("items").ok_or_else(missing)?, call.take("context"));
    let pictures = items.pictures().to_vec();
    let Value::Array(list) = items.into_value() else {
        return Err(RunError::new(code::BAD_INPUT, "the input `items` is not a list"));
    };
    let number = |key: &str| call.whole(key).and_then(|n| usize::try_from(n).ok());
    let first = number("start_index").unwrap_or(0).min(list.len());
    let wanted = number("max_items").filter(|count| *count > 0).unwrap_or(usize::MAX).min(list.len() - first);
    let most = call.loop_items;
    if wanted > most {
        let message = format!("the loop has {wanted} items; at most {most} are allowed (`max_items` takes a part)");
        return Err(RunError::new(code::BLOCK_LIMIT, message));
    }
    let items = list.into_iter().skip(first).take(wanted).map(|item| Cell::new(item, call.table)).collect();
    // Each item holds its own images from here on.
    drop(pictures);
    let sequential = call.text("iteration_mode") == Some("sequential");
    let concurrency = if sequential { 1 } else { number("max_concurrency").unwrap_or(16).max(1) };
    Ok(LoopSpec { items, first, context, concurrency, skips: call.text("on_error") == Some("skip"), kept: 0 })
}
