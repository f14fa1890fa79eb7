//! The verbs of the binary, as a person or a script calls them.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::server::root;

fn sightflow(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sightflow")).args(arguments).current_dir(root()).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn run_prints_outputs_and_writes_pictures() {
    let out = TempDir::new().unwrap();
    let output = sightflow(&[
        "run",
        "examples/workflows/02-detect-and-draw.json",
        "--input",
        "image=examples/images/astronaut.png",
        "--starter-models",
        "examples/models",
        "--out",
        out.path().to_str().unwrap(),
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let outputs: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(outputs["detections"][0]["class_name"], "person");
    let picture = image::open(out.path().join("annotated_image.png")).unwrap();
    assert_eq!((picture.width(), picture.height()), (512, 512));
}

#[test]
fn validate_prints_every_problem_with_its_place() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("broken.json");
    std::fs::write(&file, r#"{"nodes":[{"id":"photo","type":"image_inptu"},{"id":"1x","type":"image_input"}]}"#)
        .unwrap();
    let output = sightflow(&["workflow", "validate", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), stderr(&output));
    for part in ["E-TYPE-UNKNOWN", "/nodes/0/type", "image_input", "E-NODE-ID", "/nodes/1/id"] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }
    let good = sightflow(&[
        "workflow",
        "validate",
        "examples/workflows/01-detect.json",
        "--starter-models",
        "examples/models",
    ]);
    assert!(good.status.success(), "{}", stderr(&good));
}

#[test]
fn misuse_says_what_to_do() {
    for (arguments, code, part) in [
        (&["serve", "--listen", "0.0.0.0:0"][..], 2, "loopback"),
        (&["serve", "--device", "tpu"], 2, "cuda"),
        (&["run", "no-such-file.json"], 1, "no-such-file.json"),
        (&["frobnicate"], 2, "frobnicate"),
    ] {
        let output = sightflow(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn a_log_filter_that_cannot_be_read_is_an_error() {
    let output = Command::new(env!("CARGO_BIN_EXE_sightflow"))
        .args(["run", "no-such-file.json"])
        .env("SIGHTFLOW_LOG", "sightflow=loud")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("SIGHTFLOW_LOG"), "{}", stderr(&output));
}

#[cfg(unix)]
#[test]
fn a_run_that_is_interrupted_leaves_nothing_behind() {
    let temporary = TempDir::new().unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_sightflow"))
        .args(["run", "examples/workflows/02-detect-and-draw.json", "--input", "image=examples/images/astronaut.png"])
        .args(["--starter-models", "examples/models", "--cache"])
        .arg(concat!(env!("CARGO_TARGET_TMPDIR"), "/components"))
        .env("TMPDIR", temporary.path())
        .current_dir(root())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let entries = || std::fs::read_dir(temporary.path()).unwrap().map(|entry| entry.unwrap().path());
    while !entries().any(|data| data.join("sightflow.db").exists()) {
        assert!(process.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let interrupt = Command::new("kill").args(["-INT", &process.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    let output = process.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("stopped before"), "{}", stderr(&output));
    assert_eq!(entries().count(), 0, "pictures of the user among them");
}

#[test]
fn version_names_the_build() {
    let output = sightflow(&["version"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains(env!("CARGO_PKG_VERSION")));
}
