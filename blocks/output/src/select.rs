//! Keeping only some fields of a tree.

use serde_json::{Map, Value};
use sightflow_expressions::Path;
use sightflow_expressions::path::Step;

/// What is kept below one point of the tree.
#[derive(Debug, Default)]
pub struct Selection {
    whole: bool,
    keys: Vec<(String, Selection)>,
    indexes: Vec<(i64, Selection)>,
}

impl Selection {
    /// The selection of all these paths.
    pub fn new(paths: &[Path]) -> Self {
        let mut selection = Self::default();
        for path in paths {
            selection.add(path.steps());
        }
        selection
    }

    fn add(&mut self, steps: &[Step]) {
        let Some((first, rest)) = steps.split_first() else {
            self.whole = true;
            return;
        };
        let below = match first {
            Step::Name(key) | Step::Key(key) => entry(&mut self.keys, key.clone()),
            Step::Index(index) => entry(&mut self.indexes, *index),
        };
        below.add(rest);
    }

    /// The selected parts in their places; none if nothing of the value is selected.
    ///
    /// A name that meets a list selects in each of its elements. Of a list only the selected elements are left, in their
    /// order. What is not there is left out.
    pub fn of(&self, value: Value) -> Option<Value> {
        if self.whole {
            return Some(value);
        }
        match value {
            Value::Object(mut object) => {
                let kept: Map<String, Value> = self
                    .keys
                    .iter()
                    .filter_map(|(key, below)| Some((key.clone(), below.of(object.remove(key)?)?)))
                    .collect();
                (!kept.is_empty()).then_some(Value::Object(kept))
            }
            Value::Array(items) => {
                let length = items.len();
                let kept: Vec<Value> =
                    items.into_iter().enumerate().filter_map(|(at, item)| self.element(item, at, length)).collect();
                // An empty list of the right kind is an answer too.
                (length == 0 && !self.keys.is_empty() || !kept.is_empty()).then_some(Value::Array(kept))
            }
            _ => None,
        }
    }

    fn element(&self, item: Value, at: usize, length: usize) -> Option<Value> {
        let here = |index: i64| {
            if index < 0 { index + length as i64 == at as i64 } else { index == at as i64 }
        };
        let mut merged = Self::default();
        for (index, below) in &self.indexes {
            if here(*index) {
                merged.merge(below);
            }
        }
        self.keys.iter().for_each(|(key, below)| entry(&mut merged.keys, key.clone()).merge(below));
        merged.of(item)
    }

    fn merge(&mut self, other: &Self) {
        self.whole |= other.whole;
        other.keys.iter().for_each(|(key, below)| entry(&mut self.keys, key.clone()).merge(below));
        other.indexes.iter().for_each(|(index, below)| entry(&mut self.indexes, *index).merge(below));
    }
}

fn entry<K: PartialEq>(list: &mut Vec<(K, Selection)>, key: K) -> &mut Selection {
    let at = list.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
        list.push((key, Selection::default()));
        list.len() - 1
    });
    &mut list[at].1
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keeps_what_is_named() {
        let value = json!({
            "count": 2, "name": "x", "box": {"x1": 1, "y1": 2},
            "items": [{"id": 1, "class": "a", "box": {"x1": 1}}, {"id": 2, "class": "b"}],
            "none": null, "empty": [], "rows": [[1, 2], [3, 4]],
        });
        for (paths, expected) in [
            (&["count"][..], json!({"count": 2})),
            (&["box.x1"], json!({"box": {"x1": 1}})),
            (&["box.x1", "box.y1", "count"], json!({"box": {"x1": 1, "y1": 2}, "count": 2})),
            (&["box", "box.x1"], json!({"box": {"x1": 1, "y1": 2}})),
            (&["items.id"], json!({"items": [{"id": 1}, {"id": 2}]})),
            (&["items.box.x1"], json!({"items": [{"box": {"x1": 1}}]})),
            (&["items[1]"], json!({"items": [{"id": 2, "class": "b"}]})),
            (&["items[-1].id", "items.class"], json!({"items": [{"class": "a"}, {"id": 2, "class": "b"}]})),
            (&["rows[1][0]"], json!({"rows": [[3]]})),
            (&["none"], json!({"none": null})),
            (&["empty"], json!({"empty": []})),
            (&["empty.id"], json!({"empty": []})),
        ] {
            let paths: Vec<Path> = paths.iter().map(|path| Path::parse(path).unwrap()).collect();
            assert_eq!(Selection::new(&paths).of(value.clone()), Some(expected), "{paths:?}");
        }
        for path in ["nowhere", "count.x", "items[5]", "name.length", "rows.x"] {
            assert_eq!(Selection::new(&[Path::parse(path).unwrap()]).of(value.clone()), None, "{path}");
        }
        assert_eq!(Selection::new(&[Path::default()]).of(json!(5)), Some(json!(5)));
        assert_eq!(
            Selection::new(&[Path::parse("id").unwrap()]).of(json!([{"id": 1, "x": 2}, {"id": 3}])),
            Some(json!([{"id": 1}, {"id": 3}]))
        );
    }
}
