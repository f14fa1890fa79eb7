//! How many bytes values take in memory, about.

use serde_json::Value;
use sightflow_types::document::object_bytes;

/// Bytes of a value with everything below it, by its shape; nothing is copied.
pub(crate) fn weigh(value: &Value) -> u64 {
    let place = size_of::<Value>() as u64;
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => place,
        Value::String(text) => place + text.len() as u64,
        Value::Array(items) => place + items.iter().map(weigh).sum::<u64>(),
        Value::Object(fields) => {
            let inside = fields.iter().map(|(key, value)| key.len() as u64 + weigh(value));
            object_bytes(fields.len()) + inside.sum::<u64>()
        }
    }
}

/// Room for values that are copied for one purpose.
pub(crate) struct Room {
    most: u64,
    taken: u64,
}

impl Room {
    pub(crate) fn new(most: u64) -> Self {
        Self { most, taken: 0 }
    }

    /// Bytes that were taken.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// Takes room for a value; the message says why there is none.
    pub(crate) fn take(&mut self, value: &Value) -> Result<(), String> {
        self.take_bytes(weigh(value))
    }

    /// Takes room for what weighs so much; the message says why there is none.
    pub(crate) fn take_bytes(&mut self, bytes: u64) -> Result<(), String> {
        self.taken = self.taken.saturating_add(bytes);
        if self.taken > self.most {
            return Err(format!("the values for this node take more than {} bytes", self.most));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_small_as_text_can_be_large_in_memory() {
        let value = size_of::<Value>() as u64;
        for (shape, bytes) in [
            (json!(1), value),
            (json!("four"), value + 4),
            (json!([1, [2]]), 4 * value),
            (json!({}), value),
            (json!({"a": 1}), 2 * value + 640 + 1),
        ] {
            assert_eq!(weigh(&shape), bytes, "{shape}");
        }
    }
}
