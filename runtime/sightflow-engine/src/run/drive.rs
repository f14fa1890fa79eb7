//! Driving a run: threads for what computes, tasks for what waits, rounds for jobs.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use serde_json::{Map, Value};
use sightflow_fair::Slot;
use sightflow_supervisor::{Panicked, caught};
use sightflow_types::JobId;
use sightflow_types::error::{RunError, chain, code};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::frame::Frame;
use super::jobs::{JobOutcome, JobRequest};
use super::kept::Kept;
use super::report::Report;
use super::request::{End, RunOutcome, RunParts, RunSpec};
use super::together::{self, Worked};
use super::walk::{self, Walk, out_of_time};
use super::work::{Ground, NodeFailure, Step, Work};
use super::{import, outputs};
use crate::weight::weigh;

/// How long the jobs of a round wait for those of items that still compute.
const ROUND: Duration = Duration::from_millis(5);

/// How long the end of a run waits for work that was taken back.
const PATIENCE: Duration = Duration::from_millis(200);

/// A lane that has computed this long ends when others wait for one.
const TURN: Duration = Duration::from_millis(10);

/// A run: computes while somebody drives it, and waits without a task or a thread in between.
pub struct Run {
    shared: Arc<Shared>,
    /// Bytes of its input.
    given: u64,
    deadline: Option<Instant>,
    cancel: CancellationToken,
}

struct Shared {
    ground: Arc<Ground>,
    walk: Mutex<Walk>,
    /// The driver has something to look at.
    news: Notify,
    lanes: Mutex<usize>,
    /// Ends the work of the run, whatever ends the run.
    work: CancellationToken,
    imported: Mutex<bool>,
}

/// Why driving stops.
#[derive(Debug)]
pub enum Pause {
    /// The run has ended.
    Ended(Box<RunOutcome>),
    /// It only waits: for jobs, and at the latest until then.
    Waiting(Option<Instant>),
}

/// What a driver's futures come to.
enum Done {
    Worked(Frame, u64, Result<Step, NodeFailure>),
    Enqueued(Vec<(Frame, usize)>, Result<Vec<(JobId, Option<JobOutcome>)>, RunError>),
    Followed(Result<Vec<(JobId, JobOutcome)>, RunError>),
    Lane(Option<Slot>),
}

type Doing = FuturesUnordered<BoxFuture<'static, Done>>;

/// Runs a plan to its end, or until it is stopped, in this process.
pub async fn run_plan(parts: &RunParts, request: RunSpec) -> RunOutcome {
    let run = Run::new(parts.clone(), request);
    loop {
        match run.drive().await {
            Pause::Ended(outcome) => return *outcome,
            Pause::Waiting(until) => run.waited(until).await,
        }
    }
}

impl Run {
    /// A run that has not begun.
    pub fn new(parts: RunParts, request: RunSpec) -> Self {
        let RunSpec { plan, input, tenant, execution_id, context, cancel, deadline } = request;
        let work = cancel.child_token();
        let parameters = input.parameters.clone();
        let given = input.values.values().chain(parameters.values()).map(weigh).sum();
        let ground = Arc::new(Ground {
            lasting: walk::lasting(&plan),
            plan,
            kept: Kept::new(parts.limits.clone()),
            parts,
            table: Arc::default(),
            run: input,
            tenant,
            execution_id,
            context,
        });
        let walk = Walk::new(Arc::clone(&ground), parameters, work.clone());
        let shared = Shared {
            ground,
            walk: Mutex::new(walk),
            news: Notify::new(),
            lanes: Mutex::new(0),
            work,
            imported: Mutex::new(false),
        };
        Self { shared: Arc::new(shared), given, deadline, cancel }
    }

    /// What changed since the last report.
    pub fn report(&self) -> Report {
        self.shared.walk().report()
    }

    /// Lets go of the pixels that can be had again.
    pub fn shed(&self) {
        self.shared.ground.table.shed();
    }

