//! Request bodies: a client that stalls is cut off, and a client whose body was refused still gets its answer.
//!
//! A server that answers `413` and closes while the client is still sending makes most clients report a broken pipe instead
//! of the answer. So what the handler left unread is read and thrown away, up to a bound, before the answer goes out. A client
//! that announces more than that is answered at once, and the connection closes.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use tokio::time::{Instant, Sleep};

use crate::extract::body::declared;

/// Slowest accepted upload: this many bytes per [`WINDOW`].
const WINDOW_BYTES: usize = 10 << 10;
const WINDOW: Duration = Duration::from_secs(10);
/// What is thrown away at most for one refused request.
const DISCARD_BYTES: usize = 256 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(20);

/// Wraps the body; afterwards discards what was left of it.
pub(crate) async fn paced_body(request: Request, next: Next) -> Response {
    // A client that waits for `100 Continue` sends nothing until somebody reads; do not ask for a body that nobody wants.
    let waits = request.headers().contains_key(header::EXPECT);
    let endless = declared(request.headers()).is_some_and(|length| length > DISCARD_BYTES as u64);
    let left = Arc::new(Mutex::new(None));
    let request = request.map(|body| Body::from_stream(Paced::new(body, Arc::clone(&left))));
    let mut response = next.run(request).await;
    let rest = left.lock().unwrap_or_else(PoisonError::into_inner).take();
    if endless {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    } else if let Some(rest) = rest.filter(|_| !waits) {
        discard(rest).await;
    }
    response
}

async fn discard(mut stream: BodyDataStream) {
    let mut left = DISCARD_BYTES;
    let reading = async {
        while let Some(Ok(chunk)) = stream.next().await {
            match left.checked_sub(chunk.len()) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    // Too slow or too much: the connection closes, as it would have without this.
    let _ = tokio::time::timeout(DISCARD_TIME, reading).await;
}

/// A body that must keep coming and that is handed back when it is dropped unread.
struct Paced {
    body: Option<BodyDataStream>,
    left: Arc<Mutex<Option<BodyDataStream>>>,
    timer: Pin<Box<Sleep>>,
    /// Since when the present wait for the client lasts.
    waiting_since: Option<Instant>,
    /// Time that was spent waiting in this window; what the handler takes between reads is not the client's.
    waited: Duration,
    /// Bytes that arrived in this window.
    arrived: usize,
}

impl Paced {
    fn new(body: Body, left: Arc<Mutex<Option<BodyDataStream>>>) -> Self {
        Self {
            body: Some(body.into_data_stream()),
            left,
            timer: Box::pin(tokio::time::sleep(WINDOW)),
            waiting_since: None,
            waited: Duration::ZERO,
            arrived: 0,
        }
    }

    /// Ends the window if its time is spent; false when too little arrived in it.
    fn keeps_pace(&mut self) -> bool {
        if self.waited < WINDOW {
            return true;
        }
        let enough = self.arrived >= WINDOW_BYTES;
        (self.waited, self.arrived) = (Duration::ZERO, 0);
        enough
    }

    /// Counts the wait that ends now, if there is one.
    fn stop_waiting(&mut self) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
    }
}

impl Stream for Paced {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Some(body) = this.body.as_mut() else { return Poll::Ready(None) };
        let polled = body.poll_next_unpin(cx);
        this.stop_waiting();
        if let Poll::Ready(Some(Ok(chunk))) = &polled {
            this.arrived += chunk.len();
        }
        let done = matches!(polled, Poll::Ready(None | Some(Err(_))));
        if !done && !this.keeps_pace() {
            this.body = None;
            return Poll::Ready(Some(Err(axum::Error::new(TooSlow))));
        }
        if polled.is_pending() {
            let now = Instant::now();
            this.waiting_since = Some(now);
            this.timer.as_mut().reset(now + (WINDOW - this.waited));
            // A timer that fires at once wakes the task again through this poll.
            if this.timer.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
        polled
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = self.body.take();
    }
}

/// The client sent less than 1 KiB/s.
#[derive(Debug, thiserror::Error)]
#[error("the body came at less than 1 KiB/s")]
pub(crate) struct TooSlow;

#[cfg(test)]
mod tests {
    use super::*;

    fn paced(chunks: impl Stream<Item = Result<Bytes, axum::Error>> + Send + 'static) -> Paced {
        Paced::new(Body::from_stream(chunks), Arc::default())
    }

    /// Chunks of `size` bytes, `pause` apart.
    fn chunks(size: usize, pause: Duration, count: usize) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send {
        futures::stream::iter(0..count).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok(Bytes::from(vec![0; size]))
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_below_a_kibibyte_a_second_is_cut_off() {
        for (size, pause, count, ok) in
            [(1, 1, 60, false), (2048, 1, 60, true), (30_000, 9, 10, true), (30_000, 31, 2, false), (10, 1, 5, true)]
        {
            let read: Vec<_> = paced(chunks(size, Duration::from_secs(pause), count)).collect().await;
            assert_eq!(read.iter().all(Result::is_ok), ok, "{size} bytes every {pause} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_the_handler_takes_is_not_the_clients() {
        let mut body = paced(chunks(1, Duration::from_secs(1), 3));
        body.next().await.unwrap().unwrap();
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(body.next().await.unwrap().is_ok());
    }
}
