//! The walk through loops: items begin, end, and fail.

use std::sync::Arc;

use serde_json::json;
use sightflow_types::error::{RunError, code};
use sightflow_types::event;

use super::arrive;
use super::record;
use super::scope::Scope;
use super::{Walk, fields};
use crate::cell::Cell;
use crate::native::{Gathering, LoopSpec};
use crate::run::End;
use crate::run::frame::{Attempts, Frame, History, PassId};
use crate::run::loops::{Gathered, ItemError, Loop, LoopResults};
use crate::run::pass::Pass;
use crate::run::state::{Completed, State};
use crate::run::work::Phase;
use crate::weight::Room;

/// Passes of one run at a time; with more, every loop goes on with one item at a time.
const PASSES: usize = 1024;

/// What an item leaves to its loop.
struct ItemResult {
    collected: Vec<Option<Cell>>,
    exports: Vec<Gathered>,
}

impl Walk {
    /// A `foreach` knows its items.
    pub(super) fn open_loop(&mut self, frame: Frame, attempts: Attempts, spec: LoopSpec) {
        let Some(scope) = self.node(frame).opens else { return };
        let (before, most) = (self.loop_frames, self.plan.loop_frames);
        self.loop_frames = before.saturating_add(spec.items.len().saturating_mul(self.plan.scopes[scope].nodes.len()));
        if self.loop_frames > most {
            self.ground.kept.release(spec.kept);
            let items = spec.items.len();
            let message = format!(
                "with {items} more items, the nodes inside of loops would run {} times; at most {most} are allowed in one run",
                self.loop_frames
            );
            self.loop_frames = before;
            return self.failed(frame, attempts, RunError::new(code::BLOCK_LIMIT, message).into());
        }
        let Some(pass) = self.passes.get_mut(&frame.pass) else { return };
        pass.kept += spec.kept;
        let path = Arc::clone(&pass.path);
        if let Some(limit) = self.node(frame).timeout {
            self.alarms.insert((attempts.started + limit, frame));
        }
        let running = Loop::new(spec, attempts, scope, &self.plan.scopes[scope], &path);
        if let Some(state) = self.state(frame) {
            *state = State::Looping(Box::new(running));
        }
        self.advance(frame);
    }

    /// Begins items while the loop allows; ends the loop with its last item.
    pub(super) fn advance(&mut self, opener: Frame) {
        while self.end().is_none() {
            let crowded = self.passes.len() > PASSES;
            let Some(State::Looping(running)) = self.state(opener) else { return };
            let Some(item) = running.next(crowded) else { break };
            let scope = running.scope;
            let id = PassId(self.next_pass);
            self.next_pass += 1;
            if let Some(State::Looping(running)) = self.state(opener) {
                running.open.insert(id);
            }
            let Some(around) = self.passes.get(&opener.pass) else { return };
            let mut pass = Pass::new(&self.plan, scope, around.cancel.child_token());
            pass.opener = Some(opener);
            (pass.index, pass.path, pass.bindings) = (item.index, item.path, item.bindings);
            let empty = pass.unsettled == 0;
            self.enter(id, pass);
            if empty
                && let Err(error) = self.end_item(id)
                && self.lose_item(id, error).is_none()
            {
                return;
            }
        }
        if matches!(self.state(opener), Some(State::Looping(running)) if running.done()) {
            self.loop_over(opener);
        }
    }

    fn loop_over(&mut self, opener: Frame) {
        let Some(state) = self.state(opener) else { return };
        let State::Looping(running) = std::mem::replace(state, State::Cancelled(None)) else { return };
        self.close_loop(opener, &running);
        let history = History::of(&running.attempts);
        if self.listens() {
            let (items, failed) = (running.progress().0, running.results.errors.len());
            let summary = json!({"items": items, "failed": failed});
            let more = json!({"duration_ms": history.duration_ms(), "outputs_summary": summary});
            self.tell(event::NODE_COMPLETED, opener, fields(more));
        }
        let completed = Completed { outputs: Vec::new(), history, gathered: Some(Box::new(running.results)) };
        self.leave(opener, State::Completed(Box::new(completed)));
    }

    /// Every frame of an item has settled.
    pub(super) fn item_over(&mut self, id: PassId) {
        let Some(opener) = self.passes.get(&id).and_then(|pass| pass.opener) else { return };
        match self.end_item(id) {
            Ok(()) => self.advance(opener),
            Err(error) => self.lose(id, error),
        }
    }

