//! Plans that are kept, within their number and their bytes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::Key;
use crate::models::ModelCatalog;
use crate::plan::Plan;

/// Most plans that are kept; the oldest goes first.
const KEPT: usize = 512;
/// Most bytes that they take together.
const KEPT_BYTES: u64 = 64 << 20;

/// Plans by whose definition they are of, and what it means.
#[derive(Default)]
pub(super) struct Kept(Mutex<Table>);

#[derive(Default)]
struct Table {
    plans: HashMap<Key, Known>,
    by_age: VecDeque<Key>,
    /// What the plans weigh.
    bytes: u64,
}

/// A plan and how it came about.
#[derive(Clone)]
pub(super) struct Known {
    /// The plan.
    pub(super) plan: Arc<Plan>,
    /// The models that it was made with.
    pub(super) models: Arc<ModelCatalog>,
    /// Whether the blocks were asked, too, and found nothing.
    pub(super) checked: bool,
}

impl Kept {
    /// What is known of a definition, if its plan was made with just these models.
    pub(super) fn get(&self, key: &Key, models: &Arc<ModelCatalog>) -> Option<Known> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.plans.get(key).filter(|known| Arc::ptr_eq(&known.models, models)).cloned()
    }

    /// Forgets the plans of other keys than these.
    pub(super) fn retain(&self, wanted: impl Fn(&Key) -> bool) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Table { plans, by_age, bytes } = &mut *kept;
        plans.retain(|key, known| {
            let keep = wanted(key);
            *bytes -= if keep { 0 } else { known.plan.bytes };
            keep
        });
        by_age.retain(|key| plans.contains_key(key));
    }

    /// Keeps a plan, unless it alone is too large.
    pub(super) fn keep(&self, key: Key, known: Known) {
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
    use sightflow_types::{Digest, TenantId};

    use super::*;
    use crate::catalog::Catalog;
    use crate::plan::{DefinitionLimits, compile};

    fn key(n: usize) -> Key {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&n.to_le_bytes());
        Key { tenant: TenantId::BUILT_IN, definition: Digest::from_bytes(digest), blocks: Digest::from_bytes([0; 32]) }
    }

    #[test]
    fn a_plan_is_kept_for_its_definition_and_models() {
        let catalog = Catalog::new([]).expect("it is there");
        let (models, others) = (Arc::new(ModelCatalog::default()), Arc::new(ModelCatalog::default()));
        let plan = compile(&json!({}), &catalog, &models, &DefinitionLimits::default()).plan.expect("it is there");
        let known = Known { plan: Arc::clone(&plan), models: Arc::clone(&models), checked: true };
        let plans = Kept::default();
        assert!(plans.get(&key(0), &models).is_none());
        plans.keep(key(0), known.clone());
        assert!(plans.get(&key(0), &models).is_some_and(|kept| Arc::ptr_eq(&kept.plan, &plan) && kept.checked));
        assert!(plans.get(&key(1), &models).is_none());
        assert!(plans.get(&key(0), &others).is_none(), "other models, other plan");
        let others = [Key { tenant: TenantId::new(), ..key(0) }, Key { blocks: Digest::from_bytes([1; 32]), ..key(0) }];
        assert!(
            others.iter().all(|other| plans.get(other, &models).is_none()),
            "another tenant, other blocks, another plan"
        );
        for n in 1..=KEPT {
            plans.keep(key(n), known.clone());
        }
        assert!(plans.get(&key(0), &models).is_none(), "the oldest has gone");
        assert!(plans.get(&key(KEPT), &models).is_some());
    }

    #[test]
    fn plans_are_kept_within_their_bytes() {
        let catalog = Catalog::new([]).expect("it is there");
        let models = Arc::new(ModelCatalog::default());
        let plans = Kept::default();
        let definition = json!({"viewport": "x".repeat(1 << 19)});
        let plan = compile(&definition, &catalog, &models, &DefinitionLimits::default()).plan.expect("it is there");
        let most = usize::try_from(KEPT_BYTES / plan.bytes).expect("few");
        assert!(most < KEPT, "the bytes are the bound here: {} each", plan.bytes);
        for n in 0..=most {
            plans.keep(key(n), Known { plan: Arc::clone(&plan), models: Arc::clone(&models), checked: true });
        }
        let kept = |n| plans.get(&key(n), &models).is_some();
        assert!(!kept(0), "the oldest has gone");
        assert!((1..=most).all(kept));
        // What is forgotten makes room.
        plans.retain(|wanted| *wanted == key(most));
        for n in most + 1..2 * most {
            plans.keep(key(n), Known { plan: Arc::clone(&plan), models: Arc::clone(&models), checked: true });
        }
        assert!(!kept(most - 1));
        assert!((most..2 * most).all(kept));
    }
}
