//! The verbs of the binary, as a person or a script calls them.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use sightflow_first_party::{PACKAGES, VERSION};
use sightflow_sandbox::{ChildCompiler, CompileLimits, Compiler, Sandbox, SandboxConfig};
use sightflow_types::TenantId;
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

/// The verb that the server starts for each upload; nobody else is meant to.
#[test]
fn the_program_is_its_own_compiler() {
    let help = sightflow(&["--help"]);
    assert!(!String::from_utf8_lossy(&help.stdout).contains("compile-component"));
    let compiler = Compiler::Child(ChildCompiler {
        program: env!("CARGO_BIN_EXE_sightflow").into(),
        args: vec!["compile-component".into()],
        limits: CompileLimits::default(),
    });
    let sandbox = Sandbox::new(&SandboxConfig { compiler, ..SandboxConfig::default() }).unwrap();
    let logic = PACKAGES.iter().find(|package| package.name == "sightflow/logic").unwrap();
    let package = sandbox.load_for(TenantId::BUILT_IN, "acme/logic", &VERSION, logic.component).unwrap();
    assert!(package.manifest("condition").is_some());
}

#[test]
fn misuse_says_what_to_do() {
    for (arguments, code, part) in [
        (&["serve", "--listen", "0.0.0.0:0"][..], 2, "--auth"),
        (&["serve", "--device", "tpu"], 2, "cuda"),
        (&["serve", "--workers", "100000"], 2, "0 to 1024"),
        (&["run", "no-such-file.json"], 1, "no-such-file.json"),
        (&["run", "examples/workflows/01-detect.json", "--workers", "0"], 1, "wait for ever"),
        (&["run", "examples/workflows/01-detect.json", "--input", "image=/tmp"], 1, "no regular file"),
        (&["run", "examples/workflows/01-detect.json", "--input", "a=1", "--input", "a=2"], 1, "given twice"),
        (&["run", "examples/workflows/01-detect.json", "--out", "/dev/null/x"], 1, "/dev/null/x"),
        #[cfg(unix)]
        (&["workflow", "validate", "/dev/zero"], 1, "no regular file"),
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

#[test]
fn validate_reads_a_file_as_the_api_reads_a_body() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("twice.json");
    std::fs::write(&file, r#"{"nodes": [], "nodes": [{"id": "a", "type": "filter"}]}"#).unwrap();
    let twice = sightflow(&["workflow", "validate", file.to_str().unwrap()]);
    assert_eq!(twice.status.code(), Some(1));
    assert!(stderr(&twice).contains("`nodes` is given twice"), "{}", stderr(&twice));
    std::fs::write(&file, "\u{feff}{\"nodes\": []}").unwrap();
    let marked = sightflow(&["workflow", "validate", file.to_str().unwrap()]);
    assert!(marked.status.success(), "{}", stderr(&marked));
}

#[cfg(unix)]
#[test]
fn a_signal_right_after_the_ready_line_is_a_stop() {
    use std::io::BufRead;

    let directory = TempDir::new().unwrap();
    for _ in 0..5 {
        let mut server = Command::new(env!("CARGO_BIN_EXE_sightflow"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data", directory.path().to_str().unwrap()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::io::BufReader::new(server.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        let terminate = Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap();
        assert!(terminate.success());
        assert_eq!(server.wait().unwrap().code(), Some(0));
    }
}

#[cfg(unix)]
#[test]
fn a_models_folder_with_junk_stops_nothing() {
    use std::io::BufRead;

    let directory = TempDir::new().unwrap();
    let models = directory.path().join("models");
    std::fs::create_dir(&models).unwrap();
    assert!(Command::new("mkfifo").arg(models.join("pipe.onnx")).status().unwrap().success());
    std::os::unix::fs::symlink("/dev/zero", models.join("zero.onnx")).unwrap();
    std::os::unix::fs::symlink("loop.onnx", models.join("loop.onnx")).unwrap();
    std::fs::create_dir(models.join("folder.onnx")).unwrap();
    std::fs::copy(root().join("examples/models/nanodet-g-416.onnx"), models.join("good.onnx")).unwrap();
    let files = ["pipe.onnx", "zero.onnx", "loop.onnx", "folder.onnx", "none.onnx", "good.onnx", "good.onnx"];
    let mut listed: Vec<Value> = files
        .iter()
        .map(|file| serde_json::json!({"id": file.trim_end_matches(".onnx"), "name": file, "file": file}))
        .collect();
    listed.push(serde_json::json!({"id": 1}));
    listed.push(serde_json::json!("text"));
    std::fs::write(models.join("models.json"), serde_json::json!({"models": listed}).to_string()).unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_sightflow"))
        .args(["serve", "--listen", "127.0.0.1:0", "--starter-models", models.to_str().unwrap(), "--data"])
        .arg(directory.path().join("data"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let ready = std::io::BufReader::new(server.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    assert!(ready.contains("models: good,") || ready.contains("models: good)"), "{ready}");
    Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap();
    let output = server.wait_with_output().unwrap();
    let log = stderr(&output);
    assert_eq!(log.matches("model left out").count(), 8, "{log}");
}