    /// Takes from an item what its loop keeps, and forgets the rest.
    fn end_item(&mut self, id: PassId) -> Result<(), RunError> {
        let Some((opener, scope, index)) =
            self.passes.get(&id).and_then(|pass| Some((pass.opener?, pass.scope, pass.index)))
        else {
            return Ok(());
        };
        let result = self.item_result(id, scope)?;
        let held = |cells: &mut dyn Iterator<Item = &Cell>| cells.map(Cell::weight).sum::<u64>();
        let mut exported = 0;
        result
            .exports
            .iter()
            .for_each(|export| export.each(&mut |ports| exported += held(&mut ports.iter().map(|(_, cell)| cell))));
        let kept = exported + held(&mut result.collected.iter().flatten());
        // What belongs to passes around it is not counted twice.
        let kept = kept.min(self.forget_pass(id, kept));
        if let Some(around) = self.passes.get_mut(&opener.pass) {
            around.kept += kept;
        }
        let Some(State::Looping(running)) = self.state(opener) else { return Ok(()) };
        running.open.remove(&id);
        running.results.kept += kept.saturating_sub(exported);
        let place = running.place(index);
        for (items, value) in running.results.collected.iter_mut().zip(result.collected) {
            items[place] = value;
        }
        for ((_, items), value) in running.results.exports.iter_mut().zip(result.exports) {
            items[place] = value;
        }
        self.touch(opener);
        Ok(())
    }

    fn item_result(&mut self, id: PassId, scope: usize) -> Result<ItemResult, RunError> {
        let plan = Arc::clone(&self.plan);
        let most = self.ground.kept.limits().values;
        let view = Scope { walk: self, pass: id };
        let mut collected = Vec::with_capacity(plan.scopes[scope].collects.len());
        for &collect in &plan.scopes[scope].collects {
            let found = arrive::gathered(collect, view, &mut Room::new(most));
            collected.push(found.map_err(|error| error.at_node(&*plan.nodes[collect].id))?);
        }
        let exports = plan.scopes[scope].exports.iter().map(|&node| self.export(id, scope, node)).collect();
        Ok(ItemResult { collected, exports })
    }

    /// What an exported node delivered in this pass, or in the loops inside of it.
    fn export(&mut self, id: PassId, scope: usize, node: usize) -> Gathered {
        let plan = Arc::clone(&self.plan);
        let planned = &plan.nodes[node];
        let (mut inside, own) = (planned.opens.unwrap_or(planned.scope), scope);
        if inside == own {
            let ports = Scope { walk: self, pass: id }.delivered(node).to_vec();
            return if ports.is_empty() { Gathered::Absent } else { Gathered::Ports(ports) };
        }
        while plan.scopes[inside].parent != own && inside != 0 {
            inside = plan.scopes[inside].parent;
        }
        let Some(opener) = plan.scopes[inside].opener else { return Gathered::Absent };
        match self.state(Frame { pass: id, node: opener }) {
            Some(State::Completed(completed)) => {
                completed.gathered.as_mut().map_or(Gathered::Absent, |results| results.take_export(node))
            }
            _ => Gathered::Absent,
        }
    }

    /// An item, or the run, fails with an error.
    pub(super) fn lose(&mut self, id: PassId, error: RunError) {
        if id == PassId::ROOT {
            return self.stop(End::Failed(error));
        }
        if let Some(opener) = self.lose_item(id, error) {
            self.advance(opener);
        }
    }

    /// Ends an item with an error. A loop that skips goes on: the answer is its frame. Any other fails.
    fn lose_item(&mut self, id: PassId, mut error: RunError) -> Option<Frame> {
        let (opener, index, path) = {
            let pass = self.passes.get(&id)?;
            (pass.opener?, pass.index, Arc::clone(&pass.path))
        };
        error.item.get_or_insert_with(|| path.to_string());
        let Some(State::Looping(running)) = self.state(opener) else { return None };
        if running.skips() {
            running.open.remove(&id);
            running.results.errors.push(ItemError { index, error });
            self.abandon(id, Some("another node of its item failed"));
            self.touch(opener);
            return Some(opener);
        }
        self.fail_loop(opener, error);
        None
    }

