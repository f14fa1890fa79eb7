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

/// One token, as far as size checks and reference analysis need to know.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Token<'a> {
    /// An identifier, keyword or number.
    Word(&'a str),
    /// The inside of a quoted string, escapes left as written.
    Text(&'a str),
    /// Any other character that is not white space.
    Symbol(char),
}

/// Splits an expression into tokens.
pub(crate) struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(source: &'a str) -> Self {
        Self { rest: source }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.rest = self.rest.trim_start();
        let first = self.rest.chars().next()?;
        if first == '"' || first == '\'' {
            let mut escaped = false;
            for (at, c) in self.rest.char_indices().skip(1) {
                match c {
                    _ if escaped => escaped = false,
                    '\\' => escaped = true,
                    c if c == first => {
                        let text = &self.rest[1..at];
                        self.rest = &self.rest[at + 1..];
                        return Some(Token::Text(text));
                    }
                    _ => {}
                }
            }
            let text = &self.rest[1..];
            self.rest = "";
            return Some(Token::Text(text));
        }
        let word = |c: char| c.is_alphanumeric() || c == '_';
        if word(first) {
            let end = self.rest.find(|c| !word(c)).unwrap_or(self.rest.len());
            let (text, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Some(Token::Word(text));
        }
        self.rest = &self.rest[first.len_utf8()..];
        Some(Token::Symbol(first))
    }
}
