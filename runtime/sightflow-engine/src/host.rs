//! What the engine asks of the sandbox: calls and checks of component blocks.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use semver::Version;
use serde_json::Value;
use sightflow_images::Image;
use sightflow_types::document::Document;
use sightflow_types::error::code;
use sightflow_types::{Digest, ExecutionId, Problem, TenantId};
use tokio_util::sync::CancellationToken;

/// What a host runs a package by, for example its compiled component. Nothing to anybody else; whoever has a block has its code,
/// so a package that was replaced goes on for those who began with it. The engine's own blocks have none.
#[derive(Clone, Default)]
pub struct Code(Held);

#[derive(Clone, Default)]
enum Held {
    #[default]
    Nothing,
    Here(Arc<dyn Any + Send + Sync>),
    Stored(Arc<dyn Fn() -> Result<Code, CallError> + Send + Sync>),
}

impl Code {
    /// Code in the host's own terms.
    pub fn new(code: impl Any + Send + Sync) -> Self {
        Self(Held::Here(Arc::new(code)))
    }

    /// Code that is brought when it is needed, each time that it is: `bring` may keep it for a while. It may block.
    pub fn stored(bring: impl Fn() -> Result<Self, CallError> + Send + Sync + 'static) -> Self {
        Self(Held::Stored(Arc::new(bring)))
    }

    /// The code in memory. Blocks the thread while it is brought there.
    ///
    /// # Errors
    /// [`CallError`] when it cannot be brought.
    pub fn here(&self) -> Result<Self, CallError> {
        match &self.0 {
            Held::Stored(bring) => bring(),
            Held::Here(_) | Held::Nothing => Ok(self.clone()),
        }
    }

    /// The code, if it is in memory and of a host with these terms.
    pub fn get<T: Any>(&self) -> Option<&T> {
        match &self.0 {
            Held::Here(code) => code.downcast_ref(),
            Held::Stored(_) | Held::Nothing => None,
        }
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Held::Here(_) => "Code",
            Held::Stored(_) => "stored code",
            Held::Nothing => "no code",
        })
    }
}

/// One version of one block, pinned.
#[derive(Debug, Clone)]
pub struct BlockRef {
    /// Package with its namespace: `sightflow/visualization`.
    pub package: String,
    /// Version of the package.
    pub version: Version,
    /// Name inside the package: `draw_boxes`.
    pub name: String,
    /// Digest of the package's bytes; none for blocks that the engine runs itself.
    pub digest: Option<Digest>,
    /// What the host runs it by.
    pub code: Code,
}

impl BlockRef {
    /// `namespace/package/name`.
    pub fn qualified(&self) -> String {
        format!("{}/{}", self.package, self.name)
    }
}

/// What a block is given: one JSON object and the images that it names.
#[derive(Debug, Clone, Default)]
pub struct Payload {
    /// A JSON object; an image in it is `{"$image": n}`, `n` an index into `images`.
    pub document: String,
    /// The images.
    pub images: Vec<Image>,
}

/// The conditions of one call.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// Whose call it is; hosts share what they have between tenants.
    pub tenant: TenantId,
    /// For logs; none outside of an execution.
    pub execution_id: Option<ExecutionId>,
    /// For logs.
    pub node_id: String,
    /// The node's own limit of time, if it has one; the host's limits hold besides.
    pub timeout: Option<Duration>,
    /// Fires when the execution is cancelled or runs out of time.
    pub cancel: CancellationToken,
}

impl CallContext {
    /// A call outside of an execution, without a limit of its own.
    pub fn new(tenant: TenantId) -> Self {
        Self { tenant, execution_id: None, node_id: String::new(), timeout: None, cancel: CancellationToken::new() }
    }
}

/// What a block is told when a workflow is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckContext {
    /// Who saves it.
    pub tenant: TenantId,
    /// Input ports that have an edge or an `inputs` entry.
    pub wired: Vec<String>,
    /// Configuration keys whose values are templates, hence not known yet.
    pub dynamic: Vec<String>,
}

