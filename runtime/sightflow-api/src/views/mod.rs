//! Resources as the wire has them: every field always there, `null` when unknown.

pub(crate) mod block;
pub(crate) mod block_package;
pub(crate) mod execution;
pub(crate) mod fleet;
pub(crate) mod images;
pub(crate) mod job;
pub(crate) mod model;
pub(crate) mod node;
pub(crate) mod quota;
pub(crate) mod tenant;
pub(crate) mod workflow;
