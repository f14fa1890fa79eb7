//! Plans of definitions that ran before: the same definition is compiled once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use sightflow_engine::{ModelCatalog, Plan};
use sightflow_types::Digest;

/// Most plans that are kept; the oldest goes first.
const KEPT: usize = 256;

/// Plans by the digest of their definition.
#[derive(Default)]
pub(crate) struct Plans(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    plans: HashMap<Digest, Known>,
    by_age: VecDeque<Digest>,
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
    /// The digest under which a definition's plan is kept.
    pub(crate) fn key(definition: &Value) -> Digest {
        // The text of a value is one: keys are sorted.
        sightflow_blobs::digest_of(definition.to_string().as_bytes())
    }

    /// What is known of a definition, if its plan was made with just these models.
    pub(crate) fn get(&self, key: &Digest, models: &Arc<ModelCatalog>) -> Option<Known> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.plans.get(key).filter(|known| Arc::ptr_eq(&known.models, models)).cloned()
    }

    /// Keeps a plan.
    pub(crate) fn keep(&self, key: Digest, known: Known) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.plans.insert(key, known).is_none() {
            kept.by_age.push_back(key);
        }
        if kept.by_age.len() > KEPT
            && let Some(oldest) = kept.by_age.pop_front()
        {
            kept.plans.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sightflow_engine::{Catalog, Limits};

    use super::*;

    #[test]
    fn a_plan_is_kept_for_its_definition_and_models() {
        let catalog = Catalog::new([]).unwrap();
        let (models, others) = (Arc::new(ModelCatalog::default()), Arc::new(ModelCatalog::default()));
        let plan = sightflow_engine::compile(&json!({}), &catalog, &models, &Limits::default()).plan.unwrap();
        let known = Known { plan: Arc::clone(&plan), models: Arc::clone(&models), checked: true };
        let plans = Plans::default();
        let key = |n: usize| Plans::key(&json!({"viewport": n}));
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
}
