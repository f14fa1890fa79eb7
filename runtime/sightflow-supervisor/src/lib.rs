#![doc = include_str!("../README.md")]

mod faults;
mod health;
mod keep;
mod services;

pub use faults::Faults;
pub use health::{Health, HealthReport};
pub use keep::{Panicked, Restarts, caught, keep};
pub use services::Services;
