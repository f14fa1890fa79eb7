//! The pool under one thread, many threads and many tasks.

use std::time::{Duration, Instant};

use std::sync::{Arc, Mutex, Weak};

use sightflow_memory::{MemoryPool, OutOfBudget, Reclaim, Reservation, Use};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

#[test]
fn bytes_are_counted_by_use_and_given_back() {
    let pool = MemoryPool::new(100);
    let body = pool.try_reserve(Use::Bodies, 60).unwrap();
    let mut guest = pool.try_reserve(Use::Guests, 30).unwrap();
    assert_eq!(pool.used_by(), [30, 0, 60, 0, 0]);
    assert_eq!(pool.try_reserve(Use::Images, 11).unwrap_err(), OutOfBudget { wanted: 11, used: 90, capacity: 100 });
    guest.try_grow(10).unwrap();
    guest.try_grow(1).unwrap_err();
    guest.shrink_to(5);
    assert_eq!((guest.bytes(), pool.used()), (5, 65));
    drop((body, guest));
    assert_eq!(pool.used(), 0);
}

#[test]
fn what_can_never_fit_is_refused_at_once() {
    let pool = MemoryPool::new(100);
    let before = Instant::now();
    pool.reserve_blocking(Use::Images, 101, soon()).unwrap_err();
    let mut held = pool.try_reserve(Use::Images, 1).unwrap();
    held.grow_blocking(101, soon()).unwrap_err();
    // What it holds is part of what it needs.
    let refused = held.try_grow(100).unwrap_err();
    assert_eq!(refused, OutOfBudget { wanted: 101, used: 0, capacity: 100 });
    assert!(refused.never_fits());
    assert!(before.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_thread_waits_for_what_another_gives_back() {
    let pool = MemoryPool::new(100);
    let held = pool.try_reserve(Use::Images, 80).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| pool.reserve_blocking(Use::Images, 50, soon()));
        while pool.try_reserve(Use::Bodies, 1).is_ok() {
            std::thread::yield_now(); // until the thread stands in the queue
        }
        drop(held);
        assert_eq!(waiting.join().unwrap().unwrap().bytes(), 50);
    });
    assert_eq!(pool.used(), 0);
}

#[test]
fn a_deadline_ends_the_wait() {
    let pool = MemoryPool::new(100);
    let _held = pool.try_reserve(Use::Images, 80).unwrap();
    let refused = pool.reserve_blocking(Use::Images, 50, Instant::now() + Duration::from_millis(5)).unwrap_err();
    assert_eq!(refused.used, 80);
    drop(pool.try_reserve(Use::Bodies, 20).expect("who gave up stands in nobody's way"));
}

#[tokio::test(start_paused = true)]
async fn small_requests_do_not_starve_a_large_one() {
    let pool = MemoryPool::new(100);
    let first = pool.try_reserve(Use::Images, 50).unwrap();
    let mut second = pool.try_reserve(Use::Images, 40).unwrap();
    let large = tokio::spawn({
        let pool = pool.clone();
        async move { pool.reserve(Use::Images, 90, Duration::from_secs(60)).await }
    });
    tokio::task::yield_now().await;
    pool.try_reserve(Use::Images, 5).expect_err("the large one is first");
    second.try_grow(5).expect("one who holds bytes goes before those who wait for them");
    drop((first, second));
    assert_eq!(large.await.unwrap().unwrap().bytes(), 90);
    drop(pool.try_reserve(Use::Images, 100).expect("all is given back"));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_gives_up_its_place() {
    let pool = MemoryPool::new(100);
    let held = pool.try_reserve(Use::Images, 100).unwrap();
    {
        let waiting = pool.reserve(Use::Bodies, 100, Duration::from_secs(60));
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(Duration::from_secs(1), &mut waiting).await.is_err());
    }
    drop(held);
    drop(pool.try_reserve(Use::Bodies, 100).expect("nobody stands in the queue any more"));
    assert_eq!(pool.reserve(Use::Bodies, 100, Duration::ZERO).await.unwrap().bytes(), 100);
}

/// Keeps reservations until it is asked for them.
#[derive(Debug, Default)]
struct Cache(Mutex<Vec<Reservation>>);

impl Reclaim for Cache {
    fn reclaim(&self, _: u64) {
        let kept = std::mem::take(&mut *self.0.lock().unwrap());
        drop(kept);
    }
}

#[tokio::test]
async fn a_cache_lets_go_before_anybody_waits() {
    let pool = MemoryPool::new(100);
    let cache = Arc::new(Cache::default());
    let weak: Weak<Cache> = Arc::downgrade(&cache);
    pool.add_reclaimer(weak);
    let fill = || cache.0.lock().unwrap().push(pool.try_reserve(Use::Images, 80).unwrap());
    let now = Instant::now();
    fill();
    drop(pool.try_reserve(Use::Bodies, 90).unwrap());
    fill();
    drop(pool.reserve_blocking(Use::Bodies, 90, now).unwrap());
    fill();
    drop(pool.reserve_as_holder(Use::Bodies, 90, now).unwrap());
    fill();
    drop(pool.reserve(Use::Bodies, 90, Duration::ZERO).await.unwrap());
    fill();
    pool.reserve_blocking(Use::Bodies, 101, now).unwrap_err();
    assert_eq!(pool.used(), 80, "what can never fit takes nothing from the cache");
}

#[test]
fn a_holder_goes_before_those_who_wait() {
    let pool = MemoryPool::new(100);
    let held = pool.try_reserve(Use::Guests, 40).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| pool.reserve_blocking(Use::Images, 90, soon()).map(drop));
        while !pool.is_contended() {
            std::thread::yield_now();
        }
        pool.try_reserve(Use::Images, 60).unwrap_err();
        drop(pool.reserve_as_holder(Use::Images, 60, soon()).unwrap());
        drop(held);
        waiting.join().unwrap().unwrap();
    });
    assert!(!pool.is_contended());
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_grows_waits_and_keeps_what_it_holds() {
    let pool = MemoryPool::new(100);
    let mut held = pool.try_reserve(Use::Bodies, 10).unwrap();
    let other = pool.try_reserve(Use::Images, 80).unwrap();
    held.grow(5, Duration::ZERO).await.unwrap();
    held.grow(50, Duration::from_secs(1)).await.unwrap_err();
    assert_eq!((held.bytes(), pool.used()), (15, 95));
    let (grown, ()) = tokio::join!(held.grow(50, Duration::from_secs(1)), async {
        tokio::task::yield_now().await;
        drop(other);
    });
    grown.unwrap();
    assert_eq!((held.bytes(), pool.used()), (65, 65));
    drop(held);
    assert_eq!(pool.used(), 0);
}
