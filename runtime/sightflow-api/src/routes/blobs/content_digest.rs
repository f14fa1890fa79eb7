//! `Content-Digest` (RFC 9530): what the client says it sent.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;
use sightflow_types::Digest;

use crate::error::{ApiError, Code};

/// Refuses a body whose `sha-256` differs from the declared one; other algorithms are not checked.
pub(super) fn verify(headers: &HeaderMap, actual: &Digest) -> Result<(), ApiError> {
    let Some(value) = headers.get("content-digest") else { return Ok(()) };
    let text = value.to_str().unwrap_or_default();
    for member in text.split(',') {
        let Some((algorithm, value)) = member.trim().split_once('=') else { return Err(malformed()) };
        if !algorithm.eq_ignore_ascii_case("sha-256") {
            continue;
        }
        let encoded = value.trim().strip_prefix(':').and_then(|rest| rest.strip_suffix(':')).ok_or_else(malformed)?;
        let declared = STANDARD_PAD_INDIFFERENT.decode(encoded).map_err(|_| malformed())?;
        if declared != actual.bytes() {
            return Err(ApiError::new(
                Code::InvalidField,
                format!("the body does not match its Content-Digest; it arrived as {actual}"),
            ));
        }
    }
    Ok(())
}

fn malformed() -> ApiError {
    ApiError::new(Code::InvalidField, "Content-Digest must look like `sha-256=:<base64>:`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_digest_must_hold() {
        let digest = Digest::from_bytes([7; 32]);
        let right = format!("sha-256=:{}:", STANDARD_PAD_INDIFFERENT.encode([7; 32]));
        let wrong = format!("sha-256=:{}:", STANDARD_PAD_INDIFFERENT.encode([8; 32]));
        for (header, ok) in [
            (None, true),
            (Some(right.clone()), true),
            (Some(format!("md5=:AAAA:, {right}")), true),
            (Some("md5=:AAAA:".to_owned()), true),
            (Some(wrong), false),
            (Some("sha-256=AAAA".to_owned()), false),
            (Some("nonsense".to_owned()), false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(header) = &header {
                headers.insert("content-digest", header.parse().unwrap());
            }
            assert_eq!(verify(&headers, &digest).is_ok(), ok, "{header:?}");
        }
    }
}
