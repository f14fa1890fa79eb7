//! What a loaded server goes on doing, and what a killed one loses.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sightflow_types::Timestamp;

use crate::client::{Client, logic, logic_run, photo};
use crate::server::Server;

const LOAD: Duration = Duration::from_secs(30);

/// How old every member's last sign of life is, in milliseconds.
fn heartbeat_ages(server: &Client) -> Vec<(String, i64)> {
    let (status, workers) = server.get("/api/v1/workers");
    assert_eq!(status, 200, "{workers:#}");
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let members = workers["items"].as_array().unwrap().iter().filter(|member| member["state"] != "gone");
    members
        .map(|member| {
            let beat: Timestamp = member["heartbeat_at"].as_str().unwrap().parse().unwrap();
            (member["role"].as_str().unwrap().to_owned(), now - beat.millis())
        })
        .collect()
}

#[test]
fn under_load_the_fleet_gives_signs_of_life_and_all_runs_end() {
    let server = Server::start();
    let workflow = server.save(&logic());
    let run = format!("/api/v1/workflows/{workflow}/run");
    let (over, accepted) = (AtomicBool::new(false), AtomicU64::new(0));
    let before = server.get("/api/v1/workers").1["items"].as_array().unwrap().len();
    let mut oldest = 0;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    match server.post(&run, &logic_run()) {
                        (202, _) => accepted.fetch_add(1, Ordering::Relaxed),
                        // More than can be run may be refused, in these words.
                        (429, answer) => {
                            assert_eq!(answer["error"]["code"], "queue_full");
                            continue;
                        }
                        (status, answer) => panic!("{status}: {answer:#}"),
                    };
                }
            });
        }
        let end = Instant::now() + LOAD;
        while Instant::now() < end {
            let ages = heartbeat_ages(&server);
            for wanted in ["engine", "worker"] {
                assert!(ages.iter().any(|(role, _)| role == wanted), "no {wanted} is listed: {ages:?}");
            }
            for (role, age) in ages {
                oldest = oldest.max(age);
                assert!(age < 12_000, "the {role} gave no sign of life for {age} ms");
            }
            assert_eq!(server.get("/readyz").0, 200);
            std::thread::park_timeout(Duration::from_millis(500));
        }
        over.store(true, Ordering::Relaxed);
    });
    let accepted = accepted.into_inner();
    eprintln!("{accepted} runs accepted in {LOAD:?}; the oldest sign of life was {oldest} ms old");
    assert!(accepted > 100, "{accepted} runs are no load");
    let (_, workers) = server.get("/api/v1/workers");
    assert_eq!(workers["items"].as_array().unwrap().len(), before, "somebody was declared gone: {workers:#}");
    for _ in 0..240 {
        let (_, found) = server.get(&format!("/api/v1/workflows/{workflow}"));
        if found["run_count"] == accepted {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(500));
    }
    panic!("two minutes after the load not all of its runs have ended");
}

/// Kills or stops the server again and again while jobs are claimed, and looks at what became of them.
fn interrupted(stop: impl Fn(&mut Server)) {
    let mut server = Server::start();
    let workflow = server.save_example("01-detect");
    let digest = server.upload(&photo("coffee.png"));
    let mut accepted = Vec::new();
    for _ in 0..4 {
        accepted.extend((0..12).map(|_| server.start(&workflow, &digest)));
        // In the middle of the work: some have ended, some are claimed, some wait.
        server.finished(&accepted[accepted.len() - 12]);
        stop(&mut server);
    }
    for id in &accepted {
        let execution = server.finished(id);
        assert_eq!(execution["status"], "completed", "{execution:#}");
        let jobs = server.jobs(id);
        assert_eq!(jobs.len(), 1, "{jobs:#?}");
    }
    let (_, found) = server.get(&format!("/api/v1/workflows/{workflow}"));
    assert_eq!(found["run_count"], accepted.len(), "each ended once");
}

#[test]
fn kill_9_with_claimed_jobs_again_and_again_fails_no_run() {
    interrupted(Server::kill_and_restart);
}

#[test]
fn a_graceful_stop_hands_claimed_jobs_back_and_costs_no_attempt() {
    let mut server = Server::start();
    let workflow = server.save_example("01-detect");
    let digest = server.upload(&photo("coffee.png"));
    let mut accepted = Vec::new();
    for _ in 0..3 {
        accepted.extend((0..12).map(|_| server.start(&workflow, &digest)));
        server.finished(&accepted[accepted.len() - 12]);
        assert_eq!(server.terminate(), Some(0));
        server.kill_and_restart();
    }
    for id in &accepted {
        assert_eq!(server.finished(id)["status"], "completed");
        assert_eq!(server.jobs(id)[0]["attempt"], 1, "a graceful stop costs no attempt");
    }
}
