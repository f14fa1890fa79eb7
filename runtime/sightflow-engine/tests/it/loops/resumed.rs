//! Loops of which another engine takes over the rest.

use std::time::Duration;

use serde_json::{Value, json};
use sightflow_engine::EngineConfig;
use sightflow_types::{ExecutionId, ExecutionStatus};

use super::jobs::{finding_in_lists, input};
use crate::fleet::Mortal;
use crate::server::Server;

/// Two of the five jobs have ended.
async fn half_way(server: &Server) -> ExecutionId {
    let id = server.submit(finding_in_lists(), input(json!([[1, 2], [], [3, 4, 5]]))).await;
    server.pending(id, 5).await;
    server.answer(&server.take(2).await).await;
    server.until(id, |execution| execution.jobs.completed == 2).await;
    id
}

/// The rest is done; no job was there twice, and none of those that had ended ran again.
async fn ends(server: &Server, id: ExecutionId, ended: Vec<(String, Value)>) {
    server.answer_all(3).await;
    let execution = server.ended(id).await;
    assert_eq!(execution.status, ExecutionStatus::Completed, "{:?}", execution.error);
    assert_eq!(execution.outputs, Some(json!({"counts": [[1, 2], [], [3, 4, 5]]})));
    assert_eq!(execution.resume_count, 1);
    let jobs = server.jobs_of(id).await;
    let paths: Vec<&str> = jobs.iter().map(|job| job.item_path.as_str()).collect();
    assert_eq!(paths, ["0/0", "0/1", "2/0", "2/1", "2/2"]);
    for (path, completed_at) in ended {
        let job = jobs.iter().find(|job| job.item_path == path).expect("a job");
        assert_eq!((json!(job.completed_at), job.attempt), (completed_at, 1), "{path}");
    }
}

async fn ended_jobs(server: &Server, id: ExecutionId) -> Vec<(String, Value)> {
    let jobs = server.jobs_of(id).await.into_iter().filter(|job| job.completed_at.is_some());
    let ended: Vec<_> = jobs.map(|job| (job.item_path, json!(job.completed_at))).collect();
    assert_eq!(ended.len(), 2);
    ended
}

#[tokio::test]
async fn a_stopped_engine_leaves_the_rest_to_the_next() {
    let server = Server::new().await;
    let first = server.engine().await;
    let id = half_way(&server).await;
    let ended = ended_jobs(&server, id).await;
    first.shutdown().await;
    let second = server.engine_with(quick()).await;
    ends(&server, id, ended).await;
    second.shutdown().await;
}

/// An engine that looks often for what others left.
fn quick() -> EngineConfig {
    EngineConfig { heartbeat: Duration::from_millis(20), ..EngineConfig::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_engine_leaves_the_rest_to_the_next() {
    let server = Server::new().await;
    let first = Mortal::start(&server, EngineConfig::default()).await;
    let id = half_way(&server).await;
    let ended = ended_jobs(&server, id).await;
    first.kill();
    server.silence().await;
    let second = server.engine_with(quick()).await;
    ends(&server, id, ended).await;
    second.shutdown().await;
}