/// Severity of a block's log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the customary four")]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

impl LogLevel {
    /// Lower-case name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// One line that a block logged. Control characters in it are escaped already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Severity.
    pub level: LogLevel,
    /// The text.
    pub message: String,
}

/// What one call wrote and used, whether it succeeded or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallTrace {
    /// What the block logged, in order; bounded by the host.
    pub logs: Vec<LogLine>,
    /// Log lines beyond the host's bound, not kept.
    pub dropped: u64,
    /// What the call used.
    pub profile: CallProfile,
}

/// What one call used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallProfile {
    /// Processor time of the block's own code, µs.
    pub cpu_us: u64,
    /// Processor time of the host on the block's behalf, µs.
    pub host_cpu_us: u64,
    /// Wall clock of the call, µs, waiting for its turn excluded.
    pub wall_us: u64,
    /// Wall clock of waiting for its turn, µs.
    pub queue_us: u64,
    /// Most bytes of memory that the block had.
    pub peak_memory: u64,
}

/// A successful call.
#[derive(Debug, Clone, Default)]
pub struct CallOutcome {
    /// The answer: a JSON object whose image indices exist in `images`.
    pub document: Document,
    /// The images that it names.
    pub images: Vec<Image>,
    /// What the block logged and used.
    pub trace: CallTrace,
}

/// What kind of failure it was; decides whether a repetition makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The block refuses its inputs or its configuration: the same ones would be refused again.
    Refused,
    /// The block could not finish, broke a rule or met a limit.
    Failed,
    /// A repetition may help: the block says so, or no memory was free for it.
    Retry,
    /// The caller took the call back.
    Cancelled,
    /// The host failed; not the block's fault.
    Host,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// One of [`sightflow_types::error::code`].
    pub code: String,
    /// For people; of bounded length.
    pub message: String,
    /// What kind of failure it was.
    pub kind: FailureKind,
    /// What lies behind the message, outermost first.
    pub cause: Vec<String>,
    /// What the block logged and used until then.
    pub trace: Box<CallTrace>,
}

impl CallError {
    /// A failure of the block with a code of [`sightflow_types::error::code`].
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            kind: FailureKind::Failed,
            cause: Vec::new(),
            trace: Box::default(),
        }
    }

    /// The host itself failed.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { kind: FailureKind::Host, ..Self::new(code::INTERNAL, message) }
    }
}

/// Runs component blocks. Implemented over the sandbox by the binary, and by scripts in tests.
#[async_trait]
pub trait BlockHost: Send + Sync {
    /// One call, on the calling thread, which it blocks: never on one that runs tasks. `config` is canonical JSON with every
    /// default.
    ///
    /// # Errors
    /// [`CallError`] with the code that the node's failure carries.
    fn call(
        &self,
        block: &BlockRef,
        config: &str,
        payload: Payload,
        context: CallContext,
    ) -> Result<CallOutcome, CallError>;

    /// Whether calls of the block are to share an instance: because one is dear, and the package can. May load its code.
    fn shares(&self, _: &BlockRef) -> bool {
        false
    }

    /// Calls with one configuration that share an instance, and one call's limits. As [`BlockHost::call`] for each.
    ///
    /// # Errors
    /// When the call as a whole failed: what each alone would have come to is not known.
    fn call_many(
        &self,
        block: &BlockRef,
        config: &str,
        payloads: Vec<Payload>,
        context: CallContext,
    ) -> Result<Vec<Result<CallOutcome, CallError>>, CallError> {
        Ok(payloads.into_iter().map(|payload| self.call(block, config, payload, context.clone())).collect())
    }

    /// The block's own checks of one node (`check` in the WIT world), over at `deadline`, which all checks of a save
    /// share; pointers are relative to the node.
    ///
    /// # Errors
    /// When the check itself could not run, `E-TIMEOUT` at the deadline.
    async fn check(
        &self,
        block: &BlockRef,
        config: &Value,
        context: &CheckContext,
        deadline: Instant,
    ) -> Result<Vec<Problem>, CallError>;
}
