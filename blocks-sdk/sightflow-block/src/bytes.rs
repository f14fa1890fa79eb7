//! Bytes: encoded files, embeddings, masks, whatever is no image and should not be written in decimal.

use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;

use serde::de::{self, Deserializer};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use sightflow_types::BYTES_KEY;

/// Bytes that travel beside the JSON document of a call. A clone shares them.
///
/// In the document they are `{"$bytes": n}`; outside of components users see `{"$bytes": "<base64>"}`. What passes through
/// a block as a [`crate::Value`] keeps its meaning.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bytes(Rc<Vec<u8>>);

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Rc::new(bytes))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

thread_local! {
    /// The buffers of the call in progress; `{"$bytes": n}` is the n-th. Inputs come first and stay, so that a value which
    /// only passes through needs no rewriting.
    static TABLE: RefCell<Vec<Bytes>> = const { RefCell::new(Vec::new()) };
}

/// Starts a call with its input buffers.
pub(crate) fn begin_call(buffers: Vec<Vec<u8>>) {
    TABLE.set(buffers.into_iter().map(Bytes::from).collect());
}

/// Ends a call: the buffers that its result refers to.
pub(crate) fn end_call() -> Vec<Vec<u8>> {
    let own = |bytes: Bytes| Rc::try_unwrap(bytes.0).unwrap_or_else(|shared| shared.to_vec());
    TABLE.take().into_iter().map(own).collect()
}

#[derive(Deserialize)]
struct Marker {
    #[serde(rename = "$bytes")]
    index: usize,
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let index = TABLE.with_borrow_mut(|table| {
            table.iter().position(|known| Rc::ptr_eq(&known.0, &self.0)).unwrap_or_else(|| {
                table.push(self.clone());
                table.len() - 1
            })
        });
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(BYTES_KEY, &index)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Marker { index } = Marker::deserialize(deserializer)?;
        TABLE.with_borrow(|table| table.get(index).cloned()).ok_or_else(|| de::Error::custom("expected bytes"))
    }
}
