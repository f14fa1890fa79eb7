//! `sightflow block …`: an author's day, with real components and a real server.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use sightflow_sandbox::{Identity, with_identity};
use tempfile::TempDir;

use crate::server::{SIGHTFLOW, Server, command, root};

/// What `block new` writes is compiled and tested here as it stands.
#[path = "../../templates/rust/src/lib.rs"]
#[expect(unreachable_pub, reason = "a crate of its own for those who get it")]
mod template;

/// A first-party component under another name.
pub(crate) fn component(package: &str, name: &str, version: &str) -> Vec<u8> {
    let found = sightflow_first_party::PACKAGES.iter().find(|found| found.name == package).unwrap();
    let identity = Identity {
        name: name.to_owned(),
        version: version.parse().unwrap(),
        sdk: String::new(),
        language: "rust".to_owned(),
    };
    with_identity(found.component, &identity).unwrap()
}

/// A directory with component files, in which verbs are run.
pub(crate) struct Desk(TempDir);

impl Desk {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn block(&self, arguments: &[&str]) -> Said {
        self.block_with(arguments, &[])
    }

    pub(crate) fn block_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
        let mut command = Command::new(SIGHTFLOW);
        command.arg("block").args(arguments).current_dir(self.0.path()).envs(variables.iter().copied());
        Said::of(&command.output().unwrap())
    }
}

/// What a verb said.
#[derive(Debug)]
pub(crate) struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    #[track_caller]
    fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    #[track_caller]
    pub(crate) fn failed(self, part: &str) -> Self {
        assert_eq!(self.code, Some(1), "{self:?}");
        assert!(self.out.contains(part) || self.err.contains(part), "`{part}` is missing: {self:?}");
        self
    }
}

#[test]
fn check_says_what_an_upload_would() {
    let (desk, server) = (Desk::new(), Server::start_with(&["--workers", "0"]));
    let good = component("sightflow/output", "acme/output", "1.2.0");
    desk.put("good.wasm", &good);
    desk.put("broken.wasm", &good[..good.len() / 2]);
    desk.put("module.wasm", b"\0asm\x01\0\0\0");
    desk.put("reserved.wasm", &component("sightflow/output", "sightflow/output", "1.0.0"));

    let described = desk.block(&["check", "good.wasm"]).ok();
    let size = format!("{} bytes", good.len());
    for part in ["acme/output 1.2.0", "sha256:", &size, "asks for nothing", "acme/output/json_output (data: any)"] {
        assert!(described.contains(part), "`{part}` is missing: {described}");
    }
    let dry = ["publish", "good.wasm", "--server", server.address(), "--dry-run", "--json"];
    assert_eq!(desk.block(&["check", "good.wasm", "--json"]).json(), desk.block(&dry).json());

    for (arguments, code) in [
        (&["broken.wasm"][..], "E-SHAPE: "),
        (&["module.wasm", "--name", "acme/a", "--version", "1.0.0"], "E-SHAPE: "),
        (&["reserved.wasm"], "E-MANIFEST: the namespace"),
        (&["good.wasm", "--name", "acme/other", "--version", "2.0.0"], "not `acme/other`\nE-MANIFEST: "),
    ] {
        let here = desk.block(&[&["check"], arguments].concat()).failed(code);
        let there = desk.block(&[&["publish", "--server", server.address()], arguments].concat()).failed(code);
        assert_eq!((here.out, here.err), (there.out, there.err), "{arguments:?}");
    }
    let refused = desk.block(&["check", "broken.wasm", "--json"]).failed("component_invalid");
    let refused: Value = serde_json::from_str(&refused.out).unwrap();
    assert_eq!(refused["error"]["details"][0]["code"], "E-SHAPE");
    desk.block(&["check", "none.wasm"]).failed("cannot read none.wasm");
    assert_eq!(desk.block(&["list", "--server", server.address()]).ok(), "", "nothing was published");
}

