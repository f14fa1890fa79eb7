//! A thread that computes: burn and decoding run here, never on tokio's threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread::JoinHandle;

use sightflow_supervisor::Panicked;
use tokio::sync::oneshot;

type Work = Box<dyn FnOnce() + Send>;

/// One OS thread that runs what it is given, one piece after another. It ends when this is dropped.
pub(crate) struct ComputeThread {
    queue: mpsc::Sender<Work>,
    thread: JoinHandle<()>,
}

impl ComputeThread {
    /// `alone`: everything that the work parallelises with rayon stays on this thread. Several such threads, one a
    /// core, beat one call on all cores.
    pub(crate) fn start(name: String, alone: bool) -> std::io::Result<Self> {
        let (queue, work) = mpsc::channel::<Work>();
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            let pool = alone.then(|| rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build());
            let run = move || work.iter().for_each(|piece| piece());
            match pool {
                Some(Ok(pool)) => pool.install(run),
                // The global pool still computes the same, only with more threads.
                Some(Err(_)) | None => run(),
            }
        })?;
        Ok(Self { queue, thread })
    }

    /// False once the thread has ended; work given to it fails then.
    pub(crate) fn is_alive(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Runs `work` on the thread. If the caller stops waiting, the work still runs to its end.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let (send, receive) = oneshot::channel();
        let piece = Box::new(move || {
            let outcome = catch_unwind(AssertUnwindSafe(work)).map_err(|panic| Panicked::of(panic.as_ref()));
            // Nobody waits any more: the result is not wanted.
            let _ = send.send(outcome);
        });
        let ended = || Panicked("the compute thread has ended".to_owned());
        if self.queue.send(piece).is_err() {
            return Err(ended());
        }
        receive.await.unwrap_or_else(|_| Err(ended()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_the_work_and_not_the_thread() {
        let thread = ComputeThread::start("test".into(), true).unwrap();
        let panicked = thread.run(|| -> u32 { panic!("bad shape") }).await.unwrap_err();
        assert!(panicked.to_string().contains("bad shape"), "{panicked}");
        assert_eq!(thread.run(rayon::current_num_threads).await.unwrap(), 1);
        assert!(thread.is_alive());
    }
}
