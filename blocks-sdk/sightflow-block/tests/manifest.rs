//! What the macros derive, and how a call is read.

use sightflow_block::testing::{Call, check, run_examples, run_examples_except};
use sightflow_block::{
    Block, BlockError, CheckContext, Choice, Color, Config, Detection, DetectionInput, Image, Inputs, Map, Outputs,
    Problem, Value, block, json,
};

/// Ports of every sort.
#[derive(Inputs)]
struct Given {
    /// A picture.
    image: Image,
    /// Found
    /// things.
    #[port(aliases("boxes"))]
    detections: Option<Vec<DetectionInput>>,
    /// Anything, often.
    #[port(many)]
    values: Vec<Value>,
    /// Run lengths.
    #[port(name = "mask_list", kind = "masks")]
    masks: Option<Value>,
}

#[derive(Config)]
#[config(dropped("antialias"), refused(shadow = "draw it yourself"), rewrite(big = "true", size = 9))]
struct Settings {
    /// How many.
    #[config(default = 3, min = 1, max = 9, aliases("count"))]
    size: u32,
    /// Which way.
    #[config(default = Way::OneTwo)]
    way: Way,
    /// Optional.
    #[config(above = 0)]
    share: Option<f64>,
    /// Required.
    names: Vec<String>,
    /// The ink.
    #[config(default = Color::from_hex(0x102030))]
    color: Color,
}

#[derive(Debug, Clone, Copy, Choice)]
enum Way {
    OneTwo,
    #[choice(name = "4:3", aliases("tv"))]
    Tv,
}

/// Answers of every sort.
#[derive(Outputs)]
struct Answers {
    /// The same picture.
    image: Image,
    /// A smaller one, in a list.
    parts: Vec<Image>,
    /// What was given.
    echo: Vec<Value>,
    /// The settings as text.
    settings: String,
    /// Full form.
    detections: Vec<Detection>,
    /// Absent is null.
    nothing: Option<f64>,
    /// Absent is skipped.
    #[port(skippable)]
    branch: Option<bool>,
    /// One of two.
    #[port(exclusive)]
    left: Option<bool>,
    /// The other of them.
    #[port(exclusive)]
    right: Option<bool>,
}

/// Tries everything.
///
/// Twice.
#[block(category = "logic", aliases("attempt"), check = no_nine)]
fn try_all(given: &Given, settings: &Settings) -> Result<Answers, BlockError> {
    let part = given.image.crop(sightflow_block::Rect { x: 1, y: 0, width: 1, height: 1 })?;
    let found =
        sightflow_block::boxes(given.detections.as_deref().unwrap_or_default(), "detections", given.image.size())?;
    let Settings { size, way, share, names, color } = settings;
    Ok(Answers {
        image: given.image.clone(),
        parts: vec![part, given.image.clone()],
        echo: given.values.iter().chain(&given.masks).cloned().collect(),
        settings: format!("{size} {} {share:?} {names:?} {color}", way.as_str()),
        detections: found.into_iter().map(|found| found.detection).collect(),
        nothing: None,
        branch: None,
        left: None,
        right: Some(true),
    })
}

fn no_nine(_: &CheckContext, config: &Map<String, Value>) -> Vec<Problem> {
    let nine = config.get("size").is_some_and(|size| size == 9);
    nine.then(|| Problem::new("E-NINE", "/config/size", "not nine")).into_iter().collect()
}

sightflow_block::export_package!("acme/tests"; try_all);

#[test]
fn manifest() {
    let manifest = serde_json::to_value(<try_all as Block>::manifest()).unwrap();
    assert_eq!(manifest["title"], "Try all");
    assert_eq!(manifest["description"], "Tries everything.\n\nTwice.");
    let port = |name: &str, kind: &str, required: bool, many: bool, aliases: Value, description: &str| json!({"name": name, "kind": kind, "required": required, "many": many, "aliases": aliases, "description": description});
    assert_eq!(
        manifest["inputs"],
        json!([
            port("image", "image", true, false, json!([]), "A picture."),
            port("detections", "detections", false, false, json!(["boxes"]), "Found things."),
            port("values", "any", true, true, json!([]), "Anything, often."),
            port("mask_list", "masks", false, false, json!([]), "Run lengths."),
        ])
    );
    let kinds: Vec<_> =
        manifest["outputs"].as_array().unwrap().iter().map(|port| port["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["image", "images", "array", "string", "detections", "number", "boolean", "boolean", "boolean"]);
    let outputs = manifest["outputs"].as_array().unwrap();
    let exclusive: Vec<_> = outputs.iter().filter(|port| port["exclusive"] == true).map(|port| &port["name"]).collect();
    assert_eq!(exclusive, ["left", "right"]);

    let mut config = manifest["config"].clone();
    let color = config["properties"].as_object_mut().unwrap().remove("color").unwrap();
    assert_eq!((&color["default"], &color["x-widget"]), (&json!("#102030"), &json!("color")));
    assert_eq!(
        config,
        json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["names"],
            "x-dropped": ["antialias"],
            "x-refused": {"shadow": "draw it yourself"},
            "x-rewrites": {"big": {"true": {"size": 9}}},
            "properties": {
                "size": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3, "x-aliases": ["count"], "description": "How many."},
                "way": {"type": "string", "enum": ["one_two", "4:3"], "default": "one_two", "x-value-aliases": {"tv": "4:3"}, "description": "Which way."},
                "share": {"type": "number", "exclusiveMinimum": 0, "description": "Optional."},
                "names": {"type": "array", "items": {"type": "string"}, "description": "Required."},
            },
        })
    );
}

