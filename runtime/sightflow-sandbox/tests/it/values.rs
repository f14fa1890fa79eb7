//! Values, images and errors across the boundary.

use sightflow_images::PixelFormat;
use sightflow_sandbox::{CallConditions, CallLimits, GuestError, Report};
use sightflow_types::error::code;

use crate::guests::{Bench, picture};

#[test]
fn an_image_comes_back_as_the_same_image() {
    let outcome = Bench::new().ok("echo", "");
    assert_eq!(outcome.document.text(), r#"{"image":{"$image":0}}"#);
    assert_eq!(outcome.images[0].pixels().expect("pixels").data(), picture().pixels().expect("pixels").data());
    assert_eq!(outcome.profile.bytes_copied, 0, "handles copy no pixels");
}

#[test]
fn regions_are_read_and_written() {
    let outcome = Bench::new().ok("pixels", "");
    // Pixels 5 and 6 of the picture, inverted.
    let inverted = [255 - 15, 255 - 25, 255 - 35, 255 - 16, 255 - 26, 255 - 36];
    let mut expected = picture().pixels().expect("pixels").data().to_vec();
    expected[15..21].copy_from_slice(&inverted);
    let images = &outcome.images;
    assert_eq!(images[0].pixels().expect("pixels").data(), expected);
    assert_eq!((images[1].size(), images[1].format()), ((2, 1), PixelFormat::Rgb8));
    assert_eq!(images[1].pixels().expect("pixels").data(), inverted);
    assert_eq!(outcome.profile.bytes_copied, 18, "read, written and made: six bytes each");
}

#[test]
fn a_block_s_own_errors_keep_their_kind_and_their_place() {
    let bench = Bench::new();
    let plain = |message: &str| Report { message: message.to_owned(), ..Report::default() };
    let placed = r#"{"code":"not_comparable","message":"cannot compare","port":"value","index":3}"#;
    let report = Report {
        code: Some("not_comparable".to_owned()),
        port: Some("value".to_owned()),
        index: Some(3),
        ..plain("cannot compare")
    };
    let cases = [
        ("fail", "no", GuestError::Failed(plain("no")), code::BLOCK_FAILED),
        ("retry", "later", GuestError::Retry(plain("later")), code::BLOCK_FAILED),
        ("bad_config", "no", GuestError::BadConfig(plain("no")), code::BAD_CONFIG),
        ("bad_input", placed, GuestError::BadInput(report), code::BAD_INPUT),
    ];
    for (block, argument, expected, code) in cases {
        let error = bench.error(block, argument, CallLimits::default());
        assert_eq!((&error, error.code()), (&expected, code), "{block}");
    }
}

#[test]
fn an_answer_that_breaks_the_interface_is_refused() {
    let bench = Bench::new();
    let cases = [
        ("not_json", "no JSON", "expected"),
        ("not_json", "[1]", "a JSON object"),
        ("foreign_image", "", "image 1 does not exist"),
        ("not_json", r#"{"image":{"$image":{"digest":"sha256:00"}}}"#, "must be an index"),
    ];
    for (block, argument, expected) in cases {
        match bench.error(block, argument, CallLimits::default()) {
            GuestError::InvalidOutput(reason) => assert!(reason.contains(expected), "{reason}"),
            error => panic!("{block} {argument}: {error:?}"),
        }
    }
    assert_eq!(bench.error("nonsense", "", CallLimits::default()), GuestError::UnknownBlock("nonsense".to_owned()));
}

#[tokio::test]
async fn checks_are_read() {
    let bench = Bench::new();
    let check = |block| bench.sandbox.check(&bench.package, block, "{}", r#"{"wired":[]}"#, &CHECK);
    static CHECK: std::sync::LazyLock<CallConditions> = std::sync::LazyLock::new(CallConditions::default);
    let problems = check("echo").await.expect("problems");
    assert_eq!((problems[0].code.as_str(), problems[0].message.as_str()), ("E-TEST", r#"{} {"wired":[]}"#));
    assert_eq!(check("spin").await.expect("no problems"), []);
    let failure = check("not_json").await.expect_err("refused");
    assert!(
        matches!(&failure.error, GuestError::InvalidOutput(reason) if reason.contains("array of problems")),
        "{failure}"
    );
}
