//! Plans of definitions that ran before: the same definition is compiled once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use sightflow_engine::{ModelCatalog, Plan};
use sightflow_types::Digest;

/// Most plans that are kept; the oldest goes first.
const KEPT: usize = 256;
/// Most bytes that they take together.
const KEPT_BYTES: u64 = 64 << 20;

/// Plans by the digest of what their definition means.
#[derive(Default)]
pub(crate) struct Plans(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    plans: HashMap<Digest, Known>,
    by_age: VecDeque<Digest>,
    /// What the plans weigh.
    bytes: u64,
}

/// A plan and how it came about.
#[derive(Clone)]
pub(crate) struct Known {
    /// The plan.
    pub(crate) plan: Arc<Plan>,
    /// The models that it was made with.
    pub(crate) models: Arc<ModelCatalog>,
    /// Whether the blocks were asked, too, and found nothing.
    pub(crate) checked: bool,
}

impl Plans {
    /// What is known of a definition, if its plan was made with just these models.
    pub(crate) fn get(&self, key: &Digest, models: &Arc<ModelCatalog>) -> Option<Known> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.plans.get(key).filter(|known| Arc::ptr_eq(&known.models, models)).cloned()
    }

    /// Keeps a plan, unless it alone is too large.
    pub(crate) fn keep(&self, key: Digest, known: Known) {
        let bytes = known.plan.bytes;
        if bytes > KEPT_BYTES {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += bytes;
        match kept.plans.insert(key, known) {
            Some(replaced) => kept.bytes -= replaced.plan.bytes,
            None => kept.by_age.push_back(key),
        }
        while kept.by_age.len() > KEPT || kept.bytes > KEPT_BYTES {
            let Some(oldest) = kept.by_age.pop_front() else { break };
            if let Some(gone) = kept.plans.remove(&oldest) {
                kept.bytes -= gone.plan.bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sightflow_engine::{Catalog, Limits};
    use sightflow_store::definition_digest;

    use super::*;

    #[test]
    fn a_plan_is_kept_for_its_definition_and_models() {
        let catalog = Catalog::new([]).unwrap();
        let (models, others) = (Arc::new(ModelCatalog::default()), Arc::new(ModelCatalog::default()));
        let plan = sightflow_engine::compile(&json!({}), &catalog, &models, &Limits::default()).plan.unwrap();
        let known = Known { plan: Arc::clone(&plan), models: Arc::clone(&models), checked: true };
        let plans = Plans::default();
        let key = |n: usize| definition_digest(&json!({"nodes": n}));
        assert!(plans.get(&key(0), &models).is_none());
        plans.keep(key(0), known.clone());
        assert!(plans.get(&key(0), &models).is_some_and(|kept| Arc::ptr_eq(&kept.plan, &plan) && kept.checked));
        assert!(plans.get(&key(1), &models).is_none());
        assert!(plans.get(&key(0), &others).is_none(), "other models, other plan");
        for n in 1..=KEPT {
            plans.keep(key(n), known.clone());
        }
        assert!(plans.get(&key(0), &models).is_none(), "the oldest has gone");
        assert!(plans.get(&key(KEPT), &models).is_some());
    }

    #[test]
    fn plans_are_kept_within_their_bytes() {
        let catalog = Catalog::new([]).unwrap();
        let models = Arc::new(ModelCatalog::default());
        let plans = Plans::default();
        let definition = json!({"viewport": "x".repeat(1 << 19)});
        let plan = sightflow_engine::compile(&definition, &catalog, &models, &Limits::default()).plan.unwrap();
        let most = KEPT_BYTES / plan.bytes;
        assert!(most < KEPT as u64, "the bytes are the bound here: {} each", plan.bytes);
        let key = |n: u64| definition_digest(&json!({"nodes": n}));
        for n in 0..=most {
            plans.keep(key(n), Known { plan: Arc::clone(&plan), models: Arc::clone(&models), checked: true });
        }
        let kept = |n| plans.get(&key(n), &models).is_some();
        assert!(!kept(0), "the oldest has gone");
        assert!((1..=most).all(kept));
    }
}
