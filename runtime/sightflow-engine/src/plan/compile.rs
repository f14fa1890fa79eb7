//! The planner's stages in order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use sightflow_expressions::reference::{Reference, Root, nearest};
use sightflow_types::{Problem, Task};

use super::document::{self, Document};
use super::{Compiled, Limits, Plan, PlanInput, PlanNode, PlanOutput, config, graph, models, parameters, wires};
use crate::catalog::{BlockEntry, Catalog, EngineKind};
use crate::models::ModelCatalog;

/// A component's own check, to be made after the pure part.
pub(super) struct PendingCheck {
    pub(super) node: usize,
    pub(super) entry: Arc<BlockEntry>,
    pub(super) config: Map<String, Value>,
    pub(super) wired: Vec<String>,
    pub(super) dynamic: Vec<String>,
}

/// A node between the stages.
pub(super) struct Draft {
    /// Position in the document.
    pub(super) at: usize,
    pub(super) id: Arc<str>,
    /// None: its type is unknown, which was reported.
    pub(super) entry: Option<Arc<BlockEntry>>,
    pub(super) config: config::Draft,
    pub(super) inputs: Vec<PlanInput>,
    pub(super) depends_on: BTreeSet<usize>,
    pub(super) has_outgoing_edge: bool,
}

/// Compiles a definition: every problem at once, or a plan. Pure; component blocks' own checks are not asked.
pub fn compile(definition: &Value, catalog: &Catalog, models: &ModelCatalog, limits: &Limits) -> Compiled {
    compile_with_checks(definition, catalog, models, limits).0.shown()
}

pub(super) fn compile_with_checks(
    definition: &Value,
    catalog: &Catalog,
    registry: &ModelCatalog,
    limits: &Limits,
) -> (Compiled, Vec<PendingCheck>) {
    let mut problems = Vec::new();
    let document = document::read(definition, limits, &mut problems);
    let parameters = parameters::read(&document.parameters, &mut problems);
    let mut drafts: Vec<Draft> = document
        .nodes
        .iter()
        .map(|raw| {
            let entry = resolve_type(raw.at, &raw.block_type, catalog, &mut problems);
            let config = config::compile(raw, entry.as_deref(), &mut problems);
            Draft {
                at: raw.at,
                id: Arc::from(raw.id.as_str()),
                entry,
                config,
                inputs: Vec::new(),
                depends_on: BTreeSet::new(),
                has_outgoing_edge: false,
            }
        })
        .collect();
    let names = Names { document: &document, parameters: &parameters };
    wires::connect(&document, &mut drafts, &mut problems);
    wires::read_inputs(&names, &mut drafts, &mut problems);
    check_config_references(&names, &mut drafts, &mut problems);
    let outputs = read_outputs(&names, &drafts, &mut problems);
    let levels = graph::levels(&drafts, &mut problems);
    if let Some(levels) = &levels {
        graph::check_fan_in(&mut drafts, levels, &mut problems);
    }
    wires::check_required(&drafts, &mut problems);
    check_parameter_inputs(&drafts, &parameters, &mut problems);
    check_drawing(&drafts, catalog, &mut problems);
    let found: Vec<_> = drafts.iter_mut().map(|draft| models::check(draft, registry, &mut problems)).collect();
    let checks = drafts.iter().filter_map(pending_check).collect();
    let (warnings, errors): (Vec<Problem>, Vec<Problem>) =
        problems.into_iter().partition(|problem| problem.code.starts_with("W-"));
    let mut compiled = Compiled { plan: None, errors, warnings };
    if let (true, Some(levels)) = (compiled.errors.is_empty(), levels) {
        let mut dependents = vec![Vec::new(); drafts.len()];
        for (index, draft) in drafts.iter().enumerate() {
            draft.depends_on.iter().for_each(|&source| dependents[source].push(index));
        }
        let nodes = drafts.into_iter().zip(found).zip(dependents).zip(&document.nodes).filter_map(
            |(((draft, model), dependents), raw)| {
                let draws = model
                    .as_ref()
                    .filter(|model| model.task == Task::Detection)
                    .and_then(|_| catalog.resolve("draw_boxes").ok().cloned());
                Some(PlanNode {
                    draws,
                    id: draft.id,
                    entry: draft.entry?,
                    config: draft.config.finish(),
                    inputs: draft.inputs,
                    depends_on: draft.depends_on.into_iter().collect(),
                    dependents,
                    has_outgoing_edge: draft.has_outgoing_edge,
                    on_error: raw.on_error,
                    timeout: raw.timeout_ms.map(Duration::from_millis),
                    retries: raw.retry.map_or(0, |retry| retry.max),
                    backoff: Duration::from_millis(raw.retry.map_or(0, |retry| retry.backoff_ms)),
                    model,
                })
            },
        );
        let nodes: Vec<PlanNode> = nodes.collect();
        let ids = nodes.iter().enumerate().map(|(index, node)| (Arc::clone(&node.id), index)).collect();
        compiled.plan = Some(Arc::new(Plan { nodes, levels, parameters, outputs, ids, bytes: document.bytes }));
    }
    (compiled, checks)
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
            let full = format!("{}/{}", entry.block.package, entry.manifest.name);
            if name != entry.block_type && name != full {
                let message = format!("`{name}` is written `{}` now", entry.block_type);
                problems.push(
                    Problem::new("W-ALIAS", format!("/nodes/{at}/type"), message)
                        .suggest(Some(entry.block_type.as_str())),
                );
            }
            Some(Arc::clone(entry))
        }
        Err(unknown) => {
            problems.push(
                Problem::new("E-TYPE-UNKNOWN", format!("/nodes/{at}/type"), unknown.message)
                    .suggest(unknown.suggestion),
            );
            None
        }
    }
}

