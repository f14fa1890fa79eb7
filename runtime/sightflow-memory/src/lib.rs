#![doc = include_str!("../README.md")]

mod pool;
mod reservation;

pub use pool::{MemoryPool, OutOfBudget, Use};
pub use reservation::Reservation;