    /// The jobs that it waits for.
    pub fn open_jobs(&self) -> Vec<JobId> {
        self.shared.walk().open_jobs()
    }

    /// Whether a node's time is measured, its limit or a pause before it is repeated: walked again, it would begin anew.
    pub fn measures_time(&self) -> bool {
        self.shared.walk().alarm().is_some()
    }

    /// Bytes of values that it keeps, its input included.
    pub fn kept_bytes(&self) -> u64 {
        self.shared.ground.kept.bytes() + self.given
    }

    /// Resolves when the run may have something to do again: news of its jobs, `until`, or its end.
    pub async fn waited(&self, until: Option<Instant>) {
        tokio::select! {
            () = self.cancel.cancelled() => {}
            () = self.shared.ground.parts.jobs.news() => {}
            () = sleep_until(earliest(until, self.deadline)) => {}
        }
    }

    /// Computes until the run has ended or only waits. A panic on the way fails the run, and what resolved before is kept.
    pub async fn drive(&self) -> Pause {
        let end = match caught(self.compute()).await {
            Ok(None) => {
                let until = self.shared.walk().alarm();
                return Pause::Waiting(earliest(until, self.deadline));
            }
            Ok(Some(end)) => end,
            Err(panicked) => self.shared.panicked(&panicked),
        };
        Pause::Ended(Box::new(self.conclude(end).await))
    }

    /// The end, or nothing while the run waits.
    async fn compute(&self) -> Option<End> {
        let shared = &self.shared;
        let late = || End::Failed(RunError::new(code::TIMEOUT, "the execution ran out of time (`timeout_seconds`)"));
        if !*shared.imported.lock().unwrap_or_else(PoisonError::into_inner) {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Some(End::Stopped),
                () = sleep_until(self.deadline) => return Some(late()),
                imported = import::import(&shared.ground) => match imported {
                    Ok(import::Imported { inputs, parameters, pictures }) => shared.walk().provide(inputs, parameters, pictures),
                    Err(error) => return Some(End::Failed(error)),
                },
            }
            *shared.imported.lock().unwrap_or_else(PoisonError::into_inner) = true;
        }
        let mut doing: Doing = FuturesUnordered::new();
        let (mut enqueuing, mut following, mut asks_lane) = (false, false, false);
        let mut round: Option<Instant> = None;
        // Jobs may have ended while nobody drove.
        let mut look = true;
        loop {
            let (alarm, waits) = {
                let mut walk = shared.walk();
                walk.ring(Instant::now());
                while let Some(work) = walk.errand() {
                    doing.push(Box::pin(errand(work)));
                }
                if let Some(end) = walk.end() {
                    return Some(end.clone());
                }
                let due = round.is_some_and(|at| at <= Instant::now());
                if walk.has_requests() && !enqueuing && (due || walk.computes_nothing()) {
                    round = None;
                    let asked = walk.round();
                    if !asked.is_empty() {
                        enqueuing = true;
                        doing.push(Box::pin(enqueue(Arc::clone(&shared.ground), asked)));
                    }
                } else if walk.has_requests() && !enqueuing {
                    round.get_or_insert_with(|| Instant::now() + ROUND);
                }
                if look && !following && !enqueuing {
                    (look, following) = (false, true);
                    doing.push(Box::pin(follow(Arc::clone(&shared.ground), walk.open_jobs())));
                }
                if walk.idle() && !enqueuing && !following {
                    return match (walk.waits_for_jobs() || walk.alarm().is_some(), walk.all_settled()) {
                        (true, _) => None,
                        (false, true) => Some(End::Completed),
                        (false, false) => Some(stuck()),
                    };
                }
                (earliest(walk.alarm(), round), walk.waits_for_jobs())
            };
            if shared.wants_lane() && !asks_lane {
                match shared.ground.parts.lanes.try_take(shared.ground.tenant) {
                    Some(permit) => shared.open_lane(permit),
                    None => {
                        asks_lane = true;
                        let (lanes, tenant) = (shared.ground.parts.lanes.clone(), shared.ground.tenant);
                        doing.push(Box::pin(async move { Done::Lane(lanes.take(tenant).await) }));
                    }
                }
            }
            let done = tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Some(End::Stopped),
                () = sleep_until(self.deadline) => return Some(late()),
                Some(done) = doing.next(), if !doing.is_empty() => done,
                () = shared.news.notified() => continue,
                () = shared.ground.parts.jobs.news(), if waits && !look => {
                    look = true;
                    continue;
                }
                () = sleep_until(alarm) => continue,
            };
            match done {
                Done::Worked(frame, given, result) => shared.walk().settle(frame, given, result),
                Done::Enqueued(asked, answers) => {
                    enqueuing = false;
                    shared.walk().enqueued(asked, answers);
                }
                Done::Followed(ended) => {
                    following = false;
                    let mut walk = shared.walk();
                    match ended {
                        Ok(ended) => ended.into_iter().for_each(|(id, outcome)| walk.ended(id, outcome)),
                        Err(error) => walk.stop(End::Failed(error)),
                    }
                }
                Done::Lane(permit) => {
                    asks_lane = false;
                    if let Some(permit) = permit {
                        shared.open_lane(permit);
                    }
                }
            }
        }
    }

    async fn conclude(&self, end: End) -> RunOutcome {
        let shared = &self.shared;
        shared.walk().stop(end.clone());
        shared.work.cancel();
        // What is under way sees that within milliseconds; its memory is given back before the run is said to have ended.
        let back = async {
            while *shared.lanes() > 0 {
                shared.news.notified().await;
            }
        };
        let _ = tokio::time::timeout(PATIENCE, back).await;
        let (raw, report) = {
            let mut walk = shared.walk();
            walk.close_all();
            let raw = (end != End::Stopped).then(|| outputs::resolve(&walk, shared.ground.kept.limits()));
            (raw, walk.report())
        };
        let outputs = Value::Object(Map::new());
        let mut outcome = RunOutcome { end, outputs, output_blobs: Vec::new(), report };
        if let Some(raw) = raw {
            let (outputs, blobs, trouble) = outputs::store(raw, &shared.ground).await;
            (outcome.outputs, outcome.output_blobs) = (outputs, blobs);
            if let (End::Completed, Some(error)) = (&outcome.end, trouble) {
                outcome.end = End::Failed(error);
            }
        }
        outcome
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.shared.work.cancel();
    }
}

