//! What a block's `check` answers: findings whose texts come from the guest.

use sightflow_types::Problem;

use crate::text::{capped, line};

/// Findings about one node that are kept.
const MOST: usize = 32;
/// Bytes of a message that are kept.
const MESSAGE_BYTES: usize = 1 << 10;
/// Bytes of a code, a pointer or a suggestion that are kept.
const NAME_BYTES: usize = 256;

/// Reads the answer; what is too long is cut, what would leave its line is spelled out.
///
/// # Errors
/// It is not an array of problems.
pub(crate) fn read(text: &str) -> Result<Vec<Problem>, serde_json::Error> {
    let mut problems: Vec<Problem> = serde_json::from_str(text)?;
    problems.truncate(MOST);
    let plain = |text: &str, most: usize| line(&capped(text, most), most).0;
    for Problem { code, pointer, message, suggestion } in &mut problems {
        *message = plain(message, MESSAGE_BYTES);
        *code = plain(code, NAME_BYTES);
        *pointer = plain(pointer, NAME_BYTES);
        *suggestion = suggestion.as_deref().map(|text| plain(text, NAME_BYTES));
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_bounded_and_stay_on_their_line() {
        let long = "x".repeat(1 << 20);
        let one = Problem::new("E-CONFIG", "/config/a", "red \u{1b}[31m\nand more").suggest(Some("b"));
        let many = vec![Problem::new(&long, &long, &long).suggest(Some(&long)); 100];
        let text = serde_json::to_string(&[vec![one], many].concat()).expect("JSON");
        let read = read(&text).expect("problems");
        assert_eq!(read.len(), MOST);
        let expected = Problem::new("E-CONFIG", "/config/a", "red \\u{1b}[31m\\nand more").suggest(Some("b"));
        assert_eq!(read[0], expected);
        let bytes = |problem: &Problem| problem.message.len() + problem.code.len() + problem.pointer.len();
        assert!(read.iter().all(|problem| bytes(problem) <= MESSAGE_BYTES + 2 * NAME_BYTES));
        assert!(super::read("{}").is_err());
    }
}
