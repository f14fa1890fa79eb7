//! A thread that computes: burn and decoding run here, never on tokio's threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

use tokio::sync::oneshot;

type Work = Box<dyn FnOnce() + Send>;

/// One OS thread that runs what it is given, one piece after another. It ends when this is dropped.
pub(crate) struct ComputeThread {
    queue: mpsc::Sender<Work>,
}

/// The work panicked; the message is the panic's.
#[derive(Debug, thiserror::Error)]
#[error("the computation panicked: {0}")]
pub(crate) struct Panicked(pub(crate) String);

impl ComputeThread {
    /// `alone`: everything that the work parallelises with rayon stays on this thread. Several such threads, one a
    /// core, beat one call on all cores.
    pub(crate) fn start(name: String, alone: bool) -> std::io::Result<Self> {
        let (queue, work) = mpsc::channel::<Work>();
        std::thread::Builder::new().name(name).spawn(move || {
            let pool = alone.then(|| rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build());
            let run = move || work.iter().for_each(|piece| piece());
            match pool {
                Some(Ok(pool)) => pool.install(run),
                // The global pool still computes the same, only with more threads.
                Some(Err(_)) | None => run(),
            }
        })?;
        Ok(Self { queue })
    }

    /// Runs `work` on the thread. If the caller stops waiting, the work still runs to its end.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let (send, receive) = oneshot::channel();
        let piece = Box::new(move || {
            let outcome = catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                Panicked(text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default())
            });
            // Nobody waits any more: the result is not wanted.
            let _ = send.send(outcome);
        });
        if self.queue.send(piece).is_err() {
            return Err(Panicked("the compute thread has ended".to_owned()));
        }
        receive.await.unwrap_or_else(|_| Err(Panicked("the compute thread has ended".to_owned())))
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
    }
}
