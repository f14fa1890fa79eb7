//! Expressions, templates, paths and references that are nearly right: each is refused with a reason or compiles, and nothing
//! panics.

#[path = "../../mutate.rs"]
mod mutate;

use mutate::{Mutator, rounds};
use sightflow_expressions::Path;
use sightflow_expressions::expression::Expression;
use sightflow_expressions::reference::{Compiled, Template};
use sightflow_expressions::template::ItemTemplate;

const SEEDS: [&str; 14] = [
    "params.threshold * 2",
    "{{ params.a + 1 }} of {{ len(items) }}",
    "$nodes.detect.detections[0].bbox.x1",
    "$inputs.image",
    "a.b[3].c == \"text\" and not (x < 3.5e10 or y in [1, 2, 3])",
    "min(1, max(2, 3)) ? 'yes' : 'no'",
    "((((((((((1))))))))))",
    "1 / 0 % 7 ** 2",
    "\"\\u00e4\\ud83d\\ude00\" ~ upper('straße')",
    "$item.confidence >= 0.5",
    "{% raw %}{{",
    "true && false || null",
    "a[-1][\"k\"]..b",
    "!!!!a",
];

#[test]
fn what_is_nearly_an_expression_is_refused_or_compiles() {
    let seeds: Vec<Vec<u8>> = SEEDS.iter().map(|text| text.as_bytes().to_vec()).collect();
    let mut mutator = Mutator::new(2);
    let mut compiled = 0;
    for _ in 0..rounds(20_000) {
        let bytes = mutator.mutate(&seeds);
        let text = String::from_utf8_lossy(&bytes);
        let found = [
            Expression::compile(&text).is_ok(),
            Template::parse(&text).is_ok(),
            Compiled::compile(&text).is_ok(),
            ItemTemplate::compile(&text).is_ok(),
            Path::parse(&text).is_ok(),
        ];
        compiled += usize::from(found.contains(&true));
    }
    assert!(compiled > 0, "some of them are right");
}
