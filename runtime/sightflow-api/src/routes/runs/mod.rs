//! runs

mod forms;
mod request;