#[expect(clippy::result_large_err, reason = "made once, for a frame that fails")]
fn compute_alone(runtime: &Handle, work: Box<Work>) -> Worked {
    let (frame, given, named) = (work.frame, work.given, work.named());
    let done = catch_unwind(AssertUnwindSafe(|| runtime.block_on(work.run())));
    (frame, given, done.unwrap_or_else(|panic| Err(named.broken(&Panicked::of(panic.as_ref())))))
}

fn compute_together(runtime: &Handle, works: VecDeque<Box<Work>>) -> Vec<Worked> {
    let names: Vec<_> = works.iter().map(|work| (work.frame, work.given, work.named())).collect();
    let done = catch_unwind(AssertUnwindSafe(|| runtime.block_on(Work::run_together(works))));
    done.unwrap_or_else(|panic| {
        let panicked = Panicked::of(panic.as_ref());
        names.iter().map(|(frame, given, named)| (*frame, *given, Err(named.broken(&panicked)))).collect()
    })
}

/// Work that waits for others, within its node's time.
#[expect(clippy::result_large_err, reason = "made once, for a frame that fails")]
async fn errand(work: Box<Work>) -> Done {
    let (frame, given, timeout) = (work.frame, work.given, work.node().timeout);
    let named = work.named();
    let doing = async {
        match timeout {
            None => work.run().await,
            Some(limit) => match tokio::time::timeout(limit, work.run()).await {
                Ok(result) => result,
                Err(_) => Err(NodeFailure::from(out_of_time(limit))),
            },
        }
    };
    let result = caught(doing).await.unwrap_or_else(|panicked| Err(named.broken(&panicked)));
    Done::Worked(frame, given, result)
}

