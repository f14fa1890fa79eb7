//! What happens around a server: its log cannot be written, its disk is full, others look at its files.

use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::client::{Client, logic, logic_run};
use crate::server::{SIGHTFLOW, Server, command, with_arguments};

fn runs_complete(server: &Client, workflow: &str) {
    for _ in 0..3 {
        let (status, accepted) = server.post(&format!("/api/v1/workflows/{workflow}/run"), &logic_run());
        assert_eq!(status, 202, "{accepted:#}");
        let execution = server.finished(accepted["execution_id"].as_str().unwrap());
        assert_eq!(execution["status"], "completed", "{execution:#}");
    }
    assert_eq!(server.get("/readyz").0, 200);
}

#[test]
fn the_reader_of_the_log_may_go_away() {
    let data = TempDir::new().unwrap();
    let mut process = command(data.path()).env("SIGHTFLOW_LOG", "debug").stderr(Stdio::piped()).spawn().unwrap();
    let log = process.stderr.take().unwrap();
    let server = Server::adopt(process, data);
    let workflow = server.save(&logic());
    drop(log);
    runs_complete(&server, &workflow);
}

#[test]
fn the_reader_of_the_log_may_stop_reading() {
    let data = TempDir::new().unwrap();
    let mut process = command(data.path()).env("SIGHTFLOW_LOG", "trace").stderr(Stdio::piped()).spawn().unwrap();
    // Held open and never read: the pipe fills up.
    let log = process.stderr.take().unwrap();
    let server = Server::adopt(process, data);
    let workflow = server.save(&logic());
    for _ in 0..10 {
        runs_complete(&server, &workflow);
    }
    drop(log);
    runs_complete(&server, &workflow);
}

#[test]
fn the_log_may_lie_on_a_full_disk() {
    let data = TempDir::new().unwrap();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let process = command(data.path()).env("SIGHTFLOW_LOG", "debug").stderr(full).spawn().unwrap();
    let server = Server::adopt(process, data);
    let workflow = server.save(&logic());
    runs_complete(&server, &workflow);
}

#[test]
fn nobody_needs_to_read_what_run_says() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = Command::new(SIGHTFLOW).args(["run", "no-such-file.json"]).stderr(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "an error, no panic");
}

#[test]
fn nobody_needs_to_read_what_validate_says() {
    let models = TempDir::new().unwrap();
    let listing = r#"{"models": [{"id": "gone", "name": "Gone", "file": "gone.onnx"}]}"#;
    std::fs::write(models.path().join("models.json"), listing).unwrap();
    let definition = models.path().join("empty.json");
    std::fs::write(&definition, r#"{"nodes": []}"#).unwrap();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut validate = Command::new(SIGHTFLOW);
    validate.args(["workflow", "validate"]).arg(&definition).arg("--starter-models").arg(models.path());
    assert_eq!(validate.stderr(full).output().unwrap().status.code(), Some(0), "no panic");
}

#[cfg(target_os = "linux")]
#[test]
fn only_the_owner_may_look_at_data() {
    use std::os::unix::fs::PermissionsExt;

    let server = Server::start();
    server.upload(&crate::client::photo("coffee.png"));
    let mut open = vec![server.data().to_owned()];
    let mut files = 0;
    while let Some(path) = open.pop() {
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o077, 0, "{}", path.display());
        if metadata.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            files += 1;
        }
    }
    assert!(files >= 2, "a database and a picture were looked at");
}

/// A shell command in a mount namespace of its own, with a small file system at `$PLACE`.
#[cfg(target_os = "linux")]
fn on_a_small_disk(place: &std::path::Path, script: &str) -> Command {
    let mount = r#"mount -t tmpfs -o size=96m,mode=0755 none "$PLACE" && "#;
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "--map-root-user", "sh", "-c", &format!("{mount}{script}"), SIGHTFLOW]);
    shell.env("PLACE", place);
    shell
}

/// Writes until nothing more fits.
#[cfg(target_os = "linux")]
fn fill(path: &std::path::Path) {
    use std::io::Write;

    let mut ballast = std::fs::File::create(path).unwrap();
    for size in [1 << 20, 1 << 10, 1] {
        let block = vec![0; size];
        while ballast.write_all(&block).is_ok() {}
    }
}

/// A look at the disk counts for a second or more.
#[cfg(target_os = "linux")]
fn readiness_becomes(server: &Client, status: u16) -> bool {
    (0..100).any(|_| {
        std::thread::park_timeout(std::time::Duration::from_millis(100));
        server.get("/readyz").0 == status
    })
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_loses_nothing_and_ends_nothing() {
    let place = TempDir::new().unwrap();
    if !on_a_small_disk(place.path(), "true").status().is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "no file system can be mounted here, so this cannot be tested");
        eprintln!("no file system can be mounted here: the test of a full disk is left out");
        return;
    }
    let script = r#"mkdir "$PLACE/data" && exec "$0" "$@" 2>"$PLACE/log""#;
    let shell = on_a_small_disk(place.path(), script);
    let process = with_arguments(shell, &place.path().join("data")).env("SIGHTFLOW_LOG", "debug").spawn().unwrap();
    let ballast = format!("/proc/{}/root{}/ballast", process.id(), place.path().display());
    let server = Server::adopt(process, place);
    let workflow = server.save(&logic());
    let run = format!("/api/v1/workflows/{workflow}/run");
    runs_complete(&server, &workflow);

    fill(ballast.as_ref());
    let mut accepted = Vec::new();
    let mut refused = 0;
    for _ in 0..2_000 {
        match server.post(&run, &logic_run()) {
            (202, answer) => accepted.push(answer["execution_id"].as_str().unwrap().to_owned()),
            (503, answer) => {
                assert_eq!(answer["error"]["code"], "unavailable", "{answer:#}");
                refused += 1;
            }
            (status, answer) => panic!("{status}: {answer:#}"),
        }
        assert_eq!(server.get("/healthz").0, 200);
        if refused == 20 {
            break;
        }
    }
    assert_eq!(refused, 20, "the disk never was full");
    assert!(readiness_becomes(&server, 503), "a server that cannot write a row is not ready");

    std::fs::remove_file(&ballast).unwrap();
    for id in &accepted {
        assert_eq!(server.finished(id)["status"], "completed", "acknowledged before the disk was full");
    }
    assert!(readiness_becomes(&server, 200));
    runs_complete(&server, &workflow);
}
