//! The block interface as a text: what is released stays as it is, and its names can be written in every language.

use sha2::{Digest as _, Sha256};
use wit_parser::{Resolve, TypeDefKind};

/// SHA-256 of what was released.
const RELEASED: [(&str, &str, &str); 1] = [(
    "v0_1/block.wit",
    include_str!("../../../../wit/v0_1/block.wit"),
    "3f4e36628326708d5ef43326ae50ff1870c77624792ca848572b4aaf05f2fc00",
)];

#[test]
fn what_is_released_does_not_change() {
    for (file, text, expected) in RELEASED {
        let digest: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            digest, expected,
            "components everywhere were built for wit/{file}: leave it as it is, and add a folder for the next version"
        );
    }
}

/// Words that a binding would have to spell in another way.
const KEYWORDS: [(&str, &str); 3] = [
    (
        "Rust",
        "abstract as async await become box break const continue crate do dyn else enum extern false final fn for gen if \
         impl in let loop macro match mod move mut override priv pub ref return self static struct super trait true try \
         type typeof unsafe unsized use virtual where while yield",
    ),
    (
        "Python",
        "and as assert async await break case class continue def del elif else except finally for from global if import \
         in is lambda match none nonlocal not or pass raise return true try type while with yield",
    ),
    (
        "JavaScript",
        "arguments await break case catch class const continue debugger default delete do else enum eval export extends \
         false finally for function if implements import in instanceof interface let new null package private protected \
         public return static super switch this throw true try typeof var void while with yield",
    ),
];

#[test]
fn names_are_no_keywords() {
    let mut resolve = Resolve::default();
    resolve.push_path("../../wit/v0_1").expect("the interface can be read");
    let mut names: Vec<String> = Vec::new();
    for (_, interface) in &resolve.interfaces {
        for (name, function) in &interface.functions {
            // `[method]image.crop`
            names.push(name.rsplit(['.', ']']).next().unwrap_or(name).to_owned());
            names.extend(function.params.iter().map(|parameter| parameter.name.clone()).filter(|name| name != "self"));
        }
    }
    for (_, kind) in &resolve.types {
        names.extend(kind.name.clone());
        match &kind.kind {
            TypeDefKind::Record(record) => names.extend(record.fields.iter().map(|field| field.name.clone())),
            TypeDefKind::Variant(variant) => names.extend(variant.cases.iter().map(|case| case.name.clone())),
            TypeDefKind::Enum(cases) => names.extend(cases.cases.iter().map(|case| case.name.clone())),
            _ => {}
        }
    }
    assert!(names.len() > 100, "{}", names.len());
    for (language, keywords) in KEYWORDS {
        let keywords: Vec<_> = keywords.split_whitespace().collect();
        for name in &names {
            assert!(!keywords.contains(&name.as_str()), "`{name}` is a keyword of {language}");
        }
    }
}
