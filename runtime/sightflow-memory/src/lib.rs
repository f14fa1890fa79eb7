#![doc = include_str!("../README.md")]

mod pool;
mod reservation;

pub use pool::{MemoryPool, OutOfBudget, Reclaim, Use};
pub use reservation::Reservation;
