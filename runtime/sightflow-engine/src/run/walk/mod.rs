//! The walk: which frames may run, what their work made of the run, and when it has ended. It does no work itself, waits for
//! nothing and has no task: whoever holds it asks for work and says what came of it.

mod arrive;
mod items;
mod jobs;
mod record;
pub(super) mod scope;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use sightflow_types::definition::OnError;
use sightflow_types::error::{RunError, code};
use sightflow_types::{JobId, event};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::arrive::Arrival;
use self::scope::Scope;
use super::End;
use super::frame::{Attempts, Frame, History, Outputs, PassId};
use super::jobs::JobRequest;
use super::pass::Pass;
use super::perform::waits_for_others;
use super::report::Record;
use super::state::{Completed, Failed, State};
use super::tally::Tally;
use super::work::{Delivered, Ground, NodeFailure, Phase, Step, Work};
use crate::catalog::EngineKind;
use crate::cell::Cell;
use crate::images::{ImageTable, Picture};
use crate::plan::{Plan, PlanNode};
use crate::weight::Room;

/// Bytes of log lines that all frames of a run keep together.
const LOG_BYTES: usize = 1 << 20;

/// A run: its frames and what they left behind.
pub(super) struct Walk {
    pub(super) ground: Arc<Ground>,
    pub(super) plan: Arc<Plan>,
    pub(super) table: Arc<ImageTable>,
    /// What expressions name as `inputs`.
    pub(super) inputs: HashMap<String, Cell>,
    pub(super) parameters: Arc<Map<String, Value>>,
    /// Keeps the images of the parameters.
    parameter_images: Vec<Arc<Picture>>,
    pub(super) passes: HashMap<PassId, Pass>,
    pub(super) next_pass: u64,
    /// Ready: work for a thread that may block.
    calls: VecDeque<Frame>,
    /// Ready: work that waits for others.
    errands: VecDeque<Frame>,
    /// Frames whose jobs have ended.
    finishing: VecDeque<Box<Work>>,
    /// Jobs of this round.
    requests: Vec<(Frame, Vec<JobRequest>)>,
    /// Open jobs: who waits, and for which of its images.
    jobs: HashMap<JobId, (Frame, usize)>,
    /// When a frame must be looked at: its pause is over, or it waits too long.
    pub(super) alarms: BTreeSet<(Instant, Frame)>,
    /// Pieces of work under way.
    running: usize,
    /// Bytes of what they were given.
    given: u64,
    /// Frames that run or wait for jobs.
    pub(super) active: BTreeSet<Frame>,
    /// Frames that loops have opened, and will for the items that they know of.
    pub(super) loop_frames: usize,
    /// What is left of [`LOG_BYTES`].
    log_budget: usize,
    /// By node: how its frames ended, for nodes inside of loops.
    pub(super) tallies: Vec<Tally>,
    /// Frames with news for the next report.
    pub(super) touched: BTreeSet<Frame>,
    /// News of frames that are gone.
    pub(super) records: Vec<Record>,
    pub(super) block_cpu_us: u64,
    end: Option<End>,
}

impl Walk {
    pub(super) fn new(ground: Arc<Ground>, parameters: Map<String, Value>, cancel: CancellationToken) -> Self {
        let plan = Arc::clone(&ground.plan);
        let mut walk = Self {
            table: Arc::clone(&ground.table),
            inputs: HashMap::new(),
            parameters: Arc::new(parameters),
            parameter_images: Vec::new(),
            passes: HashMap::new(),
            next_pass: 1,
            calls: VecDeque::new(),
            errands: VecDeque::new(),
            finishing: VecDeque::new(),
            requests: Vec::new(),
            jobs: HashMap::new(),
            alarms: BTreeSet::new(),
            running: 0,
            given: 0,
            active: BTreeSet::new(),
            loop_frames: 0,
            log_budget: LOG_BYTES,
            tallies: plan.nodes.iter().map(|_| Tally::default()).collect(),
            touched: BTreeSet::new(),
            records: Vec::new(),
            block_cpu_us: 0,
            end: None,
            ground,
            plan,
        };
        let root = Pass::new(&walk.plan, 0, cancel);
        walk.enter(PassId::ROOT, root);
        walk
    }

    /// The run's own values, with their images opened.
    pub(super) fn provide(
        &mut self,
        inputs: HashMap<String, Cell>,
        parameters: Map<String, Value>,
        parameter_images: Vec<Arc<Picture>>,
    ) {
        self.inputs = inputs;
        self.parameters = Arc::new(parameters);
        self.parameter_images = parameter_images;
    }

