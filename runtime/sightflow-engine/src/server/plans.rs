//! Plans of definitions that ran before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sightflow_types::{Digest, TenantId};

use crate::plan::Plan;

/// Plans kept; more are compiled again.
const KEPT: usize = 512;
/// Bytes that they take together.
const KEPT_BYTES: u64 = 64 << 20;

/// Whose definition: plans hold the digests of models, and tenants have models of their own.
pub(super) type Key = (TenantId, Digest);

/// Plans by definition, until the models change.
#[derive(Default)]
pub(super) struct Plans(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    plans: HashMap<Key, Arc<Plan>>,
    /// What they weigh.
    bytes: u64,
    /// Counts changes of the models, so that a plan made from what was read before a change is not kept after it.
    changes: u64,
}

impl Plans {
    /// The plan, if it is kept.
    pub(super) fn get(&self, key: &Key) -> Option<Arc<Plan>> {
        self.lock().plans.get(key).cloned()
    }

    /// Changes of the models so far; ask before reading them.
    pub(super) fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Keeps a plan, unless the models have changed since then or it alone is too large.
    pub(super) fn keep(&self, key: Key, plan: Arc<Plan>, changes: u64) {
        let mut kept = self.lock();
        if kept.changes != changes || plan.bytes > KEPT_BYTES {
            return;
        }
        if let Some(replaced) = kept.plans.remove(&key) {
            kept.bytes -= replaced.bytes;
        }
        if kept.plans.len() >= KEPT || kept.bytes + plan.bytes > KEPT_BYTES {
            kept.clear();
        }
        kept.bytes += plan.bytes;
        kept.plans.insert(key, plan);
    }

    /// The models changed.
    pub(super) fn forget(&self) {
        let mut kept = self.lock();
        kept.clear();
        kept.changes += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn clear(&mut self) {
        self.plans.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::Catalog;
    use crate::models::ModelCatalog;
    use crate::plan::{Limits, compile};

    #[test]
    fn a_plan_made_before_a_change_is_not_kept_after_it() {
        let catalog = Catalog::new([]).expect("the engine's own blocks");
        let plan = compile(&json!({}), &catalog, &ModelCatalog::default(), &Limits::default()).plan.expect("a plan");
        let (plans, key) = (Plans::default(), (TenantId::BUILT_IN, Digest::from_bytes([1; 32])));
        let read = plans.changes();
        plans.forget();
        plans.keep(key, Arc::clone(&plan), read);
        assert!(plans.get(&key).is_none(), "it names the models of before");
        plans.keep(key, Arc::clone(&plan), plans.changes());
        assert!(plans.get(&key).is_some_and(|kept| Arc::ptr_eq(&kept, &plan)));
        plans.forget();
        assert!(plans.get(&key).is_none());
    }

    #[test]
    fn plans_are_kept_within_their_bytes() {
        let catalog = Catalog::new([]).expect("the engine's own blocks");
        let definition = json!({"viewport": "x".repeat(1 << 19)});
        let plan = compile(&definition, &catalog, &ModelCatalog::default(), &Limits::default()).plan.expect("a plan");
        let (plans, key) = (Plans::default(), |n: u8| (TenantId::BUILT_IN, Digest::from_bytes([n; 32])));
        let most = u8::try_from(KEPT_BYTES / plan.bytes).expect("few");
        for n in 0..most {
            plans.keep(key(n), Arc::clone(&plan), 0);
            plans.keep(key(n), Arc::clone(&plan), 0);
        }
        assert!((0..most).all(|n| plans.get(&key(n)).is_some()), "each counts once");
        plans.keep(key(most), Arc::clone(&plan), 0);
        assert_eq!((0..=most).filter(|&n| plans.get(&key(n)).is_some()).collect::<Vec<_>>(), [most]);
        assert_eq!(plans.lock().bytes, plan.bytes);
    }
}
