use sightflow_block::testing::{Answer, Call, check};
use sightflow_block::{BlockError, Image, Value, json};

use crate::PACKAGE;

const RED: [u8; 3] = [255, 0, 0];
const BLACK: [u8; 3] = [0, 0, 0];

fn draw(image: &Image, detections: Value, config: Value) -> Result<Answer, BlockError> {
    Call::new(PACKAGE, "draw_boxes").config(config).image("image", image).input("detections", detections).run()
}

fn black(size: (u32, u32)) -> Image {
    Image::from_fn(size, |_, _| BLACK)
}

/// The picture of one box on 100×100 black, fixed red, no label.
fn one_box(config: &Value) -> Image {
    let mut all = json!({"color_by": "fixed", "color": "red", "show_labels": false});
    all.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
    let answer = draw(&black((100, 100)), json!([{"bbox": [0.1, 0.1, 0.4, 0.4]}]), all).unwrap();
    assert_eq!(answer.value("count"), 1);
    answer.image("image").unwrap().clone()
}

fn painted_in_row(image: &Image, y: u32) -> Vec<u32> {
    (0..image.size().0).filter(|&x| image.rgb(x, y) != BLACK).collect()
}

#[test]
fn rectangle_paints_three_columns_a_side() {
    let image = one_box(&json!({"line_width": 2}));
    assert_eq!(painted_in_row(&image, 25), [9, 10, 11, 39, 40, 41]);
    assert_eq!((image.rgb(10, 25), image.rgb(25, 25)), (RED, BLACK));
    assert_eq!(painted_in_row(&one_box(&json!({"thickness": 1})), 25), [10, 40]);
}

#[test]
fn styles() {
    // Pixels that a style paints, and pixels that it leaves.
    type Places<'p> = &'p [(u32, u32)];
    let cases: [(Value, Places<'_>, Places<'_>); 9] = [
        (json!({"style": "rounded", "roundness": 1}), &[(25, 10), (10, 25)], &[(10, 10), (40, 40), (25, 25)]),
        (
            json!({"style": "corners", "corner_length": 5}),
            &[(10, 10), (15, 10), (10, 15), (40, 36)],
            &[(25, 10), (17, 10)],
        ),
        (json!({"style": "circle"}), &[(46, 25), (25, 46), (4, 25)], &[(25, 25), (25, 10)]),
        (json!({"style": "ellipse"}), &[(55, 40), (25, 50)], &[(25, 30), (25, 40)]),
        (json!({"style": "dot"}), &[(25, 10), (25, 14), (21, 10)], &[(25, 16), (10, 25)]),
        (json!({"style": "triangle"}), &[(25, 10), (25, 4), (28, 3)], &[(25, 12), (20, 10)]),
        (json!({"style": "filled", "opacity": 1}), &[(25, 25), (10, 10), (40, 40)], &[(9, 10), (41, 40)]),
        (json!({"style": "Rectangle"}), &[(10, 10), (40, 40)], &[(25, 25)]),
        (json!({"style": "highlight"}), &[], &[(25, 25), (5, 5)]),
    ];
    for (config, painted, left) in cases {
        let image = one_box(&config);
        for &(x, y) in painted {
            assert_eq!(image.rgb(x, y), RED, "{config} at {x}, {y}");
        }
        for &(x, y) in left {
            assert_eq!(image.rgb(x, y), BLACK, "{config} at {x}, {y}");
        }
    }
}

#[test]
fn filled_blends_and_highlight_darkens_outside() {
    assert_eq!(one_box(&json!({"style": "filled", "opacity": 0.5})).rgb(25, 25), [128, 0, 0]);
    let white = Image::from_fn((100, 100), |_, _| [255; 3]);
    let detections = json!([{"bbox": [0.1, 0.1, 0.4, 0.4]}, {"bbox": [0.6, 0.6, 0.8, 0.8]}]);
    let answer = draw(&white, detections, json!({"style": "highlight", "show_labels": false})).unwrap();
    let image = answer.image("image").unwrap();
    let seen = [(25, 25), (70, 70), (39, 39), (40, 40), (50, 50)].map(|(x, y)| image.rgb(x, y)[0]);
    assert_eq!(seen, [255, 255, 255, 128, 128]);
}

#[test]
fn nothing_to_draw_is_the_same_image() {
    for detections in [json!([]), json!([{"bbox": [0.5, 0.5, 0.5, 0.9]}])] {
        let answer = draw(&black((20, 20)), detections, json!({})).unwrap();
        assert_eq!((answer.value("count"), answer.image_slot("image")), (&json!(0), Some(0)));
    }
}

#[test]
fn colours() {
    let detections = json!([
        {"bbox": [0.0, 0.0, 0.2, 1.0], "class_id": 17, "class_name": "x", "confidence": 0.5},
        {"bbox": [0.3, 0.0, 0.5, 1.0], "class_name": "bottle"},
    ]);
    let cases = [
        (json!({}), [0x34c759, 0x64d2ff]),
        (json!({"color_by": "index"}), [0xff3b30, 0x34c759]),
        (json!({"color_by": "confidence"}), [0xffff00, 0x00ff00]),
        (json!({"color_by_class": false, "default_color": "#00f"}), [0x0000ff, 0x0000ff]),
    ];
    for (config, expected) in cases {
        let mut all = json!({"show_labels": false, "line_width": 1});
        all.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
        let answer = draw(&black((10, 10)), detections.clone(), all).unwrap();
        let image = answer.image("image").unwrap();
        let seen = [image.rgb(0, 5), image.rgb(3, 5)].map(|[r, g, b]| u32::from_be_bytes([0, r, g, b]));
        assert_eq!(seen, expected, "{config}");
    }
}

