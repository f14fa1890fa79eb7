//! `sightflow serve`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use tokio::net::TcpListener;

use crate::cli::ServeOptions;
use crate::wiring::{self, Runtime};

pub(crate) fn run(options: &ServeOptions) -> Result<ExitCode> {
    wiring::log("info");
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(options))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(options: &ServeOptions) -> Result<()> {
    let listener =
        TcpListener::bind(options.listen).await.with_context(|| format!("cannot listen on {}", options.listen))?;
    let runtime = Runtime::start(&options.data, &options.runtime).await?;
    let address = listener.local_addr()?;
    // The one line on stdout: scripts wait for it and read the address from it.
    println!("sightflow is ready on http://{address} ({})", runtime.summary);
    let api = runtime.api.clone();
    let stop = async move {
        stop_signal().await;
        tracing::info!("stopping: no new work; what runs is finished or handed back");
        api.drain();
    };
    axum::serve(listener, sightflow_api::router(runtime.api.clone())).with_graceful_shutdown(stop).await?;
    runtime.shutdown().await;
    Ok(())
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
