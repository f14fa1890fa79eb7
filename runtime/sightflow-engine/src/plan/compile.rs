//! The planner's stages in order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sightflow_types::manifest::Role;
use sightflow_types::{Problem, ProblemCode, Task};

use super::document::{self, Document, RawNode};
use super::draft::{Draft, PendingCheck};
use super::names::Names;
use super::scopes::{Place, Scopes};
use super::{
    Compiled, DefinitionLimits, Plan, PlanModel, PlanNode, checks, config, graph, models, named, outputs, parameters,
    scopes, wires,
};
use crate::catalog::{BlockEntry, Catalog};
use crate::models::ModelCatalog;

/// Compiles a definition: every problem at once, or a plan. Pure; component blocks' own checks are not asked.
pub fn compile(definition: &Value, catalog: &Catalog, models: &ModelCatalog, limits: &DefinitionLimits) -> Compiled {
    compile_with_checks(definition, catalog, models, limits).0.shown()
}

pub(crate) fn compile_with_checks(
    definition: &Value,
    catalog: &Catalog,
    registry: &ModelCatalog,
    limits: &DefinitionLimits,
) -> (Compiled, Vec<PendingCheck>) {
    let mut problems = Vec::new();
    let document = document::read(definition, limits, &mut problems);
    let parameters = parameters::read(&document.parameters, &mut problems);
    let mut drafts: Vec<Draft> = document.nodes.iter().map(|raw| draft(raw, catalog, &mut problems)).collect();
    let names = Names::new(&document, &parameters);
    wires::connect(&document, &mut drafts, &mut problems);
    wires::read_inputs(&names, &mut drafts, &mut problems);
    names.read_configs(&mut drafts, &mut problems);
    let outputs = names.read_outputs(&drafts, &mut problems);
    let graph = graph::levels(&drafts, &mut problems).map(|levels| {
        let scopes = scopes::find(&drafts, &levels, limits.loop_nesting, &mut problems);
        graph::check_fan_in(&drafts, &levels, &scopes, &mut problems);
        (levels, scopes)
    });
    wires::check_required(&drafts, &mut problems);
    checks::parameter_inputs(&drafts, &parameters, &mut problems);
    checks::drawing(&drafts, catalog, &mut problems);
    checks::unique_keys(&drafts, &mut problems);
    checks::grants(&drafts, &mut problems);
    let found: Vec<_> = drafts.iter_mut().map(|draft| models::check(draft, registry, &mut problems)).collect();
    let checks = drafts.iter().filter_map(Draft::pending_check).collect();
    let (warnings, errors): (Vec<Problem>, Vec<Problem>) =
        problems.into_iter().partition(|problem| problem.code.starts_with("W-"));
    let mut compiled = Compiled { plan: None, errors, warnings };
    if let (true, Some((levels, Scopes { mut scopes, places }))) = (compiled.errors.is_empty(), graph) {
        let nodes = nodes(drafts, found, places, &document, catalog);
        outputs::export(&mut scopes, &nodes, &outputs);
        let ids = nodes.iter().enumerate().map(|(index, node)| (Arc::clone(&node.id), index)).collect();
        compiled.plan = Some(Arc::new(Plan {
            nodes,
            levels,
            parameters,
            outputs,
            ids,
            scopes,
            loop_items: limits.loop_items,
            loop_frames: limits.loop_frames,
            bytes: document.bytes,
        }));
    }
    (compiled, checks)
}

fn draft(raw: &RawNode, catalog: &Catalog, problems: &mut Vec<Problem>) -> Draft {
    let entry = resolve_type(raw.at, &raw.block_type, catalog, problems);
    let config = config::compile(raw, entry.as_deref(), problems);
    Draft {
        at: raw.at,
        id: Arc::from(raw.id.as_str()),
        named_outputs: entry.as_ref().and_then(|entry| named::outputs(raw, entry, &config, problems)),
        entry,
        config,
        inputs: Vec::new(),
        fed_by: BTreeSet::new(),
        configured_by: BTreeSet::new(),
        loop_names: Vec::new(),
        has_outgoing_edge: false,
    }
}

/// The nodes of the plan, when nothing is wrong with any.
fn nodes(
    drafts: Vec<Draft>,
    models: Vec<Option<PlanModel>>,
    places: Vec<Place>,
    document: &Document,
    catalog: &Catalog,
) -> Vec<PlanNode> {
    let mut dependents = vec![Vec::new(); drafts.len()];
    for (index, place) in places.iter().enumerate() {
        place.depends_on.iter().for_each(|&source| dependents[source].push(index));
    }
    let parts = drafts.into_iter().zip(models).zip(places).zip(dependents).zip(&document.nodes);
    let nodes = parts.filter_map(|((((draft, model), place), dependents), raw)| {
        let detects = model.as_ref().is_some_and(|model| model.task == Task::Detection);
        Some(PlanNode {
            draws: catalog.playing(Role::DrawDetections).filter(|_| detects).cloned(),
            id: draft.id,
            entry: draft.entry?,
            config: draft.config.finish(),
            inputs: draft.inputs,
            named_outputs: draft.named_outputs,
            scope: place.scope,
            slot: place.slot,
            opens: place.opens,
            gathers: place.gathers,
            depends_on: place.depends_on.into_iter().collect(),
            dependents,
            has_outgoing_edge: draft.has_outgoing_edge,
            on_error: raw.on_error,
            timeout: raw.timeout_ms.map(Duration::from_millis),
            retries: raw.retry.map_or(0, |retry| retry.max),
            backoff: Duration::from_millis(raw.retry.map_or(0, |retry| retry.backoff_ms)),
            model,
        })
    });
    nodes.collect()
}

fn resolve_type(
    at: usize,
    block_type: &str,
    catalog: &Catalog,
    problems: &mut Vec<Problem>,
) -> Option<Arc<BlockEntry>> {
    match catalog.resolve(block_type) {
        Ok(entry) => {
            let name = block_type.split('@').next().unwrap_or(block_type);
            if name != entry.block_type && name != entry.block.qualified() {
                let message = format!("`{name}` is written `{}` now", entry.block_type);
                problems.push(
                    Problem::new(ProblemCode::Alias, format!("/nodes/{at}/type"), message)
                        .suggest(Some(entry.block_type.as_str())),
                );
            }
            Some(Arc::clone(entry))
        }
        Err(unknown) => {
            problems.push(
                Problem::new(ProblemCode::TypeUnknown, format!("/nodes/{at}/type"), unknown.message)
                    .suggest(unknown.suggestion),
            );
            None
        }
    }
}
