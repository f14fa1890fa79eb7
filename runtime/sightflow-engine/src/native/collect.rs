//! `collect`: the values that the items of a loop left, as one list.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use sightflow_expressions::path::{Lookup, Path};
use sightflow_types::error::{RunError, code};

use super::{NativeBlock, NativeCall, NativeOutcome};
use crate::cell::{Cell, Outputs};
use crate::images::Picture;

#[derive(Debug)]
pub(super) struct Collect;

/// What the items of a loop left.
#[derive(Debug)]
pub(crate) struct Gathering {
    /// By item.
    pub(crate) items: Vec<Option<Cell>>,
    /// Place of the first item in the list that arrived at the `foreach`.
    pub(crate) first: usize,
    /// `{index, node, code, message}` of items without a result.
    pub(crate) errors: Value,
}

#[async_trait]
impl NativeBlock for Collect {
    fn manifest(&self) -> &'static str {
        include_str!("collect.json")
    }

    async fn run(&self, call: NativeCall<'_>) -> Result<NativeOutcome, RunError> {
        let missing = || RunError::new(code::INTERNAL, "a `collect` was started before its loop had ended");
        let gathering = call.gathering.ok_or_else(missing)?;
        outputs(call.config, gathering).map(NativeOutcome::Delivered)
    }
}

fn outputs(config: &Map<String, Value>, gathering: Gathering) -> Result<Outputs, RunError> {
    let Gathering { items, first, errors } = gathering;
    let is = |key: &str| config.get(key).and_then(Value::as_bool).unwrap_or(false);
    let (flatten, filter, unique) = (is("flatten"), is("filter_nulls"), is("unique"));
    let (results, indexes) = if flatten || filter || unique {
        let pictures: Vec<Arc<Picture>> =
            items.iter().flatten().flat_map(|cell| cell.pictures().iter().cloned()).collect();
        let mut entries: Vec<(usize, Value)> = Vec::with_capacity(items.len());
        for (at, item) in items.into_iter().enumerate() {
            match item.map(Cell::into_value) {
                Some(Value::Array(list)) if flatten => {
                    entries.extend(list.into_iter().map(|value| (first + at, value)));
                }
                value => entries.push((first + at, value.unwrap_or_default())),
            }
        }
        if filter {
            entries.retain(|(_, value)| !value.is_null());
        }
        if unique {
            keep_first(&mut entries, config.get("unique_key").and_then(Value::as_str))?;
        }
        let (indexes, values): (Vec<usize>, Vec<Value>) = entries.into_iter().unzip();
        (Cell::of(Value::Array(values), pictures), json!(indexes))
    } else {
        let indexes: Vec<usize> = (first..first + items.len()).collect();
        (Cell::list(&items), json!(indexes))
    };
    let count = indexes.as_array().map_or(0, Vec::len);
    let plain = [("count", json!(count)), ("errors", errors), ("indexes", indexes)];
    let mut outputs = vec![(Arc::from("results"), results)];
    outputs.extend(plain.into_iter().map(|(port, value)| (Arc::from(port), Cell::plain(value))));
    Ok(outputs)
}

/// Of entries with the same value, or the same value at a path, the first stays. Where the path leads nowhere, all stay.
fn keep_first(entries: &mut Vec<(usize, Value)>, key: Option<&str>) -> Result<(), RunError> {
    let path = key.filter(|key| !key.is_empty()).map(Path::parse).transpose();
    let path = path.map_err(|error| RunError::new(code::BAD_CONFIG, format!("`unique_key`: {error}")))?;
    let mut seen: HashSet<String> = HashSet::new();
    entries.retain(|(_, value)| match &path {
        None => seen.insert(value.to_string()),
        Some(path) => value.lookup(path).is_none_or(|found| seen.insert(found.to_string())),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let nested = json!([[1, 2], [3, 4]]);
        let people = json!([{"name": "a", "n": 1}, {"name": "b"}, {"name": "a", "n": 2}, {"n": 3}, {"n": 4}]);
        // Configuration, what the items left (null: nothing), results, indexes; the first item is the tenth of its list.
        let cases = [
            (json!({}), json!([1, null, 3]), json!([1, null, 3]), json!([10, 11, 12])),
            (json!({}), json!([]), json!([]), json!([])),
            (json!({}), nested.clone(), nested.clone(), json!([10, 11])),
            (json!({"flatten": true}), nested, json!([1, 2, 3, 4]), json!([10, 10, 11, 11])),
            (json!({"flatten": true}), json!([[[1]], null, 2]), json!([[1], null, 2]), json!([10, 11, 12])),
            (json!({"filter_nulls": true}), json!([1, null, 3]), json!([1, 3]), json!([10, 12])),
            (
                json!({"flatten": true, "filter_nulls": true, "unique": true}),
                json!([[1, null], [1, 2], 2, []]),
                json!([1, 2]),
                json!([10, 11]),
            ),
            (json!({"unique": true}), json!([null, null, "1", 1]), json!([null, "1", 1]), json!([10, 12, 13])),
            (
                json!({"unique": true, "unique_key": "name"}),
                people,
                json!([{"name": "a", "n": 1}, {"name": "b"}, {"n": 3}, {"n": 4}]),
                json!([10, 11, 13, 14]),
            ),
        ];
        for (config, left, results, indexes) in cases {
            let items = left
                .as_array()
                .expect("a list")
                .iter()
                .map(|value| Some(value.clone()).filter(|value| !value.is_null()).map(Cell::plain));
            let config = config.as_object().cloned().expect("an object");
            let left_by_items = Gathering { items: items.collect(), first: 10, errors: json!([]) };
            let found = outputs(&config, left_by_items).expect("collected");
            let value = |port: &str| found.iter().find(|(name, _)| &**name == port).expect("a port").1.value().clone();
            let count = results.as_array().map(Vec::len);
            assert_eq!((value("results"), value("indexes")), (results, indexes), "{config:?} {left}");
            assert_eq!(value("count"), json!(count));
        }
    }
}
