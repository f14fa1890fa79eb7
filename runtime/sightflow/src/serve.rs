//! `sightflow serve`.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use sightflow_api::ServeConfig;
use tokio::net::TcpListener;

use crate::block;
use crate::cli::ServeOptions;
use crate::logging;
use crate::memory;
use crate::signal::StopSignals;
use crate::wiring::Runtime;

pub(crate) fn run(options: &ServeOptions) -> Result<ExitCode> {
    let _log = logging::start("info")?;
    #[cfg(unix)]
    // Whatever this process writes is for its owner only: pictures, the database, compiled code.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(options))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(options: &ServeOptions) -> Result<()> {
    let mut signals = StopSignals::catch()?;
    let listener =
        TcpListener::bind(options.listen).await.with_context(|| format!("cannot listen on {}", options.listen))?;
    let runtime = tokio::select! {
        started = Runtime::start(&options.data, &options.runtime) => started?,
        // Nothing was accepted yet; what was begun is taken up by the next start.
        () = signals.received() => return Ok(()),
    };
    let api = if options.auth { runtime.api.clone().with_keys() } else { runtime.api.clone() };
    let api = if options.require_signatures { api.with_signatures() } else { api };
    if options.auth && !runtime.has_keys().await? {
        let data = options.data.display();
        tracing::warn!("there is no API key yet; stop the server and run: sightflow key create --data {data}");
    }
    let address = listener.local_addr()?;
    // The one line on stdout: scripts wait for it and read the address from it.
    if logging::print(format_args!("sightflow is ready on http://{address} ({})", runtime.summary)).is_err() {
        tracing::warn!(%address, "nobody reads standard output; serving all the same");
    }
    let developing = async {
        match &options.dev_blocks {
            Some(directory) => match block::watch_all(directory, address).await {
                Ok(never) => match never {},
                Err(error) => error,
            },
            None => std::future::pending().await,
        }
    };
    let mut failure = None;
    let stop = async {
        tokio::select! {
            () = signals.received() => tracing::info!("stopping: no new work; what runs is finished or handed back"),
            reason = runtime.failed() => {
                tracing::error!("stopping: {reason}");
                failure = Some(reason);
            }
            error = developing => {
                let reason = format!("--dev-blocks: {error:#}");
                tracing::error!("stopping: {reason}");
                failure = Some(reason);
            }
        }
        runtime.api.drain();
    };
    let config = ServeConfig { max_connections: options.max_connections, ..ServeConfig::default() };
    let served = tokio::select! {
        served = sightflow_api::serve(listener, sightflow_api::router(api), config, stop) => served,
        never = memory::give_back() => match never {},
    };
    runtime.shutdown().await;
    served?;
    match failure {
        Some(reason) => bail!("{reason}"),
        None => Ok(()),
    }
}
