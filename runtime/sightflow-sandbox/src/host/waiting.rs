//! How a call waits for others: on its own thread, until its time is over or it is taken back, and without a turn that
//! somebody else could compute in.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use tokio::runtime::{Builder, Handle};

use super::clock::Clock;
use super::stop::Stop;

/// Drives a call of a package that may wait. The thread is one that may block, with or without a runtime around it.
pub(super) fn wait<T>(clock: &Clock, call: impl Future<Output = wasmtime::Result<T>>) -> wasmtime::Result<T> {
    match Handle::try_current() {
        Ok(runtime) => runtime.block_on(within(clock, call)),
        // A tool that has no runtime waits for nobody else meanwhile.
        Err(_) => Builder::new_current_thread().enable_all().build()?.block_on(within(clock, call)),
    }
}

async fn within<T>(clock: &Clock, call: impl Future<Output = wasmtime::Result<T>>) -> wasmtime::Result<T> {
    let mut call = pin!(call);
    let mut call = poll_fn(|cx| match call.as_mut().poll(cx) {
        Poll::Pending => {
            clock.give_way();
            Poll::Pending
        }
        ready => ready,
    });
    tokio::select! {
        biased;
        answer = &mut call => answer,
        () = clock.cancelled() => Err(wasmtime::Error::new(Stop::Cancelled)),
        () = tokio::time::sleep_until(clock.deadline().into()) => Err(wasmtime::Error::new(Stop::Wall)),
    }
}