/// Enqueues the jobs of a round, in one transaction.
async fn enqueue(ground: Arc<Ground>, asked: Vec<(Frame, Vec<JobRequest>)>) -> Done {
    let counts = asked.iter().map(|(frame, jobs)| (*frame, jobs.len())).collect();
    let jobs = asked.into_iter().flat_map(|(_, jobs)| jobs).collect();
    Done::Enqueued(counts, ground.parts.jobs.enqueue(jobs).await)
}

async fn follow(ground: Arc<Ground>, open: Vec<JobId>) -> Done {
    Done::Followed(ground.parts.jobs.ended(open).await)
}

impl Shared {
    fn walk(&self) -> MutexGuard<'_, Walk> {
        self.walk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lanes(&self) -> MutexGuard<'_, usize> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether another lane would have something to compute.
    fn wants_lane(&self) -> bool {
        let calls = self.walk().calls();
        let open = *self.lanes();
        calls > 0 && open < self.ground.parts.lanes.of_run()
    }

    /// Computes frames on a thread of its own until there are none, one after the other: what a frame settles is taken up
    /// without a way back through a task.
    fn open_lane(self: &Arc<Self>, permit: Slot) {
        *self.lanes() += 1;
        let (shared, runtime) = (Arc::clone(self), Handle::current());
        // Owned by the run: the lane ends with its frames, and every call in it with the run's token.
        drop(tokio::task::spawn_blocking(move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| shared.lane(&runtime))) {
                let end = shared.panicked(&Panicked::of(panic.as_ref()));
                shared.walk().stop(end);
            }
            drop(permit);
            *shared.lanes() -= 1;
            shared.news.notify_one();
        }));
    }

    fn lane(self: &Arc<Self>, runtime: &Handle) {
        let began = std::time::Instant::now();
        loop {
            let (work, more) = {
                let mut walk = self.walk();
                let Some(work) = walk.call() else { return };
                (work, walk.calls() > 0)
            };
            // Branches beside this one.
            if more
                && self.wants_lane()
                && let Some(permit) = self.ground.parts.lanes.try_take(self.ground.tenant)
            {
                self.open_lane(permit);
            }
            let companions = match work.shares() {
                true => self.walk().companions(work.frame.node, together::MOST - 1),
                false => VecDeque::new(),
            };
            let settle = |worked: Worked| {
                let mut walk = self.walk();
                let alarm = walk.alarm();
                walk.settle(worked.0, worked.1, worked.2);
                walk.has_errands() || walk.alarm() != alarm
            };
            let driver = if companions.is_empty() {
                settle(compute_alone(runtime, work))
            } else {
                // Each is settled, whatever the others have for the driver.
                let all = compute_together(runtime, std::iter::once(work).chain(companions).collect());
                all.into_iter().fold(false, |driver, worked| settle(worked) | driver)
            };
            // What waits for others begins now, not when this lane has nothing left to compute.
            if driver {
                self.news.notify_one();
            }
            if began.elapsed() > TURN && self.ground.parts.lanes.crowded() {
                return;
            }
        }
    }

    /// A panic of the walk itself: logged here, once; the run fails.
    fn panicked(&self, panicked: &Panicked) -> End {
        tracing::error!(
            execution.id = self.ground.execution_id.map(tracing::field::display),
            error = chain(panicked),
            "a walk panicked"
        );
        End::Failed(RunError::new(
            code::INTERNAL,
            "the engine failed in the middle of this run; its log has the reason",
        ))
    }
}

/// Nothing runs and nothing is waited for, but not all is done: never, unless the walk has a bug.
fn stuck() -> End {
    End::Failed(RunError::new(code::INTERNAL, "the run has come to a halt before its end"))
}

fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
