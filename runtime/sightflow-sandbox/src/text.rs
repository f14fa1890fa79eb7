//! Texts that come from a guest: bounded before anybody keeps or reads them.

/// Bytes of an error's text that are kept.
pub(crate) const ERROR_BYTES: usize = 8 << 10;

/// At most `most` bytes of a text, cut between characters; says how much was cut. Keeps no large allocation.
pub(crate) fn capped(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let kept = text.floor_char_boundary(most);
    format!("{}… ({} more bytes)", &text[..kept], text.len() - kept)
}

/// At most `most` bytes of a text on one line: what moves a cursor, ends a line or changes the direction of writing is
/// spelled out. The second value is how many bytes of the text were taken.
pub(crate) fn line(text: &str, most: usize) -> (String, usize) {
    let mut line = String::with_capacity(text.len().min(most));
    for (at, c) in text.char_indices() {
        let before = line.len();
        if c.is_control() || turns_text(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
        if line.len() > most {
            line.truncate(before);
            return (line, at);
        }
    }
    (line, text.len())
}

/// Marks of direction, and the line ends that are no control characters.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::{capped, line};

    #[test]
    fn texts_are_cut_between_characters() {
        for (text, most, expected) in
            [("", 4, ""), ("abcd", 4, "abcd"), ("abcde", 4, "abcd… (1 more bytes)"), ("äöü", 3, "ä… (4 more bytes)")]
        {
            assert_eq!(capped(text, most), expected);
        }
        assert!(capped(&"x".repeat(1 << 20), 4).capacity() < 64, "the long text is let go");
    }

    #[test]
    fn a_line_stays_one_line() {
        let cases = [
            ("plain ü 日", "plain ü 日"),
            ("red \u{1b}[31m", "red \\u{1b}[31m"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("nul \0", "nul \\u{0}"),
            ("\u{202e}gpj.exe\u{2066}", "\\u{202e}gpj.exe\\u{2066}"),
            ("next\u{85}line\u{2028}", "next\\u{85}line\\u{2028}"),
        ];
        for (text, expected) in cases {
            assert_eq!(line(text, 100), (expected.to_owned(), text.len()), "{text:?}");
        }
        assert_eq!(line("ab\ncd", 3), ("ab".to_owned(), 2), "half of an escape is left out");
        assert_eq!(line("äö", 3), ("ä".to_owned(), 2));
    }
}
