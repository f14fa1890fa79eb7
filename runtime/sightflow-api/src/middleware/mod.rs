//! What happens around every request, outermost first: request id and error bodies, the loopback guard, trailing slashes,
//! compression, the paced body.

mod body;
mod finish;
mod loopback;
mod slash;

pub(crate) use body::paced_body;
pub(crate) use finish::finish;
pub(crate) use loopback::guard;
pub(crate) use slash::trim_slash;
