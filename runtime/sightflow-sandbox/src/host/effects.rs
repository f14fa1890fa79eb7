//! The WASI of packages that reach out: `wasmtime-wasi` with clocks, randomness and standard streams, and HTTP where it was
//! granted. No files, no sockets, no arguments; environment variables only for secrets' names.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView};

use super::egress::Egress;
use super::log_buffer::{LogBuffer, Stream};
use crate::{CallLimits, Profile};

/// What one call of such a package has beside its meters.
pub(super) struct Effects {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    egress: Egress,
    prints: Prints,
}

/// Most bytes of random numbers at once, and of a printed piece.
const MOST_BYTES: usize = 64 << 10;

impl Effects {
    pub(super) fn new(egress: Egress, limits: &CallLimits) -> Self {
        let prints = Prints { room: limits.log_bytes, pieces: Arc::default() };
        let mut wasi = WasiCtx::builder();
        wasi.envs(&egress.environment())
            .stdout(Printer { stream: Stream::Out, prints: prints.clone() })
            .stderr(Printer { stream: Stream::Err, prints: prints.clone() })
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .max_random_size(MOST_BYTES as u64);
        Self { wasi: wasi.build(), http: WasiHttpCtx::new(), egress, prints }
    }

    /// What was printed and sent since, into the log and the profile.
    pub(super) fn settle(&self, log: &mut LogBuffer, profile: &mut Profile) {
        self.prints.drain(log);
        let mut used = self.egress.used();
        std::mem::take(&mut used.lines).into_iter().for_each(|(level, line)| log.push(level, &line));
        profile.http_requests = used.requests;
        profile.http_sent_bytes = used.sent;
        profile.http_received_bytes = used.received;
    }

    /// The WASI of the call, with the table of its handles.
    pub(super) fn wasi<'e>(&'e mut self, table: &'e mut ResourceTable) -> WasiCtxView<'e> {
        WasiCtxView { ctx: &mut self.wasi, table }
    }

    /// The HTTP of the call, with the table of its handles.
    pub(super) fn http<'e>(&'e mut self, table: &'e mut ResourceTable) -> WasiHttpCtxView<'e> {
        WasiHttpCtxView { ctx: &mut self.http, table, hooks: &mut self.egress }
    }

    /// What was printed until now, into the log.
    pub(super) fn print(&self, log: &mut LogBuffer) {
        self.prints.drain(log);
    }
}

/// What was printed and not yet logged. Bounded: what the log would not keep is not kept here.
#[derive(Clone)]
struct Prints {
    room: usize,
    pieces: Arc<Mutex<Vec<(Stream, Bytes)>>>,
}

impl Prints {
    fn push(&self, stream: Stream, bytes: Bytes) {
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        let held: usize = pieces.iter().map(|(_, piece)| piece.len()).sum();
        if held < self.room {
            pieces.push((stream, bytes));
        }
    }

    fn drain(&self, log: &mut LogBuffer) {
        let pieces = std::mem::take(&mut *self.pieces.lock().unwrap_or_else(PoisonError::into_inner));
        pieces.into_iter().for_each(|(stream, piece)| log.print(stream, &piece));
    }
}

/// One standard stream of the guest.
#[derive(Clone)]
struct Printer {
    stream: Stream,
    prints: Prints,
}

impl IsTerminal for Printer {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Printer {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only the asynchronous interface of WASI 0.3 asks for it, which blocks are not given.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Printer {
    async fn ready(&mut self) {}
}

impl OutputStream for Printer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.prints.push(self.stream, bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MOST_BYTES)
    }
}