#[test]
fn examples_run_at_home_as_on_the_server() {
    let (desk, server) = (Desk::new(), Server::start_with(&["--workers", "0"]));
    // Their examples need a picture.
    desk.put("transform.wasm", &component("sightflow/transform", "acme/transform", "1.0.0"));
    let held = desk.block(&["test", "transform.wasm"]).ok();
    assert!(held.contains("ok      crop example 0\n") && !held.contains("FAILED"), "{held}");
    let publish = ["publish", "--server", server.address(), "--verify"];
    desk.block(&[&publish[..], &["transform.wasm"]].concat()).ok();

    // An example that expects something else.
    let mut bytes = component("sightflow/output", "acme/output", "1.0.0");
    let places = |bytes: &[u8]| -> Vec<usize> {
        let found =
            bytes.windows(7).enumerate().filter(|(_, window)| window.starts_with(b"a.b[0]") && window[6] != b'.');
        found.map(|(at, _)| at).collect()
    };
    let found = places(&bytes);
    assert_eq!(found.len(), 1);
    bytes[found[0] + 4] = b'7';
    desk.put("wrong.wasm", &bytes);
    let line = "E-EXAMPLE: example 0 of `json_output`: `json` is {\"a.b[0]\":1}, not {\"a.b[7]\":1}";
    let here = desk.block(&["test", "wrong.wasm"]).failed(line);
    assert!(here.out.contains("ok      json_output example 1"), "{here:?}");
    desk.block(&[&publish[..], &["wrong.wasm"]].concat()).failed(line);
}

