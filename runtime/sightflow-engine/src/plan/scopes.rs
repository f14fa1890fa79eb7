//! Loops: which nodes a `foreach` repeats, where its body ends, and what waits for what.
//!
//! A body is everything that depends on the `foreach` without a `collect` between. So the scope of a node follows from the
//! scopes of what it depends on, and all of those must lie around each other: there is no value that two loops share.

use std::collections::BTreeSet;

use sightflow_types::manifest::Role;
use sightflow_types::{Problem, ProblemCode};

use super::PlanScope;
use super::draft::{Draft, LoopName};

/// Every scope, and where each node stands. `exports` are still to be filled.
pub(super) struct Scopes {
    pub(super) scopes: Vec<PlanScope>,
    /// By node.
    pub(super) places: Vec<Place>,
}

/// Where a node stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub(super) scope: usize,
    pub(super) slot: usize,
    pub(super) opens: Option<usize>,
    pub(super) gathers: Option<usize>,
    pub(super) depends_on: BTreeSet<usize>,
}

/// The scope whose frames hold what a node delivers: an item belongs to the body, and results lie outside of it.
pub(super) const fn delivers_in(scope: usize, opens: Option<usize>) -> usize {
    match opens {
        Some(body) => body,
        None => scope,
    }
}

/// A value that a body takes from outside.
struct Taken {
    node: usize,
    source: usize,
    /// The body: the outermost that lies between the two.
    body: usize,
}

/// Finds the scopes of a graph without cycles; `nesting` is the most loops around a node.
pub(super) fn find(drafts: &[Draft], levels: &[Vec<usize>], nesting: usize, problems: &mut Vec<Problem>) -> Scopes {
    let graph =
        PlanScope { opener: None, parent: 0, depth: 0, nodes: Vec::new(), collects: Vec::new(), exports: Vec::new() };
    let mut finder = Finder { drafts, scopes: vec![graph], places: vec![Place::default(); drafts.len()], problems };
    for &index in levels.iter().flatten() {
        finder.place(index, nesting);
    }
    let taken: Vec<Taken> = (0..drafts.len()).flat_map(|index| finder.depend(index)).collect();
    finder.check_taken(&taken);
    (0..drafts.len()).for_each(|index| finder.check_loop_names(index));
    let Finder { mut scopes, mut places, .. } = finder;
    for (index, place) in places.iter_mut().enumerate() {
        let nodes = &mut scopes[place.scope].nodes;
        place.slot = nodes.len();
        nodes.push(index);
        if let Some(body) = place.gathers {
            scopes[body].collects.push(index);
        }
    }
    Scopes { scopes, places }
}

struct Finder<'f> {
    drafts: &'f [Draft],
    scopes: Vec<PlanScope>,
    places: Vec<Place>,
    problems: &'f mut Vec<Problem>,
}

