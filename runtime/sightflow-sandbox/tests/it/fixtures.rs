//! Components of released interfaces, in every language that there is a template for: the host runs them for ever.

use std::io::Read;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use sightflow_sandbox::{
    CallConditions, CallFailure, GuestOutcome, GuestPayload, ManyOutcomes, Package, Sandbox, identity,
};
use sightflow_types::error::code;

use crate::guests::{config, picture};

pub(crate) fn component(version: &str, language: &str) -> Vec<u8> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{version}/{language}.wasm.gz"));
    let packed = std::fs::File::open(file).expect("the fixture is there");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).expect("it is whole");
    bytes
}

fn payload(how: Option<&str>) -> GuestPayload {
    let mut document = json!({"image": {"$image": 0}, "data": {"$bytes": "AAEC"}});
    if let Some(how) = how {
        document["how"] = json!(how);
    }
    GuestPayload { document: document.to_string(), images: vec![picture()] }
}

fn call(sandbox: &Sandbox, package: &Package, how: Option<&str>) -> Result<GuestOutcome, Box<CallFailure>> {
    sandbox.call_blocking(package, "everything", r#"{"level":50}"#, payload(how), &CallConditions::default())
}

fn check(language: &str) {
    let sandbox = Sandbox::new(&config()).expect("a sandbox starts");
    let bytes = component("v0_1", language);
    let said = identity(&bytes).expect("a component").expect("an identity");
    assert_eq!((said.name, said.language), (format!("acme/{language}"), language.to_owned()));
    let loading = Instant::now();
    let package = sandbox.load("acme/fixture", &said.version, &bytes).expect("it loads");
    println!("{language}: {} bytes, loaded in {:?}", bytes.len(), loading.elapsed());

    let outcome = call(&sandbox, &package, None).expect("an answer");
    let answer: Value = serde_json::from_str(outcome.document.text()).expect("JSON");
    // 4×3 pixels; the second of the first row is (11, 21, 31), and four of the drawn image are red.
    let threshold = answer["numbers"][4].as_f64();
    let rest = (&answer["numbers"][0], &answer["numbers"][2], &answer["numbers"][3], &answer["numbers"][5]);
    assert_eq!((rest, threshold), ((&json!(4), &json!(11), &json!(255), &json!(3)), Some(4.0)), "{answer}");
    assert_eq!((&answer["numbers"][6], &answer["data"]), (&json!(true), &json!({"$bytes": "AgEA"})), "{answer}");
    assert_eq!(outcome.images[0].size(), (4, 3));
    assert_eq!(outcome.logs.lines[0].message, "an image of format rgb8");
    println!("{language}: {} µs of its own, {} bytes of memory", outcome.profile.cpu_us, outcome.profile.peak_memory);

    for (how, code, words) in [
        ("refuse", code::BAD_INPUT, "it is refused"),
        // What nobody foresaw is a failure in the author's own words, not a trap.
        ("fail", code::BLOCK_FAILED, "nobody foresaw it"),
        ("outside", code::BLOCK_FAILED, "1000×1000 pixels at (0, 0)"),
    ] {
        let failure = call(&sandbox, &package, Some(how)).expect_err(how);
        assert_eq!(failure.error.code(), code, "{failure}");
        assert!(failure.error.to_string().contains(words), "{failure}");
    }

    let payloads = vec![payload(None), payload(Some("refuse")), payload(None)];
    let many =
        sandbox.call_many_blocking(&package, "everything", r#"{"level":50}"#, payloads, &CallConditions::default());
    match many.expect("answers") {
        ManyOutcomes::Together { answers, .. } => {
            assert_ne!(language, "javascript", "its toolchain makes one world, and this is not it");
            assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
        }
        ManyOutcomes::Apart(answers) => {
            assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
        }
    }
}

#[test]
fn rust() {
    check("rust");
}

#[test]
fn python() {
    check("python");
}

#[test]
fn javascript() {
    check("javascript");
}
