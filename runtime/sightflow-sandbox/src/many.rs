//! What comes out of many calls at once.

use sightflow_images::Image;
use sightflow_types::document::Document;

use crate::{CallFailure, GuestError, GuestOutcome, Logs, Profile};

/// What many calls of one block came to, in the order of their payloads.
#[derive(Debug)]
pub enum ManyOutcomes {
    /// Each had an instance of its own.
    Apart(Vec<Result<GuestOutcome, Box<CallFailure>>>),
    /// All shared one instance, its log and its profile.
    Together {
        /// The documents and the images that they name.
        answers: Vec<Result<(Document, Vec<Image>), GuestError>>,
        /// What the block logged.
        logs: Logs,
        /// What it used.
        profile: Profile,
    },
}
