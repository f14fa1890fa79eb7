//! Refusals that hyper writes by itself, in the shape of all others.
//!
//! A head that hyper cannot read never reaches a handler: it writes a bare status line and closes. Every answer of ours
//! carries `X-Request-Id`, so a short head without one, and without a body, is hyper's; it is exchanged on its way out.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use uuid::Uuid;

use crate::error::{ApiError, Code};

/// A connection whose bare refusals get a body.
pub(super) struct Shaped<T> {
    inner: T,
    /// Where this server is, for links.
    base: Arc<str>,
    /// What is written instead of the present head, and how much of it was.
    answer: Option<(Vec<u8>, usize)>,
}

impl<T> Shaped<T> {
    pub(super) fn new(inner: T, base: Arc<str>) -> Self {
        Self { inner, base, answer: None }
    }
}

impl<T: AsyncWrite + Unpin> Shaped<T> {
    /// Writes the answer instead of `length` bytes of hyper's; none when hyper's may pass.
    fn exchange(&mut self, cx: &mut Context<'_>, first: &[u8], length: usize) -> Option<Poll<io::Result<usize>>> {
        if self.answer.is_none() {
            self.answer = Some((answer(first, &self.base).filter(|_| first.len() == length)?, 0));
        }
        let (answer, written) = self.answer.as_mut()?;
        while *written < answer.len() {
            match Pin::new(&mut self.inner).poll_write(cx, &answer[*written..]) {
                Poll::Ready(Ok(0)) => return Some(Poll::Ready(Err(io::ErrorKind::WriteZero.into()))),
                Poll::Ready(Ok(more)) => *written += more,
                other => return Some(other),
            }
        }
        self.answer = None;
        Some(Poll::Ready(Ok(length)))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Shaped<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Shaped<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.exchange(cx, buf, buf.len()) {
            Some(polled) => polled,
            None => Pin::new(&mut self.inner).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = bufs.iter().map(|buf| buf.len()).sum();
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        match self.exchange(cx, first, length) {
            Some(polled) => polled,
            None => Pin::new(&mut self.inner).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// What hyper's own refusals are small enough for.
const LONGEST: usize = 512;

/// The answer to write instead of `head`, if that is a refusal of hyper's own.
fn answer(head: &[u8], base: &str) -> Option<Vec<u8>> {
    let head = std::str::from_utf8(head.get(..).filter(|head| head.len() <= LONGEST)?).ok()?;
    let rest = head.strip_prefix("HTTP/1.1 ").or_else(|| head.strip_prefix("HTTP/1.0 "))?;
    let lower = head.to_ascii_lowercase();
    if !head.ends_with("\r\n\r\n") || !lower.contains("\r\ncontent-length: 0\r\n") || lower.contains("x-request-id") {
        return None;
    }
    let (code, message) = match rest.get(..3)? {
        "400" => (Code::BadRequest, "the request is not HTTP/1.1 that this server can read"),
        "414" => (Code::UriTooLong, "the request target is too long"),
        "431" => (Code::HeadersTooLarge, "the request headers are too large or too many"),
        _ => return None,
    };
    let id = format!("req_{}", Uuid::now_v7());
    let body = serde_json::to_string(&ApiError::new(code, message).body(&id, base)).ok()?;
    let status = code.status();
    Some(
        format!(
            "HTTP/1.1 {} {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\nx-request-id: {id}\r\n\r\n{body}",
            status.as_str(),
            status.canonical_reason().unwrap_or_default(),
            body.len(),
        )
        .into_bytes(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bare_refusals_are_exchanged() {
        for (head, expected) in [
            ("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", Some("bad_request")),
            ("HTTP/1.1 414 URI Too Long\r\ncontent-length: 0\r\ndate: x\r\n\r\n", Some("uri_too_long")),
            ("HTTP/1.0 431 X\r\ncontent-length: 0\r\n\r\n", Some("headers_too_large")),
            ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", None),
            ("HTTP/1.1 400 Bad Request\r\nx-request-id: 1\r\ncontent-length: 0\r\n\r\n", None),
            ("HTTP/1.1 400 Bad Request\r\ncontent-length: 7\r\n\r\n", None),
            ("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\nbody", None),
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", None),
            ("", None),
        ] {
            let found = answer(head.as_bytes(), "http://127.0.0.1:1").map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(found.is_some(), expected.is_some(), "{head}");
            if let (Some(found), Some(code)) = (found, expected) {
                let (head, body) = found.split_once("\r\n\r\n").unwrap();
                assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
                let body: serde_json::Value = serde_json::from_str(body).unwrap();
                assert_eq!(body["error"]["code"], code);
                assert!(head.contains(body["error"]["request_id"].as_str().unwrap()));
            }
        }
    }
}
