//! The result of a run: declared outputs, or automatic ones.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{ErrorKind, Write};

use serde_json::{Map, Value};
use sightflow_types::error::{RunError, code};
use sightflow_types::{Digest, IMAGE_KEY};

use super::RunLimits;
use super::values::{Found, Scope};
use crate::images::{ImageIo, ImageTable, Purpose, any_image, export, for_each_image, holds_image};
use crate::plan::{PlanOutput, WELL_KNOWN};
use crate::weight::Room;

/// Resolves the outputs; images become stored references. What cannot be resolved or does not fit is null, and the first
/// reason is returned beside it.
pub(super) async fn assemble(
    scope: &Scope<'_>,
    table: &ImageTable,
    io: &dyn ImageIo,
    limits: &RunLimits,
) -> (Value, Vec<Digest>, Option<RunError>) {
    let mut trouble = None;
    let raw = if scope.plan.outputs.is_empty() { automatic(scope) } else { explicit(scope, &mut trouble) };
    let mut outputs = Map::new();
    let mut blobs = BTreeSet::new();
    let mut space = Space { json: limits.outputs, memory: Room::new(limits.values) };
    for (name, found) in raw {
        let Some(found) = found else {
            outputs.insert(name, Value::Null);
            continue;
        };
        if !space.takes(&name, &found) {
            trouble.get_or_insert_with(|| {
                let message = format!(
                    "the outputs do not fit into {} bytes of JSON; `{name}` is the first without room",
                    limits.outputs
                );
                RunError::new(code::BLOCK_LIMIT, message)
            });
            space.json = 0;
            outputs.insert(name, Value::Null);
            continue;
        }
        let value = found.into_value().into_owned();
        if !holds_image(&value) {
            outputs.insert(name, value);
            continue;
        }
        match export(&value, table, io, Purpose::Output).await {
            Ok(mut stored) => {
                let collected: Result<(), RunError> = for_each_image(&mut stored, &mut |place| {
                    let digest = place.get(IMAGE_KEY).and_then(|inside| inside.get("digest")).and_then(Value::as_str);
                    blobs.extend(digest.and_then(|digest| digest.parse::<Digest>().ok()));
                    Ok(())
                });
                trouble = trouble.or(collected.err());
                outputs.insert(name, stored);
            }
            Err(error) => {
                trouble.get_or_insert(error);
                outputs.insert(name, Value::Null);
            }
        }
    }
    (Value::Object(outputs), blobs.into_iter().collect(), trouble)
}

/// Room for outputs. What does not fit is known before it is copied.
struct Space {
    /// Bytes of JSON that are left.
    json: usize,
    memory: Room,
}

/// Bytes of JSON of a stored image's reference, about; in a run an image is a short handle.
const REFERENCE_BYTES: usize = 256;

impl Space {
    fn takes(&mut self, name: &str, found: &Found<'_>) -> bool {
        self.write_all(name.as_bytes()).is_ok()
            && match found {
                Found::Value(value) => self.takes_value(value),
                Found::Ports(ports) => ports
                    .iter()
                    .all(|(port, cell)| self.write_all(port.as_bytes()).is_ok() && self.takes_value(&cell.value)),
            }
    }

    fn takes_value(&mut self, value: &Value) -> bool {
        let mut images = 0_usize;
        any_image(value, &mut |_| {
            images += 1;
            false
        });
        let Some(left) = self.json.checked_sub(images.saturating_mul(REFERENCE_BYTES)) else { return false };
        self.json = left;
        serde_json::to_writer(&mut *self, value).is_ok() && self.memory.take(value).is_ok()
    }
}

impl Write for Space {
    /// Counts, and fails at the first byte that does not fit.
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.json = self.json.checked_sub(bytes.len()).ok_or(ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

type Raw<'r> = Vec<(String, Option<Found<'r>>)>;

fn explicit<'r>(scope: &'r Scope<'_>, trouble: &mut Option<RunError>) -> Raw<'r> {
    let mut resolve = |output: &PlanOutput| match scope.find(&output.source.root)? {
        Found::Value(Cow::Borrowed(value)) => match output.source.below(value) {
            Ok(found) => Some(Found::Value(found)),
            Err(error) => {
                trouble.get_or_insert_with(|| {
                    RunError::new(error.code, format!("the output `{}`: {}", output.name, error.message))
                });
                None
            }
        },
        whole => Some(whole),
    };
    scope.plan.outputs.iter().map(|output| (output.name.clone(), resolve(output))).collect()
}

fn automatic<'r>(scope: &'r Scope<'_>) -> Raw<'r> {
    let mut found: Raw<'r> = Vec::new();
    for (node, record) in scope.plan.nodes.iter().zip(scope.records) {
        if !node.has_outgoing_edge && !record.outputs.is_empty() {
            found.push((node.id.to_string(), Some(Found::Ports(&record.outputs))));
        }
    }
    for key in WELL_KNOWN {
        // An optional output that was not delivered, such as the boxes of a resize without boxes, does not count.
        let mut producers = scope.plan.nodes.iter().zip(scope.records).filter(|(node, record)| {
            let port = node.outputs().iter().find(|port| port.name == key);
            port.is_some_and(|port| port.required || record.output(key).is_some_and(|cell| !cell.value.is_null()))
        });
        let (Some((_, record)), None) = (producers.next(), producers.next()) else {
            continue;
        };
        if let Some(cell) = record.output(key).filter(|_| !found.iter().any(|(name, _)| name == key)) {
            found.push((key.to_owned(), Some(Found::borrowed(&cell.value))));
        }
    }
    found
}