/// What references can name.
pub(super) struct Names<'d> {
    document: &'d Document,
    parameters: &'d [sightflow_types::definition::Parameter],
}

impl Names<'_> {
    /// The nodes as they were read.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &document::RawNode> {
        self.document.nodes.iter()
    }

    /// Index of a node.
    pub(super) fn index(&self, id: &str) -> Option<usize> {
        self.document.ids.get(id).copied()
    }

    fn no_such_node(&self, root: &Root, node: &str, pointer: &str) -> Problem {
        let ids = || self.document.ids.keys().map(String::as_str);
        // `{{ nodes.node-1.count }}` subtracts: what an expression reads is `nodes.node`.
        let hyphenated = ids().find(|id| id.strip_prefix(node).is_some_and(|rest| rest.starts_with('-')));
        let (hint, near) = match hyphenated {
            Some(id) => (format!("; in an expression write `nodes['{id}']`"), Some(id.to_owned())),
            None => (String::new(), nearest(node, ids())),
        };
        Problem::new("E-REFERENCE", pointer, format!("`{root}`: there is no node `{node}`{hint}")).suggest(near)
    }

    /// Checks that what a root names exists; the node that it depends on.
    pub(super) fn check(
        &self,
        root: &Root,
        drafts: &[Draft],
        pointer: &str,
        problems: &mut Vec<Problem>,
    ) -> Option<usize> {
        match root {
            Root::Input(_) => None,
            Root::Param(name) => {
                if !self.parameters.iter().any(|parameter| parameter.name == *name) {
                    let near = nearest(name, self.parameters.iter().map(|parameter| parameter.name.as_str()));
                    let message = format!("`{root}`: the workflow declares no parameter `{name}`");
                    problems.push(
                        Problem::new("E-REFERENCE", pointer, message)
                            .suggest(near.map(|near| format!("$params.{near}"))),
                    );
                }
                None
            }
            Root::Node(node) | Root::Port { node, .. } => {
                let Some(&index) = self.document.ids.get(node) else {
                    problems.push(self.no_such_node(root, node, pointer));
                    return None;
                };
                if let (Root::Port { port, .. }, Some(entry)) = (root, &drafts[index].entry)
                    && wires::output(entry, port).is_none()
                {
                    let names = entry.manifest.outputs.iter().map(|output| output.name.as_str());
                    let message = format!("`{root}`: `{}` has no output `{port}`", entry.block_type);
                    problems.push(Problem::new("E-REFERENCE", pointer, message).suggest(nearest(port, names)));
                }
                Some(index)
            }
        }
    }
}

