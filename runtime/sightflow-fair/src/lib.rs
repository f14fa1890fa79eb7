#![doc = include_str!("../README.md")]

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use futures::channel::oneshot;
use sightflow_types::TenantId;

/// Slots that tenants share. Cloning is cheap and gives the same slots.
#[derive(Clone)]
pub struct FairSlots(Arc<Shared>);

impl std::fmt::Debug for FairSlots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FairSlots({} free)", self.0.lock().free)
    }
}

struct Shared {
    /// Slots that one tenant may hold.
    most_held: usize,
    /// Waiters that one tenant may have.
    most_waiting: usize,
    state: Mutex<State>,
}

struct State {
    free: usize,
    tenants: HashMap<TenantId, Tenant>,
    /// Tenants that have waiters; the first is next.
    order: VecDeque<TenantId>,
}

#[derive(Default)]
struct Tenant {
    held: usize,
    waiting: VecDeque<oneshot::Sender<Slot>>,
}

/// A slot that is held until it is dropped.
pub struct Slot {
    shared: Arc<Shared>,
    tenant: TenantId,
}

/// The tenant has as many waiters as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyWait;

/// A place in the queue; dropping it leaves the queue.
pub struct Waiting(oneshot::Receiver<Slot>);

/// What asking for a slot gives.
pub enum Asked {
    /// A slot that was free.
    Slot(Slot),
    /// A place in the queue.
    Waiting(Waiting),
}

impl FairSlots {
    /// So many slots, of which one tenant may hold so many and wait for so many more.
    pub fn new(slots: usize, most_held: usize, most_waiting: usize) -> Self {
        let state = State { free: slots, tenants: HashMap::new(), order: VecDeque::new() };
        Self(Arc::new(Shared { most_held, most_waiting, state: Mutex::new(state) }))
    }

    /// A slot, if one is free for this tenant.
    pub fn try_take(&self, tenant: TenantId) -> Option<Slot> {
        let taken = self.0.lock().take(tenant, self.0.most_held);
        taken.then(|| Slot { shared: Arc::clone(&self.0), tenant })
    }

    /// Whether all slots are held, or somebody waits for one.
    pub fn crowded(&self) -> bool {
        let none_free = self.0.lock().free == 0;
        none_free || self.wanted()
    }

    /// A slot, or a place in the queue.
    ///
    /// # Errors
    /// [`TooManyWait`] if the tenant has as many waiters as it may.
    pub fn ask(&self, tenant: TenantId) -> Result<Asked, TooManyWait> {
        let mut state = self.0.lock();
        if state.take(tenant, self.0.most_held) {
            return Ok(Asked::Slot(Slot { shared: Arc::clone(&self.0), tenant }));
        }
        let State { tenants, order, .. } = &mut *state;
        let own = tenants.entry(tenant).or_default();
        let listed = !own.waiting.is_empty();
        if own.waiting.len() >= self.0.most_waiting {
            own.waiting.retain(|waiter| !waiter.is_canceled());
        }
        if own.waiting.len() >= self.0.most_waiting {
            return Err(TooManyWait);
        }
        let (sender, receiver) = oneshot::channel();
        if !listed {
            order.push_back(tenant);
        }
        own.waiting.push_back(sender);
        Ok(Asked::Waiting(Waiting(receiver)))
    }

    /// Whether somebody waits.
    pub fn wanted(&self) -> bool {
        let state = self.0.lock();
        let waits = |tenant: &TenantId| {
            state.tenants.get(tenant).is_some_and(|tenant| tenant.waiting.iter().any(|waiter| !waiter.is_canceled()))
        };
        state.order.iter().any(waits)
    }
}

impl Waiting {
    /// Blocks the thread until it is this one's turn; `check` is asked every few milliseconds whether to go on waiting.
    ///
    /// # Errors
    /// That of `check`, which leaves the queue.
    pub fn here<E>(mut self, mut check: impl FnMut() -> Result<(), E>) -> Result<Slot, E> {
        const LOOK: Duration = Duration::from_millis(5);
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(slot) = Pin::new(&mut self).poll(&mut context) {
                return Ok(slot);
            }
            check()?;
            std::thread::park_timeout(LOOK);
        }
    }
}

