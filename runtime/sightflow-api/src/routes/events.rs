//! `GET /executions/{id}/events`: what happened, as a live stream or by long poll.

use std::collections::VecDeque;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event as Frame, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sightflow_store::Event;
use sightflow_types::{ExecutionId, TenantId, Timestamp, event};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use crate::caller::Caller;
use crate::error::{ApiError, Code, ErrorBody};
use crate::extract::{Path, Query, Seconds};
use crate::schema;
use crate::state::ApiState;
use crate::wait::{News, Woken};

const KEEP_ALIVE: Duration = Duration::from_secs(15);
const RETRY: Duration = Duration::from_millis(2000);
/// A live reader that is slow and this many events behind is closed and comes back with its last id.
const LAG: i64 = 1000;
/// A client that takes longer than this for the events that it was given is slow.
const SLOW: Duration = Duration::from_secs(1);
/// Most events that a stream holds while its client does not read.
const PAGE: u32 = 64;
/// Most events of one long poll.
const POLLED: u32 = 1000;
/// Largest number that every JSON reader holds exactly.
const LAST_SEQ: i64 = (1 << 53) - 1;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// Only events with a larger `seq`; the header `Last-Event-ID` means the same.
    #[param(minimum = 0, maximum = 9007199254740991i64)]
    after: Option<u64>,
    /// With `Accept: application/json`: hold the answer until there is an event, for example `20s`; at most 60 s.
    #[param(value_type = Option<Seconds>)]
    wait: Option<Seconds>,
}

/// One recorded event, with the fields of its kind beside these.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventView {
    /// From 1, dense within the execution.
    seq: i64,
    #[schema(value_type = schema::Time)]
    at: Timestamp,
    /// Its kind, for example `node.completed`.
    event: String,
    #[schema(value_type = schema::ExecutionId)]
    execution_id: ExecutionId,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    payload: Map<String, Value>,
}

/// One event of the stream.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StreamedEvent {
    /// `seq`; none for `lagged`.
    #[schema(value_type = String, required = false)]
    id: Option<String>,
    /// Its name, such as `node.completed`.
    #[schema(value_type = String, required = false)]
    event: Option<String>,
    /// The event as JSON.
    #[schema(value_type = String, required = false)]
    data: Option<String>,
}

/// Answer of a long poll.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventPage {
    items: Vec<EventView>,
    /// Pass as `after` next time.
    last_seq: i64,
    /// True when nothing will follow.
    terminal: bool,
}

impl EventView {
    fn new(execution_id: ExecutionId, event: Event) -> Self {
        let mut payload = match event.payload {
            Value::Object(payload) => payload,
            Value::Null => Map::new(),
            other => Map::from_iter([("value".to_owned(), other)]),
        };
        for own in ["seq", "at", "event", "execution_id"] {
            payload.remove(own);
        }
        for where_ in ["node_id", "item"] {
            payload.entry(where_).or_insert(Value::Null);
        }
        Self { seq: event.seq, at: event.at, event: event.kind, execution_id, payload }
    }
}

/// Events of an execution: `text/event-stream` from the start or after a `seq`, then live; or JSON by long poll.
#[utoipa::path(get, path = "/executions/{id}/events", tag = "executions", params(("id" = schema::ExecutionId, Path), EventsQuery),
    responses((status = 200, description = "A stream of events, or one page with `Accept: application/json`", content((StreamedEvent = "text/event-stream"), (EventPage = "application/json"))),
        (status = 204, description = "The execution has ended and its last event is not after `after`: nothing will follow"),
        (status = 404, body = ErrorBody), (status = 410, body = ErrorBody)))]
pub(crate) async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Path(id): Path<ExecutionId>,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let after = match last_event_id(&headers)? {
        Some(seq) => seq,
        None => seq_of(query.after.unwrap_or(0))
            .ok_or_else(|| ApiError::field("?after", format!("`after` must be at most {LAST_SEQ}")))?,
    };
    let mut reader = Reader::open(state, caller.tenant, id, after).await?;
    if wants_json(&headers) {
        let patience = query.wait.map_or(0, |wait| wait.0);
        return Ok(Json(reader.poll(Duration::from_secs(patience)).await?).into_response());
    }
    if reader.over {
        // Nothing will follow. A browser's EventSource reconnects after every end but this one.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("keep-alive");
    let mut response = Sse::new(reader.frames()).keep_alive(keep_alive).into_response();
    // A proxy that buffers would hold events back.
    response.headers_mut().insert("x-accel-buffering", header::HeaderValue::from_static("no"));
    Ok(response)
}

/// Where a reader left off; browsers send an empty one before the first event.
fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>, ApiError> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let text = value.to_str().ok().map(str::trim);
    if text == Some("") {
        return Ok(None);
    }
    // A number as we give it out, without a sign.
    let number = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let seq = number.and_then(|text| text.parse().ok()).and_then(seq_of);
    seq.map(Some).ok_or_else(|| {
        ApiError::new(Code::InvalidField, format!("Last-Event-ID must be a whole number from 0 to {LAST_SEQ}"))
    })
}

