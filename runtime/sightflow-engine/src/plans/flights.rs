//! One at a time makes what many ask for at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

use super::Key;

/// Who is at work, by key.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<Key, Weak<tokio::sync::Mutex<()>>>>);

impl Flights {
    /// Waits until nobody else works on this key; nobody begins to while the guard lives.
    pub(super) async fn board(&self, key: Key) -> OwnedMutexGuard<()> {
        self.gate(key).lock_owned().await
    }

    fn gate(&self, key: Key) -> Arc<tokio::sync::Mutex<()>> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(&key).and_then(Weak::upgrade) {
            return gate;
        }
        gates.retain(|_, gate| gate.strong_count() > 0);
        let gate = Arc::default();
        gates.insert(key, Arc::downgrade(&gate));
        gate
    }
}
