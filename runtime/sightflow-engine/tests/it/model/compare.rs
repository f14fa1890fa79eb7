//! Whether the engine did what the model says, as far as it is not a matter of time.

use std::collections::HashMap;

use serde_json::{Value, json};
use sightflow_engine::{End, RunOutcome};
use sightflow_types::error::RunError;

use super::pass::Pass;
use super::{Fate, Model};

/// Records of the engine that nobody has looked at, by node and item.
type Records<'r> = HashMap<(String, String), &'r Value>;

/// Compares a run of the engine with the model; what differs.
pub(crate) fn compare(model: &Model, outcome: &RunOutcome) -> Result<(), String> {
    match &outcome.end {
        End::Completed => compare_end(model, None, &outcome.outputs)?,
        End::Failed(error) => compare_end(model, Some(error), &outcome.outputs)?,
        End::Stopped => return Err("it was stopped".to_owned()),
    }
    let failed = !model.root.troubles.borrow().is_empty();
    let mut records = Records::new();
    for record in &outcome.report.records {
        if records.insert((record.node_id.clone(), record.item_path.clone()), &record.record).is_some() {
            return Err(format!("`{}` has two records for the item `{}`", record.node_id, record.item_path));
        }
    }
    let mut tally = Tally::default();
    model.look(&model.root, !failed, &mut records, &mut tally)?;
    model.sums(!failed, &mut records, &tally)?;
    match records.into_iter().next() {
        None => Ok(()),
        Some((place, record)) => Err(format!("there is a record of {place:?} beyond the model: {record}")),
    }
}

/// Compares how a run ended, and its outputs.
pub(crate) fn compare_end(model: &Model, error: Option<&RunError>, outputs: &Value) -> Result<(), String> {
    let troubles = model.root.troubles.borrow();
    let failed = !troubles.is_empty();
    let fits = error.map_or(!failed, |error| {
        troubles.iter().any(|trouble| {
            error.node_id.as_ref() == Some(&trouble.node)
                && error.item.as_deref().unwrap_or_default() == trouble.item
                && error.code == trouble.code
        })
    });
    if !fits {
        return Err(format!("it ended with {error:?}, not with one of {troubles:?}"));
    }
    let expected = model.outputs();
    let found = outputs.as_object().ok_or("the outputs are no object")?;
    for name in expected.keys().chain(found.keys()) {
        let (found, expected) = (found.get(name), expected.get(name));
        let fits = match (found, expected) {
            (Some(found), Some(expected)) => same(found, expected) || (failed && found.is_null()),
            (None, _) => failed,
            (Some(_), None) => false,
        };
        if !fits {
            return Err(format!("the output `{name}` is {}, not {}", told(found), told(expected)));
        }
    }
    Ok(())
}

fn told(value: Option<&Value>) -> String {
    value.map_or("absent".to_owned(), Value::to_string)
}

/// Whether a value is what the model says, which tells of a lost item only its index and the nodes that it may be due to.
pub(super) fn same(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) if found.len() == 4 && expected.len() == 2 => {
            let nodes = expected.get("node").and_then(Value::as_array);
            let named = found.get("node").is_some_and(|node| nodes.is_some_and(|nodes| nodes.contains(node)));
            named && found.get("index") == expected.get("index")
        }
        (Value::Object(found), Value::Object(expected)) => {
            let fits = |(key, value): (&String, &Value)| expected.get(key).is_some_and(|other| same(value, other));
            found.len() == expected.len() && found.iter().all(fits)
        }
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len() && found.iter().zip(expected).all(|(one, other)| same(one, other))
        }
        (found, expected) => found == expected,
    }
}

/// By node of a loop: frames that completed, were skipped, and failed. Nothing is known once an item was lost.
#[derive(Default)]
struct Tally {
    counts: HashMap<usize, [u64; 3]>,
    unsure: bool,
}

impl Model {
    /// Compares the frames of a pass, and of the loops in it. `sure`: nothing was lost around it.
    fn look(&self, pass: &Pass, sure: bool, records: &mut Records<'_>, tally: &mut Tally) -> Result<(), String> {
        for (node, planned) in self.graph.nodes.iter().enumerate().filter(|(_, node)| node.within == pass.within) {
            let place = (planned.id.clone(), pass.path.clone());
            let record = records.remove(&place);
            let status = record.map(|record| record["status"].as_str().unwrap_or_default());
            let fate = pass.fate(node).ok_or_else(|| format!("the model forgot {place:?}"))?;
            let wanted = match &fate {
                Fate::Done(_) => "completed",
                Fate::Skipped => "skipped",
                Fate::Failed | Fate::Fatal => "failed",
                Fate::Never => "cancelled",
            };
            let fits = match status {
                Some(status) => status == wanted || (!sure && matches!(status, "cancelled" | "skipped")),
                None => !sure,
            };
            if !fits {
                return Err(format!("{place:?} is {status:?}, not {wanted}: {record:?}"));
            }
            if !planned.within.is_empty() {
                let counts = tally.counts.entry(node).or_default();
                match fate {
                    Fate::Done(_) => counts[0] += 1,
                    Fate::Skipped => counts[1] += 1,
                    _ => counts[2] += 1,
                }
            }
            if planned.kind == "foreach" {
                let items = pass.loops.borrow().get(&node).cloned().unwrap_or_default();
                let sure = sure && matches!(fate, Fate::Done(_));
                let lost = items.iter().filter(|item| item.lost()).count();
                tally.unsure |= lost > 0;
                if sure {
                    let (wanted, found) = (
                        json!({"total": items.len(), "ended": items.len(), "failed": lost}),
                        record.map(|r| &r["items"]),
                    );
                    if found != Some(&wanted) {
                        return Err(format!("{place:?} has the items {}, not {wanted}", told(found)));
                    }
                }
                for item in &items {
                    self.look(&item.pass, sure && !item.lost(), records, tally)?;
                }
            }
        }
        Ok(())
    }

    /// Compares the records that sum up the items of a node.
    fn sums(&self, sure: bool, records: &mut Records<'_>, tally: &Tally) -> Result<(), String> {
        for (node, planned) in self.graph.nodes.iter().enumerate().filter(|(_, node)| !node.within.is_empty()) {
            let record = records
                .remove(&(planned.id.clone(), String::new()))
                .ok_or(format!("`{}` is not summed up", planned.id))?;
            let counted =
                ["completed", "skipped", "failed", "cancelled"].map(|key| record["items"][key].as_u64().unwrap_or(99));
            let fits = match tally.unsure || !sure {
                true => counted.iter().sum::<u64>() == record["items"]["total"],
                false => counted[..3] == tally.counts.get(&node).copied().unwrap_or_default() && counted[3] == 0,
            };
            if !fits {
                return Err(format!("`{}` is summed up as {record}, not as {:?}", planned.id, tally.counts.get(&node)));
            }
        }
        Ok(())
    }
}
