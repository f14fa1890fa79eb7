//! A worker over a real store, with a starter model.

mod fleet;
mod jobs;
mod stops;