#[test]
fn run_calls_one_block_and_writes_its_pictures() {
    let desk = Desk::new();
    desk.put("transform.wasm", &component("sightflow/transform", "acme/transform", "1.0.0"));
    desk.put("found.json", br#"[{"bbox": [0.25, 0.25, 0.5, 0.75], "class_name": "x", "confidence": 0.9}]"#);
    desk.put("config.json", br#"{"padding": 0}"#);
    let photo = format!("image={}", root().join("examples/images/astronaut.png").display());
    let crop = ["run", "transform.wasm", "--block", "crop", "--input", &photo];
    let with = |more: &[&str]| desk.block(&[&crop[..], more].concat());

    let given = ["--input", "detections=@found.json", "--config", "@config.json"];
    let said = with(&[&given[..], &["--out", "out", "--profile"]].concat());
    for part in ["guest CPU", "host CPU", "wall", "peak memory", "handles"] {
        assert!(said.err.contains(part), "`{part}` is missing: {said:?}");
    }
    let outputs = said.json();
    assert_eq!(outputs["count"], 1);
    let picture = image::open(desk.path(outputs["crops"][0]["$image"]["file"].as_str().unwrap())).unwrap();
    assert_eq!((picture.width(), picture.height()), (128, 256));
    let silent = with(&given);
    assert_eq!(silent.err, "");
    assert_eq!(silent.json()["crops"][0]["$image"], serde_json::json!({"width": 128, "height": 256}));

    with(&["--input", r#"detections=[{"bbox": "x"}]"#]).failed("E-BAD-INPUT: ");
    with(&["--config", r#"{"paddding": 1}"#]).failed("did you mean `padding`?");
    with(&["--config", "[]"]).failed("--config is a JSON object");
    with(&["--input", "image=x.png"]).failed("cannot read x.png");
    with(&["--input", "image=found.json"]).failed("is no picture");
    desk.block(&["run", "transform.wasm", "--block", "corp"]).failed("it has: ");
}

#[test]
fn a_package_is_published_activated_and_rolled_back() {
    let (desk, data) = (Desk::new(), TempDir::new().unwrap());
    let made = Command::new(SIGHTFLOW).args(["key", "create", "--data"]).arg(data.path()).output().unwrap();
    let key = serde_json::from_slice::<Value>(&made.stdout).unwrap()["key"].as_str().unwrap().to_owned();
    let server = Server::adopt(command(data.path()).args(["--auth", "--workers", "0"]).spawn().unwrap(), data);
    let address = server.address();
    let keyed =
        |arguments: &[&str]| desk.block_with(arguments, &[("SIGHTFLOW_KEY", &key), ("SIGHTFLOW_SERVER", address)]);

    desk.put("one.wasm", &component("sightflow/output", "acme/output", "1.0.0"));
    desk.put("two.wasm", &component("sightflow/output", "acme/output", "2.0.0"));
    desk.put("other.wasm", &component("sightflow/transform", "acme/output", "2.0.0"));
    desk.block(&["publish", "one.wasm", "--server", address]).failed("unauthenticated: ");
    desk.block(&["publish", "one.wasm", "--server", address, "--key", "line\nbreak"]).failed("cannot be sent");
    assert_eq!(keyed(&["publish", "one.wasm"]).ok(), "acme/output  1.0.0  active  json_output\n");
    assert!(keyed(&["publish", "one.wasm"]).err.contains("had these bytes already"));
    assert_eq!(keyed(&["publish", "two.wasm", "--no-activate"]).ok(), "acme/output  1.0.0  active  json_output\n");
    keyed(&["publish", "other.wasm"]).failed("already_exists: ");
    assert_eq!(keyed(&["activate", "acme/output", "2.0.0"]).ok(), "acme/output  2.0.0  active  json_output\n");
    keyed(&["activate", "acme/output", "3.0.0"]).failed("not_found: ");
    assert_eq!(keyed(&["rollback", "acme/output"]).ok(), "acme/output  1.0.0  active  json_output\n");
    keyed(&["rollback", "acme/none"]).failed("not_found: ");
    assert_eq!(keyed(&["list"]).ok(), "acme/output  1.0.0  active  json_output\n");
    assert_eq!(keyed(&["list", "--json"]).json()["previous_version"], "2.0.0");
}

#[test]
fn a_server_that_is_not_there_is_one_sentence() {
    let desk = Desk::new();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = desk.block(&["list", "--server", &format!("http://{nobody}")]).failed("cannot be reached: ");
    assert_eq!(said.err.lines().count(), 1, "{said:?}");
    desk.block(&["list", "--server", "ftp://localhost"]).failed("expected http:// or https://");
    desk.block(&["list", "--server", "localhost"]).failed("--server");
    let said = desk.block(&["list", "--server", "http://me:secret@localhost"]).failed("--key");
    assert!(!said.err.contains("secret"), "{said:?}");
}

#[test]
fn new_makes_a_package_and_overwrites_nothing() {
    let desk = Desk::new();
    assert_eq!(desk.block(&["new", "acme/shelf-tools", "--sdk", root().to_str().unwrap()]).ok(), "shelf-tools\n");
    let text = |file: &str| std::fs::read_to_string(desk.path("shelf-tools").join(file)).unwrap();
    let sdk = root().join("blocks-sdk/sightflow-block");
    assert!(text("Cargo.toml").contains(&format!("sightflow-block = {{ path = {:?} }}", sdk.to_str().unwrap())));
    assert!(text("src/lib.rs").contains("export_package!(\"acme/shelf-tools\"; largest);"));
    assert!(text("README.md").contains("acme_shelf_tools.wasm"));
    assert_eq!(text(".gitignore"), "/target\n");
    assert!(text("rust-toolchain.toml").contains("wasm32-wasip2"));

    desk.block(&["new", "globex/shelf-tools"]).failed("not an empty directory");
    desk.put("taken", b"");
    desk.block(&["new", "acme/taken"]).failed("not an empty directory");
    std::fs::create_dir(desk.path("empty")).unwrap();
    desk.block(&["new", "acme/empty"]).ok();
    desk.block(&["new", "acme/../up"]).failed("is not a name");
    desk.block(&["new", "acme/tools", "--sdk", "/none"]).failed("no crate `sightflow-block`");
    desk.block(&["new", "acme/tools", "--lang", "python", "--sdk", "."]).failed("for packages in Rust");
    assert!(!Path::new(&desk.path("tools")).exists());

    desk.block(&["build", "."]).failed("`sightflow block new` makes a package");
    desk.block_with(&["build", "shelf-tools"], &[("PATH", "/none")]).failed("https://rustup.rs");

    for (language, name, missing) in [("python", "snakes", "pip install"), ("js", "scripts", "npm install")] {
        desk.block(&["new", &format!("acme/{name}"), "--lang", language]).ok();
        let text = std::fs::read_to_string(desk.path(name).join("sightflow.json")).unwrap();
        assert!(text.contains(&format!("\"acme/{name}\"")), "{text}");
        desk.block_with(&["build", name], &[("PATH", "/none")]).failed(missing);
    }
}

#[test]
fn a_directory_of_packages_follows_what_is_saved() {
    let desk = Desk::new();
    desk.put("output.wasm", &component("sightflow/output", "acme/output", "1.2.0"));
    let directory = desk.path(".").display().to_string();
    let server = Server::start_with(&["--workers", "0", "--dev-blocks", &directory]);
    let versions = |name: &str| {
        let (_, package) = server.get(&format!("/api/v1/block-packages/acme/{name}"));
        package["active_version"].as_str().map(str::to_owned)
    };
    let until = |name: &str, other_than: Option<&str>| {
        let begin = std::time::Instant::now();
        loop {
            let found = versions(name);
            if let Some(found) = found.filter(|found| Some(found.as_str()) != other_than) {
                return found;
            }
            assert!(begin.elapsed().as_secs() < 60, "{name} was not published");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    };
    let first = until("output", None);
    assert!(first.starts_with("1.2.0-dev."), "{first}");
    // One that is broken leaves the one before in its place; one that comes later is found.
    desk.put("output.wasm", b"no component");
    desk.put("logic.wasm", &component("sightflow/logic", "acme/logic", "0.3.0"));
    until("logic", None);
    assert_eq!(versions("output"), Some(first.clone()));
    desk.put("output.wasm", &component("sightflow/output", "acme/output", "1.3.0"));
    assert!(until("output", Some(&first)).starts_with("1.3.0-dev."));
}

#[test]
fn only_what_a_trusted_publisher_signed_is_taken() {
    let desk = Desk::new();
    let server = Server::start_with(&["--workers", "0", "--require-signatures"]);
    desk.put("one.wasm", &component("sightflow/output", "acme/output", "1.0.0"));
    desk.put("two.wasm", &component("sightflow/output", "acme/output", "2.0.0"));
    let public = desk.block(&["keygen", "acme.key"]).ok();
    desk.block(&["keygen", "acme.key"]).failed("cannot make acme.key");
    desk.block(&["keygen", "evil.key"]).ok();
    let publish = |arguments: &[&str]| desk.block(&[&["publish", "--server", server.address()], arguments].concat());
    publish(&["one.wasm"]).failed("E-SIGNATURE: this server takes signed packages only");
    publish(&["one.wasm", "--sign", "acme.key"]).failed("E-SIGNATURE: no publisher whom the tenant trusts");
    let key = serde_json::json!({"public_key": public.trim()});
    assert_eq!(server.put("/api/v1/publishers/acme", &key).0, 204);
    publish(&["one.wasm", "--sign", "evil.key"]).failed("E-SIGNATURE");
    desk.put("no.key", b"no key");
    publish(&["one.wasm", "--sign", "no.key"]).failed("no Ed25519 private key");
    publish(&["one.wasm", "--sign", "acme.key"]).ok();
    let (_, version) = server.get("/api/v1/block-packages/acme/output/versions/1.0.0");
    assert_eq!(version["signed_by"], "acme", "{version:#}");
    // Who is trusted no longer publishes no more; what is there stays.
    assert_eq!(server.delete("/api/v1/publishers/acme").0, 204);
    publish(&["two.wasm", "--sign", "acme.key"]).failed("E-SIGNATURE");
    assert_eq!(server.get("/api/v1/block-packages/acme/output").1["active_version"], "1.0.0");
}
