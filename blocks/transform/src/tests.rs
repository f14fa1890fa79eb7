//! Every block as the host calls it.

mod crop;
mod normalize;
mod resize;
