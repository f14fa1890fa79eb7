//! What references and expressions of a definition can name.

use std::collections::BTreeSet;

use sightflow_expressions::reference::{Reference, Root, nearest};
use sightflow_types::definition::Parameter;
use sightflow_types::{Problem, ProblemCode};

use super::document::{Document, RawNode};
use super::draft::{Draft, LoopName};
use super::{Dynamic, PlanOutput};
use crate::catalog::ports;

/// What references can name.
pub(super) struct Names<'d> {
    document: &'d Document,
    parameters: &'d [Parameter],
}

/// What a value names.
#[derive(Default)]
pub(super) struct Named {
    /// Nodes.
    pub(super) sources: BTreeSet<usize>,
    /// What a loop is at.
    pub(super) loop_names: Vec<LoopName>,
}

impl<'d> Names<'d> {
    pub(super) fn new(document: &'d Document, parameters: &'d [Parameter]) -> Self {
        Self { document, parameters }
    }

    /// The nodes as they were read.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &'d RawNode> {
        self.document.nodes.iter()
    }

    /// Index of a node.
    pub(super) fn index(&self, id: &str) -> Option<usize> {
        self.document.ids.get(id).copied()
    }

    /// Checks everything that a value of a node names; `fed` where it is an input.
    pub(super) fn of(
        &self,
        value: &Dynamic,
        fed: bool,
        drafts: &[Draft],
        pointer: &str,
        problems: &mut Vec<Problem>,
    ) -> Named {
        let mut named = Named::default();
        for root in value.roots() {
            match root {
                Root::Node(_) => problems.push(Problem::new(
                    ProblemCode::Reference,
                    pointer,
                    format!("`{root}` can only be used in `outputs`"),
                )),
                Root::Item | Root::Index | Root::Total => {
                    named.loop_names.push(LoopName { root: root.clone(), pointer: pointer.to_owned(), fed });
                }
                Root::Input(_) | Root::Param(_) | Root::Port { .. } => {}
            }
            named.sources.extend(self.check(root, drafts, pointer, problems));
        }
        named
    }

    /// Checks that what a root names exists; the node that it depends on.
    fn check(&self, root: &Root, drafts: &[Draft], pointer: &str, problems: &mut Vec<Problem>) -> Option<usize> {
        match root {
            Root::Input(_) | Root::Item | Root::Index | Root::Total => None,
            Root::Param(name) => {
                if !self.parameters.iter().any(|parameter| parameter.name == *name) {
                    let near = nearest(name, self.parameters.iter().map(|parameter| parameter.name.as_str()));
                    let message = format!("`{root}`: the workflow declares no parameter `{name}`");
                    problems.push(
                        Problem::new(ProblemCode::Reference, pointer, message)
                            .suggest(near.map(|near| format!("$params.{near}"))),
                    );
                }
                None
            }
            Root::Node(node) | Root::Port { node, .. } => {
                let Some(index) = self.index(node) else {
                    problems.push(self.no_such_node(root, node, pointer));
                    return None;
                };
                if let (Root::Port { port, .. }, Some(entry)) = (root, &drafts[index].entry)
                    && ports::find(drafts[index].outputs(), port).is_none()
                {
                    let names = drafts[index].outputs().iter().map(|output| output.name.as_str());
                    let message = format!("`{root}`: `{}` has no output `{port}`", entry.block_type);
                    problems.push(Problem::new(ProblemCode::Reference, pointer, message).suggest(nearest(port, names)));
                }
                Some(index)
            }
        }
    }

    fn no_such_node(&self, root: &Root, node: &str, pointer: &str) -> Problem {
        let ids = || self.document.ids.keys().map(String::as_str);
        // `{{ nodes.node-1.count }}` subtracts: what an expression reads is `nodes.node`.
        let hyphenated = ids().find(|id| id.strip_prefix(node).is_some_and(|rest| rest.starts_with('-')));
        let (hint, near) = match hyphenated {
            Some(id) => (format!("; in an expression write `nodes['{id}']`"), Some(id.to_owned())),
            None => (String::new(), nearest(node, ids())),
        };
        Problem::new(ProblemCode::Reference, pointer, format!("`{root}`: there is no node `{node}`{hint}"))
            .suggest(near)
    }

    /// What configurations name.
    pub(super) fn read_configs(&self, drafts: &mut [Draft], problems: &mut Vec<Problem>) {
        for index in 0..drafts.len() {
            let mut all = Named::default();
            for (pointer, (_, value)) in &drafts[index].config.dynamic {
                let named = self.of(value, false, drafts, pointer, problems);
                all.sources.extend(named.sources);
                all.loop_names.extend(named.loop_names);
            }
            drafts[index].configured_by.extend(all.sources);
            drafts[index].loop_names.extend(all.loop_names);
        }
    }

    /// The declared outputs.
    pub(super) fn read_outputs(&self, drafts: &[Draft], problems: &mut Vec<Problem>) -> Vec<PlanOutput> {
        let read = self.document.outputs.iter().filter_map(|output| {
            let pointer = format!("/outputs/{}/source", output.at);
            match Reference::parse(&output.source) {
                Ok(source) => {
                    self.check(&source.root, drafts, &pointer, problems);
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
}
