//! Base64 as clients really send it: with or without a data-URI head, in either alphabet, wrapped, percent-encoded.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;

/// The bytes behind raw base64 or a data URI.
///
/// # Errors
/// What is wrong, as a sentence about "it".
pub(crate) fn decode(text: &str) -> Result<Vec<u8>, String> {
    let text = text.trim();
    let payload = if is_data_uri(text) {
        let (head, payload) = text.split_once(',').ok_or("the data URI has no comma")?;
        let encoding = head.rsplit(';').next().unwrap_or_default().trim();
        if !encoding.eq_ignore_ascii_case("base64") {
            return Err("the data URI is not base64".to_owned());
        }
        payload
    } else {
        text
    };
    if payload.is_empty() {
        return Err("it is empty".to_owned());
    }
    // Almost all text is plain; only the rest pays for a second buffer.
    STANDARD_PAD_INDIFFERENT.decode(payload).or_else(|_| {
        STANDARD_PAD_INDIFFERENT
            .decode(plain(payload.as_bytes()))
            .map_err(|error| format!("it is not valid base64: {error}"))
    })
}

/// Whether a text begins with `data:`, in any case.
pub(crate) fn is_data_uri(text: &str) -> bool {
    text.trim_start().as_bytes().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"data:"))
}

/// The standard alphabet, without white space and percent signs.
fn plain(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => {
                let mut ahead = rest.clone();
                let mut digit = || char::from(ahead.next().unwrap_or_default()).to_digit(16);
                match (digit(), digit()) {
                    (Some(high), Some(low)) => {
                        rest = ahead;
                        (high << 4 | low) as u8
                    }
                    _ => byte,
                }
            }
            other => other,
        };
        match byte {
            b'-' => plain.push(b'+'),
            b'_' => plain.push(b'/'),
            white if white.is_ascii_whitespace() => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_that_clients_send() {
        let bytes: &[u8] = &[0xfb, 0xff, 0xfe, 0x3e, 0x41];
        for text in [
            "+//+PkE=",
            "+//+PkE",
            "-__-PkE=",
            "-__-PkE",
            "+//\n+PkE=",
            " +//+ PkE= \r\n",
            "%2B%2F%2F%2BPkE%3D",
            "%2b//%2bPkE%3d",
            "data:image/png;base64,+//+PkE=",
            "DATA:image/png;BASE64,+//+PkE=",
            "Data:;base64,-__-PkE",
            "data:image/svg+xml;charset=utf-8;base64, +//+PkE=",
            "data:image/png;base64,%2B%2F%2F%2BPkE%3D%0A",
        ] {
            assert_eq!(decode(text).as_deref(), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, reason) in [
            ("", "empty"),
            ("data:image/png;base64,", "empty"),
            ("data:image/png;base64", "no comma"),
            ("data:image/png,abc", "not base64"),
            ("*", "not valid base64"),
            ("ab%", "not valid base64"),
            ("file.jpg", "not valid base64"),
        ] {
            let error = decode(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