    /// Adds a pass; its frames that wait for nothing are ready.
    pub(super) fn enter(&mut self, id: PassId, mut pass: Pass) {
        for (slot, &node) in self.plan.scopes[pass.scope].nodes.iter().enumerate() {
            self.tallies[node].live += 1;
            if matches!(pass.states[slot], State::Blocked(0)) {
                pass.states[slot] = State::Ready;
                let ready = queue(&self.plan, node, &mut self.calls, &mut self.errands);
                ready.push_back(Frame { pass: id, node });
            }
        }
        self.passes.insert(id, pass);
    }

    // ── What there is to do ─────────────────────────────────────────────────────────────────────────────────────────

    /// Work for a thread that may block, if there is some.
    pub(super) fn call(&mut self) -> Option<Box<Work>> {
        if self.end.is_some() {
            return None;
        }
        if let Some(work) = self.finishing.pop_front() {
            return Some(work);
        }
        self.take(|walk| &mut walk.calls)
    }

    /// More calls of this node that are ready, at most so many: they may share one with its work.
    pub(super) fn companions(&mut self, node: usize, most: usize) -> VecDeque<Box<Work>> {
        let mut found = VecDeque::new();
        while self.end.is_none() && found.len() < most && self.given <= self.ground.kept.limits().values {
            let Some(frame) = self.calls.pop_front_if(|frame| frame.node == node) else { break };
            found.extend(self.begin(frame));
        }
        found
    }

    /// Work that waits for others, if there is some.
    pub(super) fn errand(&mut self) -> Option<Box<Work>> {
        self.take(|walk| &mut walk.errands)
    }

    pub(super) fn has_errands(&self) -> bool {
        !self.errands.is_empty()
    }

    /// Frames that a thread could run now.
    pub(super) fn calls(&self) -> usize {
        if self.end.is_some() { 0 } else { self.calls.len() + self.finishing.len() }
    }

    fn take(&mut self, queue: impl Fn(&mut Self) -> &mut VecDeque<Frame>) -> Option<Box<Work>> {
        // What a node is given is copied for it. While a lot of that is under way, no more nodes start.
        while self.end.is_none() && (self.running == 0 || self.given <= self.ground.kept.limits().values) {
            let frame = queue(self).pop_front()?;
            if let Some(work) = self.begin(frame) {
                return Some(work);
            }
        }
        None
    }

    /// The jobs that are to be enqueued together now.
    pub(super) fn round(&mut self) -> Vec<(Frame, Vec<JobRequest>)> {
        let mut round = std::mem::take(&mut self.requests);
        round.retain(|(frame, _)| matches!(self.state(*frame), Some(State::Inferring(_))));
        round
    }

    pub(super) fn has_requests(&self) -> bool {
        !self.requests.is_empty()
    }

    /// Jobs that somebody waits for.
    pub(super) fn open_jobs(&self) -> Vec<JobId> {
        self.jobs.keys().copied().collect()
    }

