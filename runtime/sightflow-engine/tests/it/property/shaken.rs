//! Definitions with model nodes, while engines are parked, stopped and killed under them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sightflow_engine::EngineConfig;
use sightflow_store::Store;
use sightflow_types::JobStatus;

use super::make::{Dice, case};
use super::{PATIENCE, setting};
use crate::fleet::{Mortal, Parked, found, parking};
use crate::loops::PHOTO;
use crate::model::{Model, SPOILED, compare_end};
use crate::script::compiled;
use crate::server::{Server, TENANT};

/// Engines that come and go under a run.
struct Fleet<'s> {
    server: &'s Server,
    dice: Dice,
    engine: Option<Mortal>,
    /// Changes that may still come.
    changes: usize,
}

impl<'s> Fleet<'s> {
    async fn new(server: &'s Server, mut dice: Dice) -> Self {
        let engine = Some(Mortal::start(server, config(&mut dice)).await);
        Self { server, dice, engine, changes: 3 }
    }

    /// Does what workers do, or lets an engine go.
    async fn shake(&mut self) {
        if self.changes > 0 && self.dice.percent(15) {
            self.changes -= 1;
            match self.engine.take() {
                Some(engine) if self.dice.percent(50) => engine.stop().await,
                Some(engine) => {
                    engine.kill();
                    self.server.silence().await;
                }
                None => {}
            }
            self.engine = Some(Mortal::start(self.server, config(&mut self.dice)).await);
        }
        self.server.beat().await;
        let claimed = self.server.take(1 + self.dice.below(4) as u32).await;
        let (bad, good): (Vec<_>, Vec<_>) = claimed.into_iter().partition(|claimed| found(&claimed.job) == SPOILED);
        self.server.answer(&good).await;
        self.server.spoil(&bad).await;
        if good.is_empty() && bad.is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// An engine that parks at once, or late; it looks often for what others left.
fn config(dice: &mut Dice) -> EngineConfig {
    let grace = Duration::from_millis([0, 1, 5, 500][dice.below(4)]);
    EngineConfig { grace, heartbeat: Duration::from_millis(20), ..parking(&Arc::new(Parked::default())) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_becomes_of_engines_a_run_is_what_the_model_says() {
    let (cases, first) = (setting("SIGHTFLOW_CASES"), setting("SIGHTFLOW_SEED").unwrap_or(1));
    let began = Instant::now();
    let (mut ran, mut resumed, mut jobs) = (0_u32, 0_u32, 0_usize);
    for seed in first..first + cases.unwrap_or(100) {
        if cases.is_none() && began.elapsed() > PATIENCE {
            break;
        }
        let case = case(seed, true);
        if compiled(&case.definition).plan.is_none() {
            continue;
        }
        let server = Server::new().await;
        let mut fleet = Fleet::new(&server, Dice(seed)).await;
        let mut input = case.input.clone();
        input["image_url"] = PHOTO.into();
        let id = server.submit_for(3_600, case.definition.clone(), input.clone()).await;
        let started = Instant::now();
        let execution = loop {
            let execution = server.store.execution(TENANT, id).await.unwrap();
            if execution.status.is_terminal() {
                break execution;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "seed {seed}: it does not end\n{:#}", case.definition);
            fleet.shake().await;
        };
        if let Some(engine) = fleet.engine.take() {
            engine.stop().await;
        }
        let model = Model::run(&case.definition, &input);
        let outputs = execution.outputs.clone().unwrap_or_default();
        let compared = compare_end(&model, execution.error.as_ref(), &outputs);
        assert_eq!(compared, Ok(()), "seed {seed}: {:#}\ninput {}", case.definition, case.input);
        let mut all = server.jobs_of(id).await;
        let count = all.len();
        all.dedup_by(|one, other| (&one.node_id, &one.item_path) == (&other.node_id, &other.item_path));
        assert_eq!(all.len(), count, "seed {seed}: a job was there twice");
        for job in all.iter().filter(|job| job.status == JobStatus::Completed) {
            assert_eq!(job.attempt, 1, "seed {seed}: it ran again: {job:#?}");
        }
        (ran, resumed, jobs) = (ran + 1, resumed + u32::from(execution.resume_count > 0), jobs + count);
    }
    eprintln!("{ran} ran with {jobs} jobs, {resumed} of them on several engines, in {:?}", began.elapsed());
    assert!(ran > 10 && resumed * 10 > ran && jobs > ran as usize, "{ran} ran, {resumed} resumed, {jobs} jobs");
}