impl Future for Waiting {
    type Output = Slot;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Slot> {
        match Pin::new(&mut self.0).poll(context) {
            Poll::Ready(Ok(slot)) => Poll::Ready(slot),
            // A sender is never dropped before it sent: the slots live as long as somebody holds or waits for one.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let granted = {
            let mut state = self.shared.lock();
            state.free += 1;
            if let Some(own) = state.tenants.get_mut(&self.tenant) {
                own.held -= 1;
            }
            let granted = state.grant(self.shared.most_held);
            let done = |tenant: &Tenant| tenant.held == 0 && tenant.waiting.is_empty();
            if state.tenants.get(&self.tenant).is_some_and(done) {
                state.tenants.remove(&self.tenant);
            }
            granted
        };
        // Outside of the lock: who has left the queue meanwhile drops the slot, which comes here again.
        for (tenant, waiter) in granted {
            let _ = waiter.send(Slot { shared: Arc::clone(&self.shared), tenant });
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a slot, if one is free for the tenant. Whoever waits although one is free holds all that it may: nobody is passed.
    fn take(&mut self, tenant: TenantId, most_held: usize) -> bool {
        let held = self.tenants.get(&tenant).map_or(0, |own| own.held);
        let free = self.free > 0 && held < most_held;
        if free {
            self.free -= 1;
            self.tenants.entry(tenant).or_default().held += 1;
        }
        free
    }

    /// Takes free slots for those whose turn it is.
    fn grant(&mut self, most_held: usize) -> Vec<(TenantId, oneshot::Sender<Slot>)> {
        let (mut granted, mut passed) = (Vec::new(), 0);
        while self.free > 0 && passed < self.order.len() {
            let Some(id) = self.order.pop_front() else { break };
            let Some(tenant) = self.tenants.get_mut(&id) else { continue };
            tenant.waiting.retain(|waiter| !waiter.is_canceled());
            if tenant.held < most_held
                && let Some(waiter) = tenant.waiting.pop_front()
            {
                tenant.held += 1;
                self.free -= 1;
                passed = 0;
                granted.push((id, waiter));
            } else {
                passed += 1;
            }
            if !tenant.waiting.is_empty() {
                self.order.push_back(id);
            } else if tenant.held == 0 {
                self.tenants.remove(&id);
            }
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: u128) -> TenantId {
        format!("ten_{}", uuid(number)).parse().unwrap_or_else(|error| panic!("{error}"))
    }

    fn uuid(number: u128) -> String {
        let hex = format!("{number:032x}");
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    fn slot(slots: &FairSlots, number: u128) -> Slot {
        match slots.ask(tenant(number)) {
            Ok(Asked::Slot(slot)) => slot,
            _ => panic!("tenant {number} has to wait"),
        }
    }

    fn waiting(slots: &FairSlots, number: u128) -> Waiting {
        match slots.ask(tenant(number)) {
            Ok(Asked::Waiting(waiting)) => waiting,
            _ => panic!("tenant {number} does not have to wait"),
        }
    }

    fn ready(waiting: &mut Waiting) -> Option<Slot> {
        match Pin::new(waiting).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(slot) => Some(slot),
            Poll::Pending => None,
        }
    }

    #[test]
    fn tenants_take_turns_however_long_their_queues_are() {
        let slots = FairSlots::new(1, 1, 100);
        let mut held = slot(&slots, 1);
        let mut queue: Vec<_> = [1, 1, 1, 2, 2, 3].map(|number| (number, waiting(&slots, number))).into();
        let mut order = Vec::new();
        while !queue.is_empty() {
            drop(held);
            let next = queue.iter_mut().enumerate().find_map(|(at, (_, waiting))| Some((at, ready(waiting)?)));
            let (at, slot) = next.expect("somebody is next");
            order.push(queue.remove(at).0);
            held = slot;
        }
        drop(held);
        assert_eq!(order, [1, 2, 3, 1, 2, 1]);
        let state = slots.0.lock();
        assert_eq!((state.free, state.tenants.len(), state.order.len()), (1, 0, 0), "nothing is left behind");
    }

    #[test]
    fn one_tenant_holds_no_more_than_its_share() {
        let slots = FairSlots::new(4, 3, 100);
        let held = [(); 3].map(|()| slot(&slots, 1));
        let mut more = waiting(&slots, 1);
        let other = slot(&slots, 2);
        drop(other);
        assert!(ready(&mut more).is_none(), "the free slot is not for the first tenant");
        let [first, ..] = held;
        drop(first);
        assert!(ready(&mut more).is_some());
    }

    #[test]
    fn who_leaves_the_queue_is_passed_over() {
        let slots = FairSlots::new(1, 1, 1);
        let held = slot(&slots, 1);
        let left = waiting(&slots, 2);
        assert!(matches!(slots.ask(tenant(2)), Err(TooManyWait)));
        drop(left);
        let mut second = waiting(&slots, 2);
        let granted = waiting(&slots, 3);
        drop(held);
        drop(ready(&mut second).expect("its turn"));
        // The slot was given to one that never looked.
        drop(granted);
        assert!(matches!(slots.ask(tenant(1)), Ok(Asked::Slot(_))));
    }

    #[test]
    fn a_thread_waits_until_its_turn_or_until_it_may_not() {
        let slots = FairSlots::new(1, 1, 10);
        let held = slot(&slots, 1);
        let refused = waiting(&slots, 2).here(|| Err("no time"));
        assert_eq!(refused.err(), Some("no time"));
        let waits = waiting(&slots, 2);
        let thread = std::thread::spawn(move || waits.here(|| Ok::<(), ()>(())).is_ok());
        std::thread::sleep(Duration::from_millis(20));
        assert!(slots.wanted());
        drop(held);
        assert!(thread.join().expect("no panic"));
        assert!(!slots.wanted());
    }
}
