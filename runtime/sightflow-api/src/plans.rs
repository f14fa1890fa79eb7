//! Plans of definitions that ran before: the same definition is compiled once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use sightflow_engine::{ModelCatalog, Plan};
use sightflow_types::Digest;

/// Most plans that are kept; the oldest goes first.
const KEPT: usize = 256;

/// Plans by the digest of their definition, each with the models that it was made with.
#[derive(Default)]
pub(crate) struct Plans(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    plans: HashMap<Digest, (Arc<ModelCatalog>, Arc<Plan>)>,
    by_age: VecDeque<Digest>,
}

impl Plans {
    /// The digest under which a definition's plan is kept.
    pub(crate) fn key(definition: &Value) -> Digest {
        // The text of a value is one: keys are sorted.
        sightflow_blobs::digest_of(definition.to_string().as_bytes())
    }

    /// The plan, if it was made with just these models.
    pub(crate) fn get(&self, key: &Digest, models: &Arc<ModelCatalog>) -> Option<Arc<Plan>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.plans.get(key).filter(|(with, _)| Arc::ptr_eq(with, models)).map(|(_, plan)| Arc::clone(plan))
    }

    /// Keeps a plan.
    pub(crate) fn keep(&self, key: Digest, models: Arc<ModelCatalog>, plan: Arc<Plan>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.plans.insert(key, (models, plan)).is_none() {
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
        let plans = Plans::default();
        let key = |n: usize| Plans::key(&json!({"viewport": n}));
        assert!(plans.get(&key(0), &models).is_none());
        plans.keep(key(0), Arc::clone(&models), Arc::clone(&plan));
        assert!(plans.get(&key(0), &models).is_some_and(|kept| Arc::ptr_eq(&kept, &plan)));
        assert!(plans.get(&key(1), &models).is_none());
        assert!(plans.get(&key(0), &others).is_none(), "other models, other plan");
        for n in 1..=KEPT {
            plans.keep(key(n), Arc::clone(&models), Arc::clone(&plan));
        }
        assert!(plans.get(&key(0), &models).is_none(), "the oldest has gone");
        assert!(plans.get(&key(KEPT), &models).is_some());
    }
}