    pub(super) fn waits_for_jobs(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// When the walk must be looked at, whatever happens.
    pub(super) fn alarm(&self) -> Option<Instant> {
        self.alarms.first().map(|(at, _)| *at)
    }

    /// Nothing computes that could ask for more jobs.
    pub(super) fn computes_nothing(&self) -> bool {
        self.running == 0 && self.calls() == 0 && self.errands.is_empty()
    }

    /// Nothing computes and nothing is about to.
    pub(super) fn idle(&self) -> bool {
        self.computes_nothing() && self.requests.is_empty()
    }

    /// Every frame of the graph itself has come to its end.
    pub(super) fn all_settled(&self) -> bool {
        self.passes.get(&PassId::ROOT).is_some_and(|root| root.unsettled == 0)
    }

    pub(super) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Ends the run; the first reason stays.
    pub(super) fn stop(&mut self, end: End) {
        self.end.get_or_insert(end);
    }

    // ── A frame begins ──────────────────────────────────────────────────────────────────────────────────────────────

    fn begin(&mut self, frame: Frame) -> Option<Box<Work>> {
        let state = self.state(frame)?;
        let attempts = match state {
            State::Ready => {
                let trace = Arc::default();
                Attempts { started: Instant::now(), count: 1, trace }
            }
            State::Pausing(attempts) => Attempts { count: attempts.count + 1, ..attempts.clone() },
            _ => return None,
        };
        match self.prepare(frame, &attempts) {
            Ok(Prepared::Skip(reason)) => self.skipped(frame, reason),
            Err(error) => self.failed(frame, attempts, NodeFailure::from(error)),
            Ok(Prepared::Run(work)) => {
                let first = attempts.count == 1;
                self.given += work.given;
                self.work_begins(frame, attempts);
                if first {
                    self.tell(event::NODE_STARTED, frame, Map::new());
                }
                return Some(work);
            }
        }
        None
    }

    fn work_begins(&mut self, frame: Frame, attempts: Attempts) {
        self.running += 1;
        self.active.insert(frame);
        if let Some(state) = self.state(frame) {
            *state = State::Running(attempts);
        }
        self.touch(frame);
    }

    fn prepare(&self, frame: Frame, attempts: &Attempts) -> Result<Prepared, RunError> {
        let Some(pass) = self.passes.get(&frame.pass) else {
            return Ok(Prepared::Skip("its item has ended".to_owned()));
        };
        let scope = Scope { walk: self, pass: frame.pass };
        let mut room = Room::new(self.ground.kept.limits().values);
        let phase = match self.plan.nodes[frame.node].gathers {
            None => Phase::Begin,
            Some(inner) => match self.gathering(pass, inner, frame.node) {
                Some(phase) => phase,
                None => return Ok(Prepared::Skip("its loop did not run".to_owned())),
            },
        };
        let inputs = match arrive::inputs(frame.node, scope, &mut room)? {
            Arrival::All(inputs) => inputs,
            Arrival::Missing(reason) => return Ok(Prepared::Skip(reason)),
        };
        let (config, config_text) = arrive::config(frame.node, scope, &self.ground.context, &mut room)?;
        Ok(Prepared::Run(Box::new(Work {
            ground: Arc::clone(&self.ground),
            frame,
            path: Arc::clone(&pass.path),
            parameters: Arc::clone(&self.parameters),
            inputs,
            config,
            config_text,
            cancel: pass.cancel.clone(),
            trace: Arc::clone(&attempts.trace),
            given: room.taken(),
            phase,
        })))
    }

    // ── What came of it ─────────────────────────────────────────────────────────────────────────────────────────────

    /// A piece of work has ended.
    pub(super) fn settle(&mut self, frame: Frame, given: u64, result: Result<Step, NodeFailure>) {
        self.running -= 1;
        self.given -= given;
        self.active.remove(&frame);
        let attempts = match self.state(frame) {
            Some(State::Running(attempts)) => attempts.clone(),
            // Its item is over: nobody waits for it.
            _ => return self.forget(result),
        };
        if self.end.is_some() {
            return self.forget(result);
        }
        match result {
            Ok(Step::Delivered(delivered)) => self.completed(frame, &attempts, delivered),
            Ok(Step::Jobs(work, requests)) => self.infer(frame, attempts, work, requests),
            Ok(Step::Loop(spec)) => self.open_loop(frame, attempts, spec),
            Err(failure) => self.failed(frame, attempts, failure),
        }
    }

    fn forget(&self, result: Result<Step, NodeFailure>) {
        match result {
            Ok(Step::Delivered(delivered)) => self.ground.kept.release(weight(&delivered.outputs)),
            Ok(Step::Loop(spec)) => self.ground.kept.release(spec.kept),
            Ok(Step::Jobs(..)) | Err(_) => {}
        }
    }

    fn completed(&mut self, frame: Frame, attempts: &Attempts, delivered: Delivered) {
        let Delivered { outputs, jobs, queue_ms, attempts: of_jobs } = delivered;
        let history = History { queue_ms, attempts: attempts.count.max(of_jobs), jobs, ..History::of(attempts) };
        let kept = weight(&outputs);
        if self.listens() {
            let more = json!({"duration_ms": history.duration_ms(), "outputs_summary": record::summary(&outputs)});
            self.tell(event::NODE_COMPLETED, frame, fields(more));
        }
        if let Some(pass) = self.passes.get_mut(&frame.pass) {
            pass.kept += kept;
        }
        self.leave(frame, State::Completed(Box::new(Completed { outputs, history, gathered: None })));
    }

    fn skipped(&mut self, frame: Frame, reason: String) {
        self.tell(event::NODE_SKIPPED, frame, fields(json!({"reason": reason})));
        self.leave(frame, State::Skipped(reason));
    }

    /// An attempt failed: the frame pauses and is repeated, or it has failed.
    fn failed(&mut self, frame: Frame, attempts: Attempts, failure: NodeFailure) {
        let node = &self.plan.nodes[frame.node];
        // A finished job answers from its row, so a model node has nothing to repeat: its jobs have their own attempts.
        let repeats = failure.repeat && node.entry.engine() != EngineKind::Model && attempts.count <= node.retries;
        if repeats {
            let pause = node.backoff.saturating_mul(1 << (attempts.count - 1).min(10));
            self.alarms.insert((Instant::now() + pause, frame));
            if let Some(state) = self.state(frame) {
                *state = State::Pausing(attempts);
            }
            return;
        }
        let NodeFailure { error, attempts: of_jobs, jobs, .. } = failure;
        let history = History { attempts: attempts.count.max(of_jobs), jobs, ..History::of(&attempts) };
        self.fail(frame, error, history);
    }

    /// A frame has failed: its item goes on without it, or fails with it.
    pub(super) fn fail(&mut self, frame: Frame, mut error: RunError, history: History) {
        let node = &self.plan.nodes[frame.node];
        let continues = node.on_error == OnError::Continue;
        if error.node_id.is_none() {
            let path = self.passes.get(&frame.pass).map(|pass| Arc::clone(&pass.path)).unwrap_or_default();
            let place = format!("{path}{}", error.item.as_deref().unwrap_or_default());
            error.item = Some(place).filter(|place| !place.is_empty());
            error.node_id = Some(node.id.to_string());
        }
        self.tell(event::NODE_FAILED, frame, fields(json!({"error": error, "continues": continues})));
        let failed = State::Failed(Box::new(Failed { error: error.clone(), history }));
        if continues {
            return self.leave(frame, failed);
        }
        self.close(&failed);
        if let Some(state) = self.state(frame) {
            *state = failed;
        }
        self.touch(frame);
        self.lose(frame.pass, error);
    }

    /// A frame has settled: what waits for it may go on.
    pub(super) fn leave(&mut self, frame: Frame, state: State) {
        let (plan, slot) = (Arc::clone(&self.plan), self.plan.nodes[frame.node].slot);
        let node = &plan.nodes[frame.node];
        self.close(&state);
        self.touch(frame);
        let Some(pass) = self.passes.get_mut(&frame.pass) else { return };
        pass.states[slot] = state;
        pass.unsettled -= 1;
        let over = pass.unsettled == 0;
        for &dependent in &node.dependents {
            let place = plan.nodes[dependent].slot;
            if let State::Blocked(open) = &mut pass.states[place] {
                *open -= 1;
                if *open == 0 {
                    pass.states[place] = State::Ready;
                    let ready = queue(&plan, dependent, &mut self.calls, &mut self.errands);
                    ready.push_back(Frame { pass: frame.pass, node: dependent });
                }
            }
        }
        // Values live until their last reader has run.
        if pass.readers[slot] == 0 {
            self.let_go(frame);
        }
        for &source in &node.depends_on {
            let Some(pass) = self.passes.get_mut(&frame.pass) else { return };
            let place = plan.nodes[source].slot;
            pass.readers[place] -= 1;
            if pass.readers[place] == 0 {
                self.let_go(Frame { node: source, ..frame });
            }
        }
        if over && frame.pass != PassId::ROOT {
            self.item_over(frame.pass);
        }
    }

    /// Takes what its calls logged and used into the run's account.
    fn close(&mut self, state: &State) {
        if let Some(trace) = record::trace(state) {
            let mut trace = trace.lock().unwrap_or_else(PoisonError::into_inner);
            trace.settle(&mut self.log_budget);
            self.block_cpu_us += trace.cpu_us();
        }
    }

    /// No node reads this frame any more; what the end of its item or of the run reads stays.
    fn let_go(&mut self, frame: Frame) {
        let Self { plan, passes, ground, .. } = self;
        let (node, Some(pass)) = (&plan.nodes[frame.node], passes.get_mut(&frame.pass)) else { return };
        let State::Completed(completed) = &mut pass.states[node.slot] else { return };
        if let Some(results) = &mut completed.gathered {
            results.collected.clear();
            let freed = std::mem::take(&mut results.kept);
            pass.kept = pass.kept.saturating_sub(freed);
            ground.kept.release(freed);
        }
        if ground.lasting[frame.node] {
            return;
        }
        let mut freed = 0;
        completed.outputs.retain(|(port, cell)| {
            let stays = frame.pass == PassId::ROOT && plan.reads(node, port);
            freed += if stays { 0 } else { cell.weight() };
            stays
        });
        completed.outputs.shrink_to_fit();
        pass.kept = pass.kept.saturating_sub(freed);
        ground.kept.release(freed);
    }

    /// Looks at the frames whose time has come.
    pub(super) fn ring(&mut self, now: Instant) {
        while let Some((at, frame)) = self.alarms.first().copied().filter(|(at, _)| *at <= now) {
            self.alarms.remove(&(at, frame));
            match self.state(frame) {
                Some(State::Pausing(_)) => {
                    let ready = queue(&self.plan, frame.node, &mut self.calls, &mut self.errands);
                    ready.push_back(frame);
                }
                Some(State::Inferring(waiting)) => {
                    let (attempts, jobs) = (waiting.attempts.clone(), waiting.jobs.clone());
                    self.forget_jobs(&jobs);
                    self.active.remove(&frame);
                    let limit = self.plan.nodes[frame.node].timeout.unwrap_or_default();
                    let failure = NodeFailure { jobs, ..NodeFailure::from(out_of_time(limit)) };
                    self.failed(frame, attempts, failure);
                }
                Some(State::Looping(_)) => {
                    let limit = self.plan.nodes[frame.node].timeout.unwrap_or_default();
                    self.fail_loop(frame, out_of_time(limit));
                }
                _ => {}
            }
        }
    }

    // ── Helpers ─────────────────────────────────────────────────────────────────────────────────────────────────────

    pub(super) fn node(&self, frame: Frame) -> &PlanNode {
        &self.plan.nodes[frame.node]
    }

    pub(super) fn state(&mut self, frame: Frame) -> Option<&mut State> {
        let slot = self.plan.nodes[frame.node].slot;
        self.passes.get_mut(&frame.pass).map(|pass| &mut pass.states[slot])
    }

    pub(super) fn touch(&mut self, frame: Frame) {
        if self.listens() {
            self.touched.insert(frame);
            self.ground.parts.observer.changed();
        }
    }

    pub(super) fn listens(&self) -> bool {
        self.ground.parts.observer.listens()
    }

    /// An event about a frame.
    pub(super) fn tell(&self, kind: &'static str, frame: Frame, more: Map<String, Value>) {
        let observer = &self.ground.parts.observer;
        if !observer.listens() {
            return;
        }
        let item = self.passes.get(&frame.pass).map(|pass| &*pass.path).filter(|path| !path.is_empty());
        let mut payload = fields(json!({"node_id": &*self.node(frame).id, "item": item}));
        payload.extend(more);
        observer.event(kind, Value::Object(payload));
    }
}

enum Prepared {
    Run(Box<Work>),
    Skip(String),
}

impl History {
    pub(super) fn of(attempts: &Attempts) -> Self {
        Self {
            duration: attempts.started.elapsed(),
            attempts: attempts.count,
            queue_ms: None,
            jobs: Vec::new(),
            trace: Arc::clone(&attempts.trace),
        }
    }

