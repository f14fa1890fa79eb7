//! What blocks of a package have of what they ask for.

use std::sync::Arc;

use sightflow_types::capability::{Capability, HostPattern, effective};

/// What a package has: what its tenant granted, within the operator's ceiling.
#[derive(Debug, Clone, Default)]
pub struct Granted {
    /// What the tenant granted.
    pub capabilities: Vec<Capability>,
    /// What tenants may grant at most.
    pub ceiling: Arc<[HostPattern]>,
}

impl Granted {
    /// Of what is requested, what there is.
    pub fn of(&self, requested: &[Capability]) -> Vec<Capability> {
        effective(requested, &self.capabilities, &self.ceiling)
    }

    /// What is requested and not there, in words that say what to do; none if all of it is.
    pub fn missing(&self, requested: &[Capability]) -> Option<String> {
        let lacking = |ceiling: &[HostPattern]| {
            let lacks =
                |one: &&Capability| effective(std::slice::from_ref(*one), &self.capabilities, ceiling).is_empty();
            let lacking = requested.iter().filter(lacks).map(|one| format!("`{one}`"));
            Some(lacking.collect::<Vec<_>>().join(", ")).filter(|list| !list.is_empty())
        };
        if let Some(list) = lacking(&[HostPattern::ANY]) {
            return Some(format!("asks for {list}, which nobody granted: PUT /api/v1/block-packages/{{id}}/grants"));
        }
        lacking(&self.ceiling).map(|list| format!("asks for {list}, which the operator gives to no block"))
    }
}
