#![doc = include_str!("../README.md")]

pub mod expression;
pub mod operators;
pub mod path;
pub mod raw;
pub mod reference;
mod spelling;
pub mod template;
mod tokens;

pub use operators::{Condition, ConditionError, Conditions, LogicMode, Operator};
pub use path::{Lookup, Path};
pub use spelling::nearest;