    pub(super) fn duration_ms(&self) -> u64 {
        u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The queue in which a ready node waits.
fn queue<'q>(
    plan: &Plan,
    node: usize,
    calls: &'q mut VecDeque<Frame>,
    errands: &'q mut VecDeque<Frame>,
) -> &'q mut VecDeque<Frame> {
    if waits_for_others(&plan.nodes[node]) { errands } else { calls }
}

pub(super) fn out_of_time(limit: Duration) -> RunError {
    RunError::new(code::TIMEOUT, format!("the node ran longer than its `timeout_ms` of {}", limit.as_millis()))
}

fn weight(outputs: &Outputs) -> u64 {
    outputs.iter().map(|(_, cell)| cell.weight()).sum()
}

/// The fields of an object.
pub(super) fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// Nodes whose values the end of an item reads: what a `collect` takes, and what the run's outputs read.
pub(super) fn lasting(plan: &Plan) -> Vec<bool> {
    let mut lasting = vec![false; plan.nodes.len()];
    for scope in plan.scopes.iter().skip(1) {
        scope.exports.iter().for_each(|&node| lasting[node] = true);
        let taken = scope.collects.iter().flat_map(|&collect| arrive::sources(plan, collect));
        taken.for_each(|node| lasting[node] = true);
    }
    lasting
}
