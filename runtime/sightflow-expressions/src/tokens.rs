//! Expressions as tokens: what can be known of one without the grammar.

/// Index of the `}}` that closes an expression: not inside a quoted string, not the end of a map literal.
pub(crate) fn closing(inside: &str) -> Option<usize> {
    let (mut quote, mut escaped, mut depth) = (None, false, 0usize);
    let bytes = inside.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        match (quote, byte) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(open), _) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'{') => depth += 1,
            (None, b'}') if depth > 0 => depth -= 1,
            (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            (None, _) => {}
        }
    }
    None
}

/// One token, as far as size checks and reference analysis need to know; cut where MiniJinja cuts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Token<'a> {
    /// An identifier or keyword.
    Word(&'a str),
    /// A number, or what begins as one.
    Number(&'a str),
    /// A quoted string as it is written, with its quotes.
    Text(&'a str),
    /// Any other character that is not white space.
    Symbol(char),
}

/// Splits an expression into tokens.
pub(crate) struct Tokens<'a> {
    rest: &'a str,
    /// A dot was read last: a number after it is an index and ends at the next dot.
    after_dot: bool,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(source: &'a str) -> Self {
        Self { rest: source, after_dot: false }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let before = self.rest.len();
        self.rest = self.rest.trim_start();
        let after_dot = self.after_dot && self.rest.len() == before;
        let first = self.rest.chars().next()?;
        let (kind, length): (fn(&'a str) -> Token<'a>, usize) = match first {
            '"' | '\'' => (Token::Text, text(self.rest, first)),
            '0'..='9' => (Token::Number, number(self.rest, after_dot)),
            c if is_word(c) => (Token::Word, self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len())),
            c => (|symbol| Token::Symbol(symbol.chars().next().unwrap_or_default()), c.len_utf8()),
        };
        let (token, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.after_dot = first == '.';
        Some(kind(token))
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Bytes of a string with its quotes; all of them where it is never closed.
fn text(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Bytes of a number: `12`, `0x1f`, `1_000`, `1.5`, `2e-3`. `1if x` is a number and a keyword.
fn number(rest: &str, after_dot: bool) -> usize {
    let bytes = rest.as_bytes();
    let radix = bytes.get(1).filter(|_| bytes[0] == b'0').map(u8::to_ascii_lowercase);
    if let Some(radix @ (b'x' | b'o' | b'b')) = radix {
        let digit = |c: &u8| c.is_ascii_digit() || *c == b'_' || (radix == b'x' && c.is_ascii_hexdigit());
        return 2 + bytes[2..].iter().take_while(|c| digit(c)).count();
    }
    let (mut fraction, mut exponent) = (false, false);
    let mut at = 0;
    while let Some(c) = bytes.get(at) {
        match c {
            b'0'..=b'9' | b'_' => {}
            b'.' if !fraction && !exponent && !after_dot && !is_field(&bytes[at + 1..]) => fraction = true,
            b'e' | b'E' if !exponent => exponent = true,
            b'+' | b'-' if exponent && matches!(bytes[at - 1], b'e' | b'E') => {}
            _ => break,
        }
        at += 1;
    }
    at
}

/// What stands behind the dot of `1.abs` is a field, and behind that of `1.e5` is not.
fn is_field(rest: &[u8]) -> bool {
    let exponent = matches!(rest, [b'e' | b'E', b'+' | b'-' | b'0'..=b'9', ..]);
    !exponent && rest.first().is_some_and(|c| c.is_ascii_alphabetic() || *c == b'_')
}