impl Finder<'_> {
    fn id(&self, index: usize) -> &str {
        &self.drafts[index].id
    }

    /// The `foreach` of a body; nothing stands for the graph itself.
    fn loop_of(&self, scope: usize) -> &str {
        self.scopes[scope].opener.map_or("", |opener| self.id(opener))
    }

    fn delivers_in(&self, index: usize) -> usize {
        delivers_in(self.places[index].scope, self.places[index].opens)
    }

    /// Whether `scope` is `outer` or lies inside of it.
    fn within(&self, mut scope: usize, outer: usize) -> bool {
        while self.scopes[scope].depth > self.scopes[outer].depth {
            scope = self.scopes[scope].parent;
        }
        scope == outer
    }

    fn escape(&mut self, index: usize, message: String) {
        self.problems.push(Problem::new(ProblemCode::LoopEscape, format!("/nodes/{}", self.drafts[index].at), message));
    }

    /// Gives a node its scope, after all that it depends on.
    fn place(&mut self, index: usize, nesting: usize) {
        let drafts = self.drafts;
        let draft = &drafts[index];
        if draft.plays(Role::Collect) {
            let body = self.innermost(index, draft.fed_by.iter().copied());
            if body == 0 {
                let message = format!(
                    "`{}` stands outside of every loop; a `collect` gathers what a `foreach` repeats",
                    draft.id
                );
                self.escape(index, message);
            } else {
                self.places[index].gathers = Some(body);
                self.places[index].scope = self.scopes[body].parent;
                self.check_configuration(index, body);
            }
            return;
        }
        let scope = self.innermost(index, draft.depends_on());
        self.places[index].scope = scope;
        if draft.plays(Role::Loop) {
            let depth = self.scopes[scope].depth + 1;
            // Those inside of it are as deep because of it.
            if depth == nesting + 1 {
                let message =
                    format!("`{}` is a loop inside of {nesting} others; at most {nesting} are allowed", draft.id);
                self.problems.push(Problem::new(ProblemCode::LoopNesting, format!("/nodes/{}", draft.at), message));
            }
            self.places[index].opens = Some(self.scopes.len());
            self.scopes.push(PlanScope {
                opener: Some(index),
                parent: scope,
                depth,
                nodes: Vec::new(),
                collects: Vec::new(),
                exports: Vec::new(),
            });
        }
    }

    /// The innermost scope of the sources of a node. All must lie around each other.
    fn innermost(&mut self, index: usize, sources: impl Iterator<Item = usize>) -> usize {
        let mut found: Option<(usize, usize)> = None;
        let mut mixed = None;
        for source in sources {
            let scope = self.delivers_in(source);
            match found {
                Some((inner, _)) if self.within(inner, scope) => {}
                Some((inner, other)) if !self.within(scope, inner) => {
                    mixed.get_or_insert((inner, other, scope, source));
                }
                _ => found = Some((scope, source)),
            }
        }
        if let Some((one, from_one, two, from_two)) = mixed {
            let message = format!(
                "`{}` uses `{}` of the loop `{}` and `{}` of the loop `{}`, and neither loop lies in the other; end one of them with a `collect`, or give its value to the other as `context`",
                self.id(index),
                self.id(from_one),
                self.loop_of(one),
                self.id(from_two),
                self.loop_of(two),
            );
            self.escape(index, message);
        }
        found.map_or(0, |(scope, _)| scope)
    }

    /// A `collect` is configured once, not for each item.
    fn check_configuration(&mut self, index: usize, body: usize) {
        let outside = self.places[index].scope;
        let configured_by = &self.drafts[index].configured_by;
        let Some(&inside) = configured_by.iter().find(|&&source| !self.within(outside, self.delivers_in(source)))
        else {
            return;
        };
        let message = format!(
            "the configuration of `{}` uses `{}`, a value of a loop; `{}` is configured once, outside of the loop `{}`, and only its input `item` is read for each item",
            self.id(index),
            self.id(inside),
            self.id(index),
            self.loop_of(body),
        );
        self.escape(index, message);
    }

    /// Says what a node waits for: itself in its own scope, its loop for what comes from outside.
    fn depend(&mut self, index: usize) -> Vec<Taken> {
        let drafts = self.drafts;
        let draft = &drafts[index];
        let Place { scope, gathers, .. } = self.places[index];
        if let Some(opener) = gathers.and_then(|body| self.scopes[body].opener) {
            self.places[index].depends_on.insert(opener);
        }
        // An item is made in the body, and a configuration outside of it.
        let fed = draft.fed_by.iter().map(|&source| (gathers.unwrap_or(scope), source));
        let configured = draft.configured_by.iter().map(|&source| (scope, source));
        let mut taken = Vec::new();
        for (reader, source) in fed.chain(configured) {
            let home = self.delivers_in(source);
            // A `foreach` that repeats its reader has delivered when that runs.
            let repeats = self.places[source].opens.is_some();
            if !self.within(reader, home) {
                continue;
            }
            if home == reader {
                if reader == scope && !repeats {
                    self.places[index].depends_on.insert(source);
                }
                continue;
            }
            let mut body = reader;
            while self.scopes[body].parent != home {
                body = self.scopes[body].parent;
            }
            if let Some(opener) = self.scopes[body].opener.filter(|_| !repeats) {
                self.places[opener].depends_on.insert(source);
                taken.push(Taken { node: index, source, body });
            }
        }
        taken
    }

    /// A loop cannot wait for its own end.
    fn check_taken(&mut self, taken: &[Taken]) {
        let mut told = BTreeSet::new();
        for &Taken { node, source, body } in taken {
            let Some(opener) = self.scopes[body].opener.filter(|&opener| self.waits_for(source, opener)) else {
                continue;
            };
            if told.insert((node, source)) {
                let message = format!(
                    "`{}` is repeated by the loop `{}` and uses `{}`, which is known only when that loop has ended; what uses it must take values of the loop from a `collect`",
                    self.id(node),
                    self.id(opener),
                    self.id(source),
                );
                self.escape(node, message);
            }
        }
    }

    fn waits_for(&self, index: usize, sought: usize) -> bool {
        let mut seen = vec![false; self.places.len()];
        let mut open = vec![index];
        while let Some(index) = open.pop() {
            if index == sought {
                return true;
            }
            if !std::mem::replace(&mut seen[index], true) {
                open.extend(&self.places[index].depends_on);
            }
        }
        false
    }

    /// What a loop is at can only be asked inside of one.
    fn check_loop_names(&mut self, index: usize) {
        let drafts = self.drafts;
        let Place { scope, gathers, .. } = self.places[index];
        for LoopName { root, pointer, fed } in &drafts[index].loop_names {
            let reader = if *fed { gathers.unwrap_or(scope) } else { scope };
            if reader == 0 {
                let message = format!(
                    "`{root}` is a name in loops, and `{}` is in none; it needs an edge or a reference that comes from a `foreach`",
                    self.id(index)
                );
                self.problems.push(Problem::new(ProblemCode::Reference, pointer.as_str(), message));
            }
        }
    }
}
