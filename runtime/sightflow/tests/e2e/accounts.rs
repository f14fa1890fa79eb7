//! `sightflow tenant`, `sightflow key` and `serve --auth`.

use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::server::{SIGHTFLOW, Server, command};

fn sightflow(data: &TempDir, arguments: &[&str]) -> Output {
    Command::new(SIGHTFLOW).args(arguments).arg("--data").arg(data.path()).output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_first_key_is_made_while_the_server_is_stopped() {
    let data = TempDir::new().unwrap();
    let tenant = &lines(&sightflow(&data, &["tenant", "create", "acme"]))[0];
    assert_eq!((&tenant["slug"], &tenant["status"]), (&"acme".into(), &"active".into()));
    let made = ["key", "create", "--tenant", "acme", "--scopes", "runs:read,workflows:read"];
    let made = &lines(&sightflow(&data, &made))[0];
    let key = made["key"].as_str().unwrap().to_owned();
    let list = sightflow(&data, &["key", "list"]);
    assert!(!String::from_utf8_lossy(&list.stdout).contains(&key), "a key is shown once");
    assert_eq!(lines(&list)[0]["id"], made["id"]);
    let unknown = sightflow(&data, &["key", "create", "--tenant", "nobody"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("--tenant nobody"));

    let process = command(data.path()).args(["--auth", "--workers", "0"]).spawn().unwrap();
    let server = Server::adopt(process, data);
    assert_eq!(server.get("/healthz").0, 200);
    let (status, refused) = server.get("/api/v1/workflows");
    assert_eq!((status, &refused["error"]["code"]), (401, &"unauthenticated".into()));
    assert_eq!(server.get_with_key("/api/v1/workflows", &key).0, 200);
    assert_eq!(server.get_with_key("/api/v1/me", &key).1["tenant"]["slug"], "acme");
    assert_eq!(server.get_with_key("/api/v1/workers", &key).0, 403);
    let list = Command::new(SIGHTFLOW).args(["key", "list", "--data"]).arg(server.data()).output().unwrap();
    assert_eq!(list.status.code(), Some(1));
    let said = String::from_utf8_lossy(&list.stderr);
    assert!(said.contains("stop the server"), "{said}");
}