/// A number of an event, if it is one that every JSON reader holds.
fn seq_of(number: u64) -> Option<i64> {
    i64::try_from(number).ok().filter(|seq| *seq <= LAST_SEQ)
}

/// JSON only where the client names it and not the stream.
fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.contains("application/json") && !accept.contains("text/event-stream")
}

/// Reads the recorded events in order and waits for more.
struct Reader {
    state: ApiState,
    tenant: TenantId,
    id: ExecutionId,
    news: News,
    seq: i64,
    /// Nothing will be recorded any more.
    over: bool,
    /// Caught up once: from here on, being slow is lag.
    live: bool,
    /// When the client was given the events that it is reading.
    handed: Option<Instant>,
}

/// What one look into the store gave.
enum Look {
    Events(Vec<Event>),
    Lagged,
    Nothing,
}

impl Reader {
    async fn open(state: ApiState, tenant: TenantId, id: ExecutionId, after: i64) -> Result<Self, ApiError> {
        let news = News::of(&state, id);
        let execution = state.store.execution(tenant, id).await?;
        if execution.event_seq > after {
            let first = state.store.events_after(tenant, id, after, 1).await?;
            if first.first().is_none_or(|event| event.seq != after + 1) {
                return Err(ApiError::new(
                    Code::EventsExpired,
                    "the events of this execution are past their retention; read the execution itself",
                ));
            }
        }
        let over = execution.status.is_terminal() && execution.event_seq <= after;
        Ok(Self { state, tenant, id, news, seq: after, over, live: false, handed: None })
    }

    /// Up to `most` events after the last one, without waiting.
    async fn look(&mut self, most: u32) -> Result<Look, ApiError> {
        if self.over {
            return Ok(Look::Nothing);
        }
        let slow = self.handed.take().is_some_and(|handed| handed.elapsed() > SLOW);
        let events = self.state.store.events_after(self.tenant, self.id, self.seq, most).await?;
        let Some(last) = events.last() else {
            self.live = true;
            return Ok(Look::Nothing);
        };
        // Thousands of events may come at once, from a loop: who reads them is not behind.
        if self.live && slow && self.lags().await? {
            return Ok(Look::Lagged);
        }
        self.handed = Some(Instant::now());
        self.seq = last.seq;
        self.over = event::is_terminal(&last.kind);
        Ok(Look::Events(events))
    }

    /// Numbers are dense, so that one event says whether there are as many.
    async fn lags(&self) -> Result<bool, ApiError> {
        let far = self.state.store.events_after(self.tenant, self.id, self.seq + LAG - 1, 1).await?;
        Ok(!far.is_empty())
    }

    async fn poll(&mut self, patience: Duration) -> Result<EventPage, ApiError> {
        let deadline = Instant::now() + patience;
        loop {
            if let Look::Events(events) = self.look(POLLED).await? {
                let items = events.into_iter().map(|event| EventView::new(self.id, event)).collect();
                return Ok(EventPage { items, last_seq: self.seq, terminal: self.over });
            }
            let woken =
                !self.over && matches!(tokio::time::timeout_at(deadline, self.news.next()).await, Ok(Woken::News));
            if !woken {
                return Ok(EventPage { items: Vec::new(), last_seq: self.seq, terminal: self.over });
            }
        }
    }

    /// The next events, waiting for them; none when the stream is to end.
    async fn next(&mut self) -> Option<Look> {
        loop {
            match self.look(PAGE).await {
                Ok(Look::Nothing) if self.over => return None,
                Ok(Look::Nothing) => {
                    if self.news.next().await == Woken::Stopping {
                        return None;
                    }
                }
                Ok(found) => return Some(found),
                // The execution was deleted, or the store went away: the client reconnects and learns which.
                Err(error) => {
                    tracing::debug!(code = error.code.as_str(), "an event stream ends");
                    return None;
                }
            }
        }
    }

    /// Frames are made one at a time: those of a client that does not read are events, and few.
    fn frames(self) -> impl Stream<Item = Result<Frame, axum::Error>> {
        let id = self.id;
        let greeting = futures::stream::iter([Ok(Frame::default().retry(RETRY))]);
        let frames =
            futures::stream::unfold((Some(self), VecDeque::new()), move |(mut reader, mut events)| async move {
                if events.is_empty() {
                    match reader.as_mut()?.next().await? {
                        Look::Events(found) => events.extend(found),
                        Look::Lagged | Look::Nothing => {
                            return Some((Ok(Frame::default().event("lagged").data("{}")), (None, events)));
                        }
                    }
                }
                let event = events.pop_front()?;
                Some((frame(id, event), (reader, events)))
            });
        greeting.chain(frames)
    }
}

fn frame(id: ExecutionId, event: Event) -> Result<Frame, axum::Error> {
    let frame = Frame::default().id(event.seq.to_string()).event(&event.kind);
    frame.json_data(EventView::new(id, event))
}