fn check_config_references(names: &Names<'_>, drafts: &mut [Draft], problems: &mut Vec<Problem>) {
    for index in 0..drafts.len() {
        let mut sources = BTreeSet::new();
        for (pointer, dynamic) in &drafts[index].config.dynamic {
            for root in dynamic.1.roots() {
                if matches!(root, Root::Node(_)) {
                    problems.push(Problem::new(
                        "E-REFERENCE",
                        pointer,
                        format!("`{root}` can only be used in `outputs`"),
                    ));
                }
                sources.extend(names.check(root, drafts, pointer, problems));
            }
        }
        drafts[index].depends_on.extend(sources);
    }
}

fn read_outputs(names: &Names<'_>, drafts: &[Draft], problems: &mut Vec<Problem>) -> Vec<PlanOutput> {
    let read = names.document.outputs.iter().filter_map(|output| {
        let pointer = format!("/outputs/{}/source", output.at);
        match Reference::parse(&output.source) {
            Ok(source) => {
                names.check(&source.root, drafts, &pointer, problems);
                Some(PlanOutput { name: output.name.clone(), source })
            }
            Err(error) => {
                problems.push(Problem::new(error.code, pointer, error.message).suggest(error.suggestion));
                None
            }
        }
    });
    read.collect()
}

fn check_parameter_inputs(
    drafts: &[Draft],
    parameters: &[sightflow_types::definition::Parameter],
    problems: &mut Vec<Problem>,
) {
    for draft in
        drafts.iter().filter(|draft| draft.entry.as_ref().is_some_and(|entry| entry.block_type == "parameter_input"))
    {
        let Some(name) = draft.config.canonical.get("parameter_name").and_then(Value::as_str) else {
            continue;
        };
        if !parameters.is_empty() && !parameters.iter().any(|parameter| parameter.name == name) {
            let near = nearest(name, parameters.iter().map(|parameter| parameter.name.as_str()));
            let pointer = format!("/nodes/{}/config/parameter_name", draft.at);
            problems.push(
                Problem::new("E-CONFIG", pointer, format!("the workflow declares no parameter `{name}`")).suggest(near),
            );
        }
    }
}

/// `draw_boxes` of a detection is done by the block of that name.
fn check_drawing(drafts: &[Draft], catalog: &Catalog, problems: &mut Vec<Problem>) {
    let draws = |draft: &&Draft| draft.config.canonical.get("draw_boxes") == Some(&Value::Bool(true));
    if catalog.resolve("draw_boxes").is_ok() {
        return;
    }
    for draft in drafts.iter().filter(draws) {
        let pointer = format!("/nodes/{}/config/draw_boxes", draft.at);
        problems.push(Problem::new(
            "E-CONFIG",
            pointer,
            "the block `draw_boxes`, which draws for `detection`, is not installed",
        ));
    }
}

fn pending_check(draft: &Draft) -> Option<PendingCheck> {
    let entry = draft.entry.as_ref().filter(|entry| entry.engine == EngineKind::Component)?;
    Some(PendingCheck {
        node: draft.at,
        entry: Arc::clone(entry),
        config: draft.config.canonical.clone(),
        wired: draft.inputs.iter().map(|input| input.port.to_string()).collect(),
        dynamic: draft.config.dynamic.iter().map(|(_, (key, _))| key.clone()).collect(),
    })
}