fn call(config: Value) -> Call<'static> {
    let image = Image::from_fn((3, 2), |x, y| [x as u8, y as u8, 7]);
    Call::new(PACKAGE, "try_all").config(config).image("image", &image)
}

#[test]
fn one_call() {
    let inner = json!({"deep": [{"$image": 0}]});
    let answer = call(json!({"names": ["a"], "count": 4, "way": "TV", "antialias": true}))
        .input("values", json!([inner, 5]))
        .input("detections", json!([{"bbox": [0, 0, 0.5, 1], "shelf": 1}]))
        .input("unknown", json!(1))
        .run()
        .unwrap();
    assert_eq!(*answer.value("settings"), r##"4 4:3 None ["a"] #102030"##);
    // A value that passes through keeps its image, an image that is answered twice has one place.
    assert_eq!(*answer.value("echo"), json!([inner, 5]));
    assert_eq!(*answer.value("image"), json!({"$image": 0}));
    assert_eq!(*answer.value("parts"), json!([{"$image": 1}, {"$image": 0}]));
    assert_eq!(answer.images("parts")[0].rgb(0, 0), [1, 0, 7]);
    assert_eq!(answer.value("detections")[0]["shelf"], 1);
    assert_eq!(answer.outputs.get("nothing"), Some(&Value::Null));
    assert_eq!(answer.outputs.get("branch"), None);
    assert_eq!((answer.outputs.get("left"), answer.outputs.get("right")), (None, Some(&json!(true))));
}

#[test]
fn bad_calls() {
    let cases = [
        (json!({"names": []}), json!({}), "values: this port is required but has no value"),
        (json!({"names": []}), json!({"values": null}), "values: this port is required but has no value"),
        (json!({"names": []}), json!({"values": 3}), "values: invalid type: integer `3`, expected a sequence"),
        (json!({"names": []}), json!({"values": [], "image": {"$image": 9}}), "image: expected an image"),
        (json!({}), json!({"values": []}), "the required key `names` is missing"),
        (json!({"names": [], "share": 0}), json!({"values": []}), "/config/share"),
        (json!({"names": [], "shadow": 1}), json!({"values": []}), "shadow"),
    ];
    for (config, inputs, expected) in cases {
        let mut call = call(config.clone());
        for (port, value) in inputs.as_object().unwrap() {
            call = call.input(port, value.clone());
        }
        let error = call.run().unwrap_err().to_string();
        assert!(error.contains(expected), "{config} {inputs}: {error}");
    }
}

#[test]
fn checks() {
    for (config, expected) in [
        (json!({"names": []}), vec![]),
        (json!({"names": [], "big": true}), vec!["/config/size"]),
        (json!({"names": [], "size": 10}), vec!["/config/size"]),
        // As the server: where it was written, each key once, nothing that a rewrite does not know.
        (json!({"names": [], "count": 10}), vec!["/config/count"]),
        (json!({"names": [], "count": 1, "size": 2}), vec!["/config/size"]),
        (json!({"names": [], "big": false}), vec!["/config/big"]),
        (json!({"names": [], "nmaes": []}), vec!["/config/nmaes"]),
    ] {
        let problems = check(PACKAGE, "try_all", &config, &[]);
        assert_eq!(problems.iter().map(|p| p.pointer.as_str()).collect::<Vec<_>>(), expected, "{config}");
    }
}

#[test]
#[should_panic(expected = "`try_all` declares no examples")]
fn a_block_without_examples_fails() {
    run_examples(PACKAGE);
}

#[test]
fn a_block_may_be_excused_from_examples() {
    run_examples_except(PACKAGE, &["try_all"]);
}

#[test]
#[should_panic(expected = "there is no block `try_al`")]
fn only_a_block_that_exists_is_excused() {
    run_examples_except(PACKAGE, &["try_all", "try_al"]);
}
