//! Connections: how many, how long they may take to say what they want, and how they end.

mod shaped;

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use sightflow_types::error::chain;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};

use self::shaped::Shaped;

/// Bounds of a listening server.
#[derive(Debug, Clone, Copy)]
pub struct ServeConfig {
    /// A client must have sent its request's head this long after the last answer, or after it connected.
    pub header_timeout: Duration,
    /// Most connections at a time; further clients wait in the listener's queue.
    pub max_connections: usize,
    /// After a stop, how long clients may take to receive what they asked for; then their connections are cut.
    pub stop_grace: Duration,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self { header_timeout: Duration::from_secs(10), max_connections: 4096, stop_grace: Duration::from_secs(20) }
    }
}

/// Serves `router` until `stop` resolves; requests that have begun by then are answered, within [`ServeConfig::stop_grace`].
///
/// What hyper refuses by itself (heads that are not HTTP or too long) comes out in the one error shape, too. A head that
/// takes too long ends the connection without an answer.
///
/// # Errors
/// When the listener has no address.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: ServeConfig,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let base: Arc<str> = format!("http://{}", listener.local_addr()?).into();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(config.header_timeout);
    let free = Arc::new(Semaphore::new(config.max_connections));
    let open = GracefulShutdown::new();
    let mut tasks = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let next = async {
            let permit = Arc::clone(&free).acquire_owned().await;
            (permit, accept(&listener).await)
        };
        let (permit, stream) = tokio::select! {
            next = next => next,
            () = &mut stop => break,
        };
        let io = TokioIo::new(Shaped::new(stream, Arc::clone(&base)));
        let connection = open.watch(http.serve_connection(io, TowerToHyperService::new(router.clone())));
        tasks.spawn(async move {
            // A client that goes away or is too slow is nothing to report.
            if let Err(error) = connection.await {
                tracing::trace!(error = chain(&error), "a connection ended");
            }
            drop(permit);
        });
        while let Some(ended) = tasks.try_join_next() {
            report(ended);
        }
    }
    drop(listener);
    if tokio::time::timeout(config.stop_grace, open.shutdown()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "clients that did not take their answers are cut off");
        tasks.abort_all();
    }
    while let Some(ended) = tasks.join_next().await {
        report(ended);
    }
    Ok(())
}

/// A connection that panicked outside a handler, in a body for instance, has nobody else to say so.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && !error.is_cancelled()
    {
        tracing::error!(error = chain(&error), "a connection ended badly");
    }
}

/// The next connection. Errors are of one connection, or pass (too many open files).
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are written whole; waiting to fill a packet only delays them.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            Err(error) if of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(error = chain(&error), "cannot accept connections");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

fn of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
