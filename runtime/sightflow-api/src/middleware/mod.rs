//! What happens around every request, outermost first: request id and error bodies, the loopback guard, trailing slashes, names of packages,
//! compression, the paced body, the body's encoding, the query's keys.

mod body;
mod encoding;
mod finish;
mod loopback;
mod package_name;
mod query;
mod slash;

pub(crate) use body::{TooSlow, paced_body};
pub(crate) use encoding::known_encoding;
pub(crate) use finish::finish;
pub(crate) use loopback::guard;
pub(crate) use package_name::package_name;
pub(crate) use query::{KnownKeys, known_query};
pub(crate) use slash::trim_slash;
