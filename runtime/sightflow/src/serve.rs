//! `sightflow serve`.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, bail};
use sightflow_api::ServeConfig;
use tokio::net::TcpListener;

use crate::cli::ServeOptions;
use crate::logging;
use crate::wiring::Runtime;

pub(crate) fn run(options: &ServeOptions) -> Result<ExitCode> {
    let _log = logging::start("info");
    #[cfg(unix)]
    // Whatever this process writes is for its owner only: pictures, the database, compiled code.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(options))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(options: &ServeOptions) -> Result<()> {
    let listener =
        TcpListener::bind(options.listen).await.with_context(|| format!("cannot listen on {}", options.listen))?;
    let runtime = Runtime::start(&options.data, &options.runtime).await?;
    let address = listener.local_addr()?;
    // The one line on stdout: scripts wait for it and read the address from it.
    if logging::print(format_args!("sightflow is ready on http://{address} ({})", runtime.summary)).is_err() {
        tracing::warn!(%address, "nobody reads standard output; serving all the same");
    }
    let runtime = Arc::new(runtime);
    let failure = Arc::new(OnceLock::new());
    let stop = {
        let (runtime, failure) = (Arc::clone(&runtime), Arc::clone(&failure));
        async move {
            tokio::select! {
                () = stop_signal() => tracing::info!("stopping: no new work; what runs is finished or handed back"),
                reason = runtime.failed() => {
                    tracing::error!("stopping: {reason}");
                    let _ = failure.set(reason);
                }
            }
            runtime.api.drain();
        }
    };
    let config = ServeConfig { max_connections: options.max_connections, ..ServeConfig::default() };
    sightflow_api::serve(listener, sightflow_api::router(runtime.api.clone()), config, stop).await?;
    // The stop has ended with the server, and with it the other hand on the runtime.
    if let Some(runtime) = Arc::into_inner(runtime) {
        runtime.shutdown().await;
    }
    match failure.get() {
        Some(reason) => bail!("{reason}"),
        None => Ok(()),
    }
}

/// Resolves at SIGTERM or Ctrl-C.
async fn stop_signal() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    // Without a handler the signal ends the process by itself.
    let _ = interrupt.await;
}