    /// Ends a loop, and the items that run, with an error.
    pub(super) fn fail_loop(&mut self, opener: Frame, error: RunError) {
        let Some(state) = self.state(opener) else { return };
        let State::Looping(running) = std::mem::replace(state, State::Cancelled(None)) else { return };
        self.close_loop(opener, &running);
        running.open.iter().for_each(|&open| self.abandon(open, None));
        self.fail(opener, error, History::of(&running.attempts));
    }

    /// No item begins any more: what was kept for them is given back, and the loop's time is not measured.
    fn close_loop(&mut self, opener: Frame, running: &Loop) {
        self.disarm(opener, &running.attempts);
        if let Some(pass) = self.passes.get_mut(&opener.pass) {
            pass.kept = pass.kept.saturating_sub(running.kept());
        }
        self.ground.kept.release(running.kept());
    }

    /// Ends a pass before its frames have: takes their work back. What did not begin is skipped for `reason`, or cancelled.
    pub(super) fn abandon(&mut self, id: PassId, reason: Option<&str>) {
        let Some(scope) = self.passes.get(&id).map(|pass| pass.scope) else { return };
        for node in self.plan.scopes[scope].nodes.clone() {
            let frame = Frame { pass: id, node };
            let Some(state) = self.state(frame).filter(|state| !state.settled()) else { continue };
            let begun = state.began().map(|began| began.elapsed());
            let ended = match (begun, reason) {
                (None, Some(reason)) => State::Skipped(reason.to_owned()),
                (begun, _) => State::Cancelled(begun),
            };
            match std::mem::replace(state, ended) {
                State::Looping(running) => running.open.iter().for_each(|&inner| self.abandon(inner, reason)),
                State::Inferring(waiting) => self.forget_jobs(&waiting.jobs),
                _ => {}
            }
            self.active.remove(&frame);
            self.touch(frame);
        }
        // The run does not wait for what nobody waits for.
        self.alarms.retain(|(_, frame)| frame.pass != id);
        self.forget_pass(id, 0);
    }

    /// The run is over: what has not settled is cancelled, and every node has a last record.
    pub(in crate::run) fn close_all(&mut self) {
        let inner: Vec<PassId> = self.passes.keys().copied().filter(|id| *id != PassId::ROOT).collect();
        inner.into_iter().for_each(|id| self.abandon(id, None));
        let root = self.plan.scopes[0].nodes.clone();
        for frame in root.into_iter().map(|node| Frame { pass: PassId::ROOT, node }) {
            let Some(state) = self.state(frame).filter(|state| !state.settled()) else { continue };
            *state = State::Cancelled(state.began().map(|began| began.elapsed()));
            self.active.remove(&frame);
            self.touch(frame);
        }
        if self.listens() {
            let sums = (0..self.plan.nodes.len()).filter_map(|node| self.sum(node)).collect::<Vec<_>>();
            self.records.extend(sums);
        }
    }

    /// Drops a pass, with its values but for `kept` bytes; its records stay. Answers the bytes that it had.
    fn forget_pass(&mut self, id: PassId, kept: u64) -> u64 {
        let touched: Vec<Frame> = self
            .touched
            .range(Frame { pass: id, node: 0 }..Frame { pass: PassId(id.0 + 1), node: 0 })
            .copied()
            .collect();
        for frame in touched {
            self.touched.remove(&frame);
            let made = record::of_frame(self, frame);
            self.records.extend(made);
        }
        let Some(pass) = self.passes.remove(&id) else { return 0 };
        pass.cancel.cancel();
        for (state, &node) in pass.states.iter().zip(&self.plan.scopes[pass.scope].nodes) {
            self.tallies[node].live -= 1;
            self.tallies[node].add(state);
        }
        self.ground.kept.release(pass.kept.saturating_sub(kept));
        pass.kept
    }

    /// What a `collect` gathers, if its loop ran.
    pub(super) fn gathering(&self, pass: &Pass, inner: usize, collect: usize) -> Option<Phase> {
        let scope = &self.plan.scopes[inner];
        let opener = &self.plan.nodes[scope.opener?];
        let State::Completed(completed) = &pass.states[opener.slot] else { return None };
        let results: &LoopResults = completed.gathered.as_ref()?;
        let place = scope.collects.iter().position(|&node| node == collect)?;
        let items = results.collected.get(place)?.clone();
        Some(Phase::Gather(Gathering { items, first: results.first, errors: results.errors() }))
    }
}
