//! `filter`: one list in, two lists out.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use sightflow_block::{
    BlockError, CheckContext, Choice, Example, Inputs, Map, Outputs, Problem, Value, block, json, round_to,
};
use sightflow_expressions::operators::{CONDITION_KEYS, Conditions, sort_order};
use sightflow_expressions::path::{Lookup, Path};
use sightflow_expressions::raw::RawItem;

use crate::condition::object;
use crate::keys::{condition_config, condition_error, conditions};

/// What `filter` splits.
#[derive(Debug, Inputs)]
pub struct FilterInputs {
    /// The items, of any kind.
    #[port(kind = "array", aliases("data", "array"))]
    pub items: Vec<Box<RawValue>>,
}

condition_config! {
    /// Which items pass, and what is done with them.
    pub struct FilterConfig {
        /// Turns the answer of the conditions round; `class_filter` stays as it is.
        #[config(default = false)]
        pub invert: bool,
        /// Only items with one of these class names pass, in addition to the conditions.
        pub class_filter: Option<Vec<String>>,
        /// Path by which the items that passed are sorted; items without a value there come last.
        pub sort_by: Option<String>,
        /// Direction of the sort. Ties keep the order of the input.
        #[config(default = SortOrder::Desc)]
        pub sort_order: SortOrder,
        /// False leaves `sort_by` without effect.
        #[config(default = true, advanced)]
        pub sort_enabled: bool,
        /// How many items pass at most, after the sort; 0 means all.
        #[config(default = 0)]
        pub top_n: u32,
        /// Path by which the items that passed are grouped into `grouped`.
        pub group_by: Option<String>,
        /// False leaves `group_by` without effect.
        #[config(default = true, advanced)]
        pub group_enabled: bool,
    }
}

/// Direction of a sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Choice)]
pub enum SortOrder {
    /// Smallest first.
    #[choice(aliases("ascending"))]
    Asc,
    /// Largest first.
    #[choice(aliases("descending"))]
    Desc,
}

/// Both parts of the list.
#[derive(Debug, Outputs)]
pub struct FilterOutputs {
    /// The items that pass, sorted and cut if asked.
    #[port(kind = "array", aliases("filtered", "items"))]
    pub passed: Vec<Box<RawValue>>,
    /// The items that do not pass, in the order of the input.
    #[port(kind = "array")]
    pub rejected: Vec<Box<RawValue>>,
    /// Number of items in `passed`.
    pub passed_count: usize,
    /// Number of items in `rejected`.
    #[port(aliases("failed_count"))]
    pub rejected_count: usize,
    /// `{total, passed, rejected, cut}`, and `{min, max, mean}` of the numeric `confidence`, `area`, `width`, `height` and `similarity` of what passed; null where there is none.
    #[port(kind = "object")]
    pub stats: Stats,
    /// With `group_by`: the items that pass by the value there, groups in the order in which they first appear.
    #[port(kind = "object")]
    pub grouped: Option<Grouped>,
}

/// Numbers about a filter's result.
#[derive(Debug, Serialize)]
pub struct Stats {
    total: usize,
    passed: usize,
    rejected: usize,
    cut: usize,
    confidence: Option<Summary>,
    area: Option<Summary>,
    width: Option<Summary>,
    height: Option<Summary>,
    similarity: Option<Summary>,
}

/// Smallest, largest and mean value, 6 decimals.
#[derive(Debug, Serialize)]
pub struct Summary {
    min: f64,
    max: f64,
    mean: f64,
}

/// Items by key, in the order in which the keys first appear.
#[derive(Debug, Default)]
pub struct Grouped(Vec<(String, Vec<Box<RawValue>>)>);

impl Serialize for Grouped {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, items)| (key, items)))
    }
}

