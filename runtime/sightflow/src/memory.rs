//! The allocator's memory: what a burst of work leaves free goes back to the system.

use std::convert::Infallible;
use std::time::Duration;

/// What a start leaves is given back after this long.
const FIRST: Duration = Duration::from_secs(1);
/// Between two times that memory is given back.
const PAUSE: Duration = Duration::from_secs(60);

/// Gives memory back again and again. The allocator does so by itself only while it is asked for more: a server that has
/// nothing to do would keep what it had when it had most.
pub(crate) async fn give_back() -> Infallible {
    let mut pause = FIRST;
    loop {
        tokio::time::sleep(std::mem::replace(&mut pause, PAUSE)).await;
        // SAFETY: it takes no pointer and may be called from any thread at any time.
        unsafe { libmimalloc_sys::mi_collect(true) };
    }
}
