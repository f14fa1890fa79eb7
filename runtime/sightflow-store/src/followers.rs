//! News of single executions, for everybody who waits for them: one listener, one entry for each execution that is followed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sightflow_types::ExecutionId;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::signal::Signal;
use crate::store::Store;

/// A follower looks again after this long without news, in case a hint was lost.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Passes the store's news on to the followers of each execution. Listens until it is dropped.
pub struct Followers {
    table: Arc<Table>,
    listener: JoinHandle<()>,
}

/// Who is followed. None after the store's last signal.
#[derive(Default)]
struct Table(Mutex<Option<HashMap<ExecutionId, watch::Sender<()>>>>);

/// One that waits for news of one execution. Follow first, then read the store, then wait.
pub struct Follower {
    id: ExecutionId,
    news: watch::Receiver<()>,
    table: Arc<Table>,
}

impl Followers {
    /// Begins to listen, in a task of its own.
    pub fn new(store: &dyn Store) -> Self {
        let table = Arc::new(Table(Mutex::new(Some(HashMap::new()))));
        let listener = tokio::spawn(listen(Closing(Arc::clone(&table)), store.subscribe()));
        Self { table, listener }
    }

    /// False once the listener has ended: the store is closed, or there is a fault, and nobody hears of anything any more.
    pub fn listens(&self) -> bool {
        !self.listener.is_finished()
    }

    /// Follows an execution from now on; whether there is such a one is not known here.
    pub fn follow(&self, id: ExecutionId) -> Follower {
        let mut table = self.table.lock();
        let news = match table.as_mut() {
            Some(followed) => followed.entry(id).or_default().subscribe(),
            None => watch::Sender::new(()).subscribe(),
        };
        drop(table);
        Follower { id, news, table: Arc::clone(&self.table) }
    }
}

impl Drop for Followers {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Follower {
    /// Resolves when there may be something new: true, or false when nothing will be told any more.
    pub async fn changed(&mut self) -> bool {
        match tokio::time::timeout(LOOK_AGAIN, self.news.changed()).await {
            Ok(told) => told.is_ok(),
            Err(_) => true,
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        if let Some(followed) = self.table.lock().as_mut()
            // Its own receiver is still there.
            && followed.get(&self.id).is_some_and(|news| news.receiver_count() <= 1)
        {
            followed.remove(&self.id);
        }
    }
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, Option<HashMap<ExecutionId, watch::Sender<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, ids: &[ExecutionId]) {
        if let Some(followed) = self.lock().as_ref() {
            ids.iter().filter_map(|id| followed.get(id)).for_each(|news| news.send_modify(|()| {}));
        }
    }

    fn tell_all(&self) {
        self.lock().iter().flat_map(HashMap::values).for_each(|news| news.send_modify(|()| {}));
    }
}

/// Lets everybody go when the listener ends, however it ends.
struct Closing(Arc<Table>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.lock().take();
    }
}

async fn listen(table: Closing, mut signals: Receiver<Signal>) {
    loop {
        match signals.recv().await {
            Ok(Signal::ExecutionNews(ids) | Signal::Cancelled(ids)) => table.0.tell(&ids),
            Ok(_) => {}
            // Hints were missed; one of them may have been anybody's.
            Err(RecvError::Lagged(_)) => table.0.tell_all(),
            Err(RecvError::Closed) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast;

    use super::*;

    fn followers(signals: &broadcast::Sender<Signal>) -> Followers {
        let table = Arc::new(Table(Mutex::new(Some(HashMap::new()))));
        let listener = tokio::spawn(listen(Closing(Arc::clone(&table)), signals.subscribe()));
        Followers { table, listener }
    }

    async fn quiet(follower: &mut Follower) -> bool {
        tokio::time::timeout(Duration::from_secs(1), follower.changed()).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn each_hears_of_its_own_execution() {
        let (signals, _) = broadcast::channel(2);
        let (followers, a, b) = (followers(&signals), ExecutionId::new(), ExecutionId::new());
        let (mut first, mut second, mut other) = (followers.follow(a), followers.follow(a), followers.follow(b));
        for signal in [Signal::ExecutionNews(vec![a]), Signal::Cancelled(vec![a])] {
            signals.send(signal.clone()).expect("it listens");
            assert!(first.changed().await && second.changed().await, "{signal:?}");
            assert!(quiet(&mut other).await && quiet(&mut first).await, "{signal:?}");
        }
        signals.send(Signal::ExecutionsReady).expect("it listens");
        assert!(quiet(&mut first).await, "no news of an execution");
        // More than the buffer holds: everybody looks.
        (0..3).for_each(|_| drop(signals.send(Signal::ExecutionsReady)));
        assert!(!quiet(&mut first).await && !quiet(&mut other).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_wakes_one_of_a_thousand() {
        let (signals, _) = broadcast::channel(1024);
        let followers = followers(&signals);
        let ids: Vec<ExecutionId> = (0..1000).map(|_| ExecutionId::new()).collect();
        let woken = Arc::new(Mutex::new(HashMap::<ExecutionId, u32>::new()));
        for id in ids.iter().copied() {
            let (mut follower, woken) = (followers.follow(id), Arc::clone(&woken));
            tokio::spawn(async move {
                while follower.changed().await {
                    *woken.lock().expect("nobody panicked").entry(id).or_default() += 1;
                }
            });
        }
        for id in ids.iter().copied() {
            signals.send(Signal::ExecutionNews(vec![id])).expect("it listens");
        }
        // Less than the slow look.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let expected: HashMap<ExecutionId, u32> = ids.into_iter().map(|id| (id, 1)).collect();
        assert_eq!(*woken.lock().expect("nobody panicked"), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_hint_costs_a_moment() {
        let (signals, _) = broadcast::channel(2);
        let followers = followers(&signals);
        let mut follower = followers.follow(ExecutionId::new());
        let started = tokio::time::Instant::now();
        assert!(follower.changed().await);
        assert_eq!(started.elapsed(), LOOK_AGAIN);
    }

    #[tokio::test(start_paused = true)]
    async fn entries_go_with_their_last_follower() {
        let (signals, _) = broadcast::channel(2);
        let (followers, id) = (followers(&signals), ExecutionId::new());
        let entries = || followers.table.lock().as_ref().map(HashMap::len);
        let (first, second) = (followers.follow(id), followers.follow(id));
        drop(first);
        assert_eq!(entries(), Some(1));
        drop(second);
        assert_eq!(entries(), Some(0));
        let mut last = followers.follow(id);
        assert!(followers.listens());
        drop(signals);
        assert!(!last.changed().await, "the store is gone");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!followers.listens());
        assert!(!followers.follow(id).changed().await, "and stays so");
    }
}