/// Splits a list into the items that pass the conditions and those that do not. What passed can be sorted, cut to the first
/// few, grouped, and is summed up in numbers.
#[block(category = "logic", icon = "filter", check = check, examples = examples)]
pub fn filter(inputs: FilterInputs, mut config: FilterConfig) -> Result<FilterOutputs, BlockError> {
    let keys = config.question();
    let asked = conditions(&keys)?;
    let judge = asked.as_ref().map(|asked| asked.judge(&config.params));
    let sort_by = path(config.sort_by.as_deref().filter(|_| config.sort_enabled), "sort_by")?;
    let group_by = path(config.group_by.as_deref().filter(|_| config.group_enabled), "group_by")?;
    let class_name = Path::parse("class_name").unwrap_or_default();
    let total = inputs.items.len();

    let mut verdicts = Vec::with_capacity(total);
    let mut tally = Tally::default();
    let mut sort_keys = Vec::new();
    for (index, text) in inputs.items.iter().enumerate() {
        let item = RawItem::new(text);
        let answer = match &judge {
            Some(judge) => {
                judge.passes(&item).map_err(|error| condition_error(error, "items").index(index))? != config.invert
            }
            None => true,
        };
        let class_fits = config.class_filter.as_ref().is_none_or(|classes| {
            item.lookup(&class_name)
                .is_some_and(|name| name.as_str().is_some_and(|name| classes.iter().any(|class| class == name)))
        });
        let passes = answer && class_fits;
        verdicts.push(passes);
        if passes {
            if let Some(path) = &sort_by {
                sort_keys.push((index, item.lookup(path).map(Cow::into_owned).filter(|key| !key.is_null())));
            }
            if config.top_n == 0 {
                tally.add(&item);
            }
        }
    }

    let (mut passed, mut rejected) = (Vec::new(), Vec::new());
    for (text, passes) in inputs.items.into_iter().zip(verdicts) {
        if passes { passed.push(text) } else { rejected.push(text) }
    }
    if sort_by.is_some() {
        passed = sorted(passed, sort_keys, config.sort_order)?;
    }
    let cut = match config.top_n {
        0 => 0,
        limit => {
            let before = passed.len();
            passed.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            passed.iter().for_each(|text| tally.add(&RawItem::new(text)));
            before - passed.len()
        }
    };
    let grouped = group_by.map(|path| grouped(&passed, &path));
    let stats = tally.finish(total, passed.len(), rejected.len(), cut);
    Ok(FilterOutputs { passed_count: passed.len(), rejected_count: rejected.len(), passed, rejected, stats, grouped })
}

/// The path that a key holds, if it holds one.
pub(crate) fn path(text: Option<&str>, key: &'static str) -> Result<Option<Path>, BlockError> {
    text.map(|text| Path::parse(text).map_err(|error| BlockError::bad_config("bad_path", error.to_string()).key(key)))
        .transpose()
}

/// The items in the order of their keys; ties keep the input's order, items without a key come last either way.
fn sorted(
    items: Vec<Box<RawValue>>,
    keys: Vec<(usize, Option<Value>)>,
    order: SortOrder,
) -> Result<Vec<Box<RawValue>>, BlockError> {
    let compare = sort_order(keys.iter().map(|(_, key)| key.as_ref())).map_err(|at| {
        let message =
            "`sort_by` finds values that have no common order; they must all be numbers, all strings or all booleans";
        BlockError::bad_input("not_comparable", message).port("items").index(keys.get(at).map_or(0, |key| key.0))
    })?;
    let mut keyed: Vec<_> = keys.into_iter().map(|(_, key)| key).zip(items).collect();
    keyed.sort_by(|(a, _), (b, _)| match (a, b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) if order == SortOrder::Asc => compare(a, b),
        (Some(a), Some(b)) => compare(b, a),
    });
    Ok(keyed.into_iter().map(|(_, item)| item).collect())
}

