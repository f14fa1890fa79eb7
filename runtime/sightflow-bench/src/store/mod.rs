//! The store alone, every commit durable: what jobs and submits cost.

mod jobs;
mod submits;

use anyhow::Result;

pub(crate) fn run() -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        jobs::run().await?;
        submits::run().await
    })
}
