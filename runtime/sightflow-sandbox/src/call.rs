//! What goes into a call and what comes out of it.

use sightflow_images::Image;
use sightflow_types::TenantId;
use sightflow_types::document::Document;
use tokio_util::sync::CancellationToken;

use crate::{CallLimits, Grants};

/// What a block is given: one JSON object and the images that it names.
#[derive(Debug, Clone)]
pub struct GuestPayload {
    /// A JSON object; an image in it is `{"$image": n}`, `n` an index into `images`.
    pub document: String,
    /// The images.
    pub images: Vec<Image>,
}

/// The conditions of one call.
#[derive(Debug, Clone)]
pub struct CallConditions {
    /// Whose call it is: slots, turns and the quarantine are shared between tenants.
    pub tenant: TenantId,
    /// What it may use.
    pub limits: CallLimits,
    /// Takes the call back: waiting ends at once, a running guest within a tick (1 ms) of its own code.
    pub cancel: CancellationToken,
    /// What it may do beyond computing; of a package that asks for nothing this is not looked at.
    pub grants: Option<Grants>,
}

impl Default for CallConditions {
    /// Default limits, for the built-in tenant.
    fn default() -> Self {
        Self {
            tenant: TenantId::BUILT_IN,
            limits: CallLimits::default(),
            cancel: CancellationToken::new(),
            grants: None,
        }
    }
}

/// Severity of a log message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the customary four")]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// One log message. What a guest prints to standard output arrives as `Info`, standard error as `Warn`, line by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Severity.
    pub level: Level,
    /// The text on one line, cut where the call's allowance ended. Control characters and marks of direction are escaped.
    pub message: String,
}

/// The log of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Logs {
    /// In the order of arrival.
    pub lines: Vec<LogLine>,
    /// Messages beyond [`CallLimits::log_lines`] or [`CallLimits::log_bytes`], not kept.
    pub dropped: u64,
}

/// What one call used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Profile {
    /// Processor time of the guest's own code, µs.
    pub cpu_us: u64,
    /// Processor time of host image operations, µs.
    pub host_cpu_us: u64,
    /// Wall clock of the call, µs, waiting for a slot excluded.
    pub wall_us: u64,
    /// Wall clock of waiting for a slot and a thread, µs.
    pub queue_us: u64,
    /// Steps of host image operations.
    pub host_steps: u64,
    /// Largest sum of linear memories, bytes.
    pub peak_memory: usize,
    /// Most bytes of pixels on the call's account at the same time.
    pub peak_image_bytes: u64,
    /// Pixel bytes moved by `read`, `write` and `from-pixels`.
    pub bytes_copied: u64,
    /// Images and canvases that the call made or was given.
    pub handles: u64,
    /// HTTP requests that it sent.
    pub http_requests: u32,
    /// Bytes of their bodies.
    pub http_sent_bytes: u64,
    /// Bytes of the answers' bodies.
    pub http_received_bytes: u64,
}

/// A successful call.
#[derive(Debug)]
pub struct GuestOutcome {
    /// The answer: a JSON object whose image indices exist in `images`.
    pub document: Document,
    /// The images that it names.
    pub images: Vec<Image>,
    /// What the block logged.
    pub logs: Logs,
    /// What it used.
    pub profile: Profile,
}