fn grouped(items: &[Box<RawValue>], path: &Path) -> Grouped {
    let mut groups = Grouped::default();
    let mut places: HashMap<String, usize> = HashMap::new();
    for text in items {
        let key = match RawItem::new(text).lookup(path).as_deref() {
            None | Some(Value::Null) => "null".to_owned(),
            Some(Value::String(key)) => key.clone(),
            Some(other) => other.to_string(),
        };
        let place = *places.entry(key.clone()).or_insert_with(|| {
            groups.0.push((key, Vec::new()));
            groups.0.len() - 1
        });
        groups.0[place].1.push(text.clone());
    }
    groups
}

/// Running minima, maxima and sums of what passed.
#[derive(Debug)]
struct Tally {
    fields: [(Path, Option<Running>); 5],
}

/// Minimum, maximum, sum and count.
type Running = (f64, f64, f64, usize);

impl Default for Tally {
    fn default() -> Self {
        let names = ["confidence", "area", "width", "height", "similarity"];
        Self { fields: names.map(|name| (Path::parse(name).unwrap_or_default(), None)) }
    }
}

impl Tally {
    fn add(&mut self, item: &RawItem<'_>) {
        for (path, summary) in &mut self.fields {
            let Some(number) = item.lookup(path).as_deref().and_then(Value::as_f64) else {
                continue;
            };
            let (min, max, sum, count) = summary.get_or_insert((number, number, 0.0, 0));
            (*min, *max, *sum, *count) = (min.min(number), max.max(number), *sum + number, *count + 1);
        }
    }

    fn finish(self, total: usize, passed: usize, rejected: usize, cut: usize) -> Stats {
        let [confidence, area, width, height, similarity] = self.fields.map(|(_, summary)| {
            let (min, max, sum, count) = summary?;
            Some(Summary { min: round_to(min, 6), max: round_to(max, 6), mean: round_to(sum / count as f64, 6) })
        });
        Stats { total, passed, rejected, cut, confidence, area, width, height, similarity }
    }
}

fn check(context: &CheckContext, config: &Map<String, Value>) -> Vec<Problem> {
    let mut problems = Conditions::check(config, "/config", &context.dynamic);
    let set = |key: &str| context.is_dynamic(key) || config.get(key).is_some_and(|value| !value.is_null());
    let on = |key: &str| config.get(key) != Some(&Value::Bool(false));
    let mut fail = |key: &str, message: &str| problems.push(Problem::new("E-CONFIG", format!("/config{key}"), message));
    let asks = CONDITION_KEYS[..3].iter().any(|key| set(key)) || set("conditions");
    let sorts = set("sort_by") && on("sort_enabled");
    let groups = set("group_by") && on("group_enabled");
    let cuts = context.is_dynamic("top_n") || config.get("top_n").and_then(Value::as_u64).is_some_and(|n| n > 0);
    if config.get("invert") == Some(&Value::Bool(true)) && !asks {
        fail(
            "/invert",
            "`invert` turns the answer of the conditions round, and there are none; to leave classes out use `not_in` on `class_name`",
        );
    } else if !(asks || sorts || groups || cuts || set("class_filter")) {
        fail("", "the filter does nothing: give it a condition, `class_filter`, `sort_by`, `top_n` or `group_by`");
    }
    if config.get("class_filter").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        fail("/class_filter", "an empty `class_filter` lets nothing pass; leave it out to let every class pass");
    }
    for key in ["sort_by", "group_by"] {
        if let Some(Err(error)) = config.get(key).and_then(Value::as_str).map(Path::parse) {
            fail(&format!("/{key}"), &error.to_string());
        }
    }
    problems
}

fn examples() -> Vec<Example> {
    let items = json!([{"class_name": "bottle", "confidence": 0.95}, {"class_name": "can", "confidence": 0.7}, {"class_name": "bottle", "confidence": 0.4}]);
    vec![Example {
        inputs: object(json!({ "items": items })),
        config: object(json!({"field": "confidence", "operator": ">=", "value": 0.7})),
        outputs: object(
            json!({"passed": [items[0], items[1]], "rejected": [items[2]], "passed_count": 2, "rejected_count": 1}),
        ),
    }]
}
