//! Joins engine and sandbox: what the engine asks for, in the sandbox's terms.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::{Value, json};
use sightflow_engine::{
    BlockHost, BlockRef, CallContext, CallError, CallOutcome, CallProfile, CallTrace, Catalog, CatalogError,
    CheckContext, FailureKind, LogLevel, LogLine, Package, Payload,
};
use sightflow_sandbox::{CallFailure, Level, Limits, Logs, Profile, Sandbox};
use sightflow_types::Problem;
use sightflow_types::error::code;

/// Component blocks, run in the sandbox.
pub struct SandboxHost {
    sandbox: Sandbox,
    packages: Vec<sightflow_sandbox::Package>,
}

impl SandboxHost {
    /// A host for packages that this sandbox has loaded; the catalogue keeps their order.
    pub fn new(sandbox: Sandbox, packages: Vec<sightflow_sandbox::Package>) -> Self {
        Self { sandbox, packages }
    }

    /// The catalogue of the engine's own blocks and this host's.
    ///
    /// # Errors
    /// When two blocks have one name, or a manifest's schema is broken.
    pub fn catalog(&self) -> Result<Catalog, CatalogError> {
        Catalog::new(self.packages.iter().map(|package| Package {
            name: package.name().to_owned(),
            version: package.version().clone(),
            digest: package.digest(),
            manifests: package.manifests().to_vec(),
        }))
    }

    fn package(&self, block: &BlockRef) -> Result<&sightflow_sandbox::Package, CallError> {
        let found = block.digest.and_then(|digest| self.packages.iter().find(|package| package.digest() == digest));
        found.ok_or_else(|| {
            CallError::internal(format!("the package `{}` of block `{}` is not loaded", block.package, block.name))
        })
    }
}

/// A check looks at one node's configuration: it needs little.
fn check_limits(deadline: Instant) -> Limits {
    let defaults = Limits::default();
    Limits {
        cpu: Duration::from_millis(200),
        host_cpu: Duration::from_millis(200),
        wall: deadline.saturating_duration_since(Instant::now()),
        memory_bytes: 64 << 20,
        output_bytes: 256 << 10,
        ..defaults
    }
}

#[async_trait]
impl BlockHost for SandboxHost {
    fn call(
        &self,
        block: &BlockRef,
        config: &str,
        payload: Payload,
        context: CallContext,
    ) -> Result<CallOutcome, CallError> {
        let defaults = Limits::default();
        let limits =
            Limits { wall: context.timeout.map_or(defaults.wall, |timeout| timeout.min(defaults.wall)), ..defaults };
        let payload = sightflow_sandbox::Payload { document: payload.document, images: payload.images };
        let conditions = sightflow_sandbox::CallContext { limits, cancel: context.cancel };
        let called = self.sandbox.call_blocking(self.package(block)?, &block.name, config, payload, &conditions);
        let outcome = called.map_err(|failure| failed(*failure))?;
        let trace = trace(outcome.logs, outcome.profile);
        Ok(CallOutcome { document: outcome.document, images: outcome.images, trace })
    }

    async fn check(
        &self,
        block: &BlockRef,
        config: &Value,
        context: &CheckContext,
        deadline: Instant,
    ) -> Result<Vec<Problem>, CallError> {
        let wiring = json!({"wired": context.wired, "dynamic": context.dynamic}).to_string();
        let limits = check_limits(deadline);
        let conditions = sightflow_sandbox::CallContext { limits, ..Default::default() };
        let config = config.to_string();
        let checking = self.sandbox.check(self.package(block)?, &block.name, &config, &wiring, &conditions);
        // Waiting for a slot counts, too.
        match tokio::time::timeout_at(deadline.into(), checking).await {
            Ok(checked) => checked.map_err(|failure| failed(*failure)),
            Err(_) => Err(CallError::new(code::TIMEOUT, "the time for checking blocks is over")),
        }
    }
}

fn failed(failure: CallFailure) -> CallError {
    use sightflow_sandbox::CallError as Reason;
    let error = &failure.error;
    let kind = match error {
        Reason::BadInput(_) | Reason::BadConfig(_) => FailureKind::Refused,
        Reason::Retry(_) | Reason::NoMemory(_) => FailureKind::Retry,
        Reason::Cancelled => FailureKind::Cancelled,
        Reason::UnknownBlock(_) | Reason::Host(_) => FailureKind::Host,
        _ => FailureKind::Failed,
    };
    CallError {
        code: error.code().to_owned(),
        message: error.to_string(),
        kind,
        cause: Vec::new(),
        trace: Box::new(trace(failure.logs, failure.profile)),
    }
}

fn trace(logs: Logs, profile: Profile) -> CallTrace {
    let level = |level| match level {
        Level::Debug => LogLevel::Debug,
        Level::Info => LogLevel::Info,
        Level::Warn => LogLevel::Warn,
        Level::Error => LogLevel::Error,
    };
    let line = |line: sightflow_sandbox::LogLine| LogLine { level: level(line.level), message: line.message };
    CallTrace {
        logs: logs.lines.into_iter().map(line).collect(),
        dropped: logs.dropped,
        profile: CallProfile {
            cpu_us: profile.cpu_us,
            host_cpu_us: profile.host_cpu_us,
            wall_us: profile.wall_us,
            queue_us: profile.queue_us,
            peak_memory: profile.peak_memory as u64,
        },
    }
}
