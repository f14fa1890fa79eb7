//! The walk through inference jobs: frames ask for them in rounds, wait, and go on when all have ended.

use sightflow_types::JobId;
use sightflow_types::error::RunError;

use super::Walk;
use crate::run::frame::{Attempts, Frame};
use crate::run::jobs::{JobOutcome, JobRequest};
use crate::run::state::{Inferring, State};
use crate::run::work::{NodeFailure, Phase, Work};

impl Walk {
    /// A frame asks for jobs, and waits for them.
    pub(super) fn infer(&mut self, frame: Frame, attempts: Attempts, work: Box<Work>, requests: Vec<JobRequest>) {
        let timeout = self.plan.nodes[frame.node].timeout;
        if let Some(limit) = timeout {
            self.alarms.insert((attempts.started + limit, frame));
        }
        let count = requests.len();
        let outcomes = (0..count).map(|_| None).collect();
        let waiting = Inferring { attempts, work, jobs: Vec::with_capacity(count), outcomes, open: count };
        self.active.insert(frame);
        if let Some(state) = self.state(frame) {
            *state = State::Inferring(Box::new(waiting));
        }
        if count == 0 {
            return self.inferred(frame);
        }
        self.requests.push((frame, requests));
    }

    /// The jobs of a round are enqueued, or could not be.
    pub(in crate::run) fn enqueued(
        &mut self,
        asked: Vec<(Frame, usize)>,
        answers: Result<Vec<(JobId, Option<JobOutcome>)>, RunError>,
    ) {
        match answers {
            Ok(answers) => {
                let mut answers = answers.into_iter();
                for (frame, count) in asked {
                    for (at, (id, outcome)) in answers.by_ref().take(count).enumerate() {
                        if let Some(State::Inferring(waiting)) = self.state(frame) {
                            waiting.jobs.push(id);
                            self.jobs.insert(id, (frame, at));
                            if let Some(outcome) = outcome {
                                self.ended(id, outcome);
                            }
                        }
                    }
                }
            }
            Err(error) => {
                for (frame, _) in asked {
                    if let Some(State::Inferring(waiting)) = self.state(frame) {
                        let attempts = waiting.attempts.clone();
                        self.disarm(frame, &attempts);
                        self.active.remove(&frame);
                        self.failed(frame, attempts, NodeFailure::from(error.clone()));
                    }
                }
            }
        }
    }

    /// A job has ended.
    pub(in crate::run) fn ended(&mut self, id: JobId, outcome: JobOutcome) {
        let Some((frame, at)) = self.jobs.remove(&id) else { return };
        let Some(State::Inferring(waiting)) = self.state(frame) else { return };
        let Some(place) = waiting.outcomes.get_mut(at).filter(|place| place.is_none()) else { return };
        *place = Some(outcome);
        waiting.open -= 1;
        if waiting.open == 0 {
            self.inferred(frame);
        }
    }

    /// Nobody waits for these any more.
    pub(super) fn forget_jobs(&mut self, jobs: &[JobId]) {
        for job in jobs {
            self.jobs.remove(job);
        }
    }

    /// All jobs of a frame have ended: its work goes on.
    fn inferred(&mut self, frame: Frame) {
        let Some(state) = self.state(frame) else { return };
        let State::Inferring(waiting) = std::mem::replace(state, State::Cancelled(None)) else { return };
        let Inferring { attempts, mut work, jobs, outcomes, .. } = *waiting;
        self.disarm(frame, &attempts);
        work.phase = Phase::Finish(jobs, outcomes.into_iter().flatten().collect());
        // Nothing is copied for it any more.
        work.given = 0;
        self.work_begins(frame, attempts);
        self.finishing.push_back(work);
    }

    /// Its jobs are not waited for any more.
    pub(super) fn disarm(&mut self, frame: Frame, attempts: &Attempts) {
        if let Some(limit) = self.plan.nodes[frame.node].timeout {
            self.alarms.remove(&(attempts.started + limit, frame));
        }
    }
}
