#![doc = include_str!("../README.md")]

pub mod expression;
pub mod operators;
pub mod path;
pub mod raw;
pub mod reference;
pub mod template;

pub use operators::{Condition, ConditionError, Conditions, LogicMode, Operator};
pub use path::{Lookup, Path};