/// Rows of column `x` that a label's background covers: those that differ from the same picture without labels.
fn label_rows(bbox: [f64; 4], config: &Value) -> Option<(u32, u32)> {
    let image = black((200, 100));
    let detections = json!([{"bbox_abs": bbox, "class_name": "bottle", "confidence": 0.934}]);
    let mut with = json!({"color_by": "fixed", "color": "#102030"});
    with.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
    let mut without = with.clone();
    without["show_labels"] = json!(false);
    let with = draw(&image, detections.clone(), with).unwrap();
    let without = draw(&image, detections, without).unwrap();
    let (with, without) = (with.image("image").unwrap(), without.image("image").unwrap());
    let differs = |y: u32| (0..200).any(|x| with.rgb(x, y) != without.rgb(x, y));
    let rows: Vec<u32> = (0..100).filter(|&y| differs(y)).collect();
    Some((*rows.first()?, *rows.last()?))
}

#[test]
fn labels_stand_on_the_box_or_inside_it() {
    let height = sightflow_block::draw::text_size("bottle 0.93", 14.0).unwrap().1 + 8;
    let cases = [
        ([50.0, 60.0, 90.0, 80.0], json!({}), 60 - height),
        // No room above.
        ([50.0, 5.0, 90.0, 80.0], json!({}), 5),
        ([50.0, 20.0, 90.0, 40.0], json!({"label_position": "bottom"}), 41),
    ];
    for (bbox, config, first) in cases {
        let rows = label_rows(bbox, &config).unwrap();
        // The rows that the box itself paints in the label's colour do not differ.
        assert!(
            rows.0.abs_diff(first) <= 1 && rows.1 < first + height,
            "{config} {bbox:?}: {rows:?}, expected from {first}"
        );
    }
    assert_eq!(label_rows([50.0, 60.0, 90.0, 80.0], &json!({"label_format": "{{ missing }}"})), None);
}

#[test]
fn labels_are_shifted_into_the_image() {
    let width = sightflow_block::draw::text_size("bottle 0.93", 14.0).unwrap().0 + 8;
    let detections = json!([{"bbox_abs": [190, 60, 199, 80], "class_name": "bottle", "confidence": 0.934}]);
    let answer = draw(&black((200, 100)), detections, json!({"color_by": "fixed", "color": "#102030"})).unwrap();
    let image = answer.image("image").unwrap();
    assert_eq!(painted_in_row(image, 58), (200 - width..200).collect::<Vec<_>>());
}

#[test]
fn a_template_sees_the_fields_and_the_index() {
    let wide = |format: &str| {
        let detections = json!([{"bbox_abs": [10, 60, 40, 80], "class_name": "can", "shelf": {"row": 3}}]);
        let config = json!({"color_by": "fixed", "color": "#102030", "label_format": format});
        let answer = draw(&black((200, 100)), detections, config).unwrap();
        painted_in_row(answer.image("image").unwrap(), 58).len() as u32
    };
    for (format, text) in [
        ("{{ class_name }} row {{ shelf.row }} #{{ index }}", "can row 3 #0"),
        ("{% if confidence > 0.5 %}sure{% else %}unsure{% endif %}", "sure"),
    ] {
        assert_eq!(wide(format), sightflow_block::draw::text_size(text, 14.0).unwrap().0 + 8, "{format}");
    }
}

#[test]
fn bad_calls() {
    let cases = [
        (json!([{"bbox": [0, 0, 1, 1]}, {"bbox": [10, 10, 40, 40]}]), json!({}), "detections[1]: bbox is normalised"),
        (json!([{}]), json!({}), "detections[0]: there is no box"),
        (json!({"bbox": [0, 0, 1, 1]}), json!({}), "detections: invalid type"),
        (json!([{"bbox": [0, 0, 1, 1]}]), json!({"label_format": "{{ 1 // 0 }}"}), "label_format: "),
        (
            json!([{"bbox": [0, 0, 1, 1]}]),
            json!({"label_format": "{% for a in range(9999) %}{{ a }}{% endfor %}"}),
            "label_format: ",
        ),
        (json!([]), json!({"line_width": 21}), "/config/line_width"),
        (json!([]), json!({"opacity": "0.5"}), "/config/opacity"),
        (json!([]), json!({"style": "star"}), "/config/style"),
        (json!([]), json!({"color": "orangered"}), "/config/color"),
        (json!([]), json!({"shadow": true}), "shadow"),
    ];
    for (detections, config, expected) in cases {
        let error = draw(&black((100, 100)), detections, config.clone()).unwrap_err().to_string();
        assert!(error.contains(expected), "{config}: {error}");
    }
}

#[test]
fn a_template_is_checked_when_a_workflow_is_saved() {
    let problems = check(PACKAGE, "draw_boxes", &json!({"label_format": "{{ class_name"}), &["image", "detections"]);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].pointer, "/config/label_format");
    assert_eq!(check(PACKAGE, "draw_boxes", &json!({"label_format": "{{ class_name }}"}), &[]), []);
}
