//! Joins engine and sandbox: what the engine asks for, in the sandbox's terms.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use sightflow_engine::{
    BlockHost, BlockRef, Breaking, CallContext, CallError, CallOutcome, CallProfile, CallTrace, CheckContext, Code,
    FailureKind, Identity, LoadFailure, LogLevel, LogLine, Package, PackageLoader, Payload,
};
use sightflow_images::Image;
use sightflow_sandbox::{
    CallFailure, CallLimits, Grants, GuestError, GuestOutcome, IdentityError, Level, LoadError, Logs, ManyOutcomes,
    Profile, Sandbox,
};
use sightflow_types::document::Document;
use sightflow_types::error::code;
use sightflow_types::{Digest, Problem, TenantId};

use crate::effects::Effects;

/// Component blocks, run in the sandbox. It has no table of packages: a block brings its own.
pub struct SandboxHost {
    sandbox: Sandbox,
    effects: Option<Effects>,
}

impl SandboxHost {
    /// A host for blocks of packages that this sandbox has loaded. Those that reach out do so through `effects`, or not at
    /// all.
    pub fn new(sandbox: Sandbox, effects: Option<Effects>) -> Self {
        Self { sandbox, effects }
    }

    /// What a block may do beyond computing. Blocks the thread.
    fn grants(
        &self,
        tenant: TenantId,
        block: &BlockRef,
        package: &sightflow_sandbox::Package,
    ) -> Result<Option<Grants>, CallError> {
        if !package.reaches_out() {
            return Ok(None);
        }
        let nothing = || format!("`{}` reaches out, for which nothing is granted here", block.qualified());
        let effects = self.effects.as_ref().ok_or_else(|| CallError::new(code::GRANT, nothing()))?;
        let requested = package.manifest(&block.name).map(|manifest| manifest.capabilities.as_slice());
        effects.grants(tenant, &block.package, requested.unwrap_or_default()).map(Some)
    }
}

/// A loaded package as blocks are published: with its code.
pub fn published(loaded: sightflow_sandbox::Package) -> Package {
    Package {
        name: loaded.name().to_owned(),
        version: loaded.version().clone(),
        digest: loaded.digest(),
        manifests: loaded.manifests().to_vec(),
        code: Code::new(loaded),
        granted: sightflow_engine::Granted::default(),
    }
}

/// The block's package, brought into memory if it is not there: this may block.
fn package(block: &BlockRef) -> Result<sightflow_sandbox::Package, CallError> {
    let missing = || CallError::internal(format!("the block `{}` has no component", block.qualified()));
    block.code.here()?.get::<sightflow_sandbox::Package>().cloned().ok_or_else(missing)
}

/// How long a call that waits for others takes, where its node has no limit of time, and how long at most.
pub(crate) const WAITS: Duration = Duration::from_secs(60);
const WAITS_AT_MOST: Duration = Duration::from_secs(600);

/// A check looks at one node's configuration: it needs little.
fn check_limits(deadline: Instant) -> CallLimits {
    let defaults = CallLimits::default();
    CallLimits {
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
        let defaults = CallLimits::default();
        let package = package(block)?;
        let grants = self.grants(context.tenant, block, &package)?;
        // Who waits for others needs longer, and may be given as long as it is worth to somebody.
        let wall = match grants {
            None => context.timeout.map_or(defaults.wall, |timeout| timeout.min(defaults.wall)),
            Some(_) => context.timeout.unwrap_or(WAITS).min(WAITS_AT_MOST),
        };
        let limits = CallLimits { wall, ..defaults };
        let payload = sightflow_sandbox::GuestPayload { document: payload.document, images: payload.images };
        let conditions =
            sightflow_sandbox::CallConditions { tenant: context.tenant, limits, cancel: context.cancel, grants };
        let answered = self.sandbox.call_blocking(&package, &block.name, config, payload, &conditions);
        answered.map(self::called).map_err(|failure| failed(*failure))
    }

    fn shares(&self, block: &BlockRef) -> bool {
        package(block).is_ok_and(|package| package.shares())
    }

    fn call_many(
        &self,
        block: &BlockRef,
        config: &str,
        payloads: Vec<Payload>,
        context: CallContext,
    ) -> Result<Vec<Result<CallOutcome, CallError>>, CallError> {
        let defaults = CallLimits::default();
        let package = package(block)?;
        let wall = context.timeout.map_or(defaults.wall, |timeout| timeout.min(defaults.wall));
        let conditions = sightflow_sandbox::CallConditions {
            tenant: context.tenant,
            limits: CallLimits { wall, ..defaults },
            cancel: context.cancel,
            grants: None,
        };
        let given =
            |payload: Payload| sightflow_sandbox::GuestPayload { document: payload.document, images: payload.images };
        let payloads: Vec<_> = payloads.into_iter().map(given).collect();
        let many = self.sandbox.call_many_blocking(&package, &block.name, config, payloads, &conditions);
        match many.map_err(|failure| failed(*failure))? {
            ManyOutcomes::Apart(answers) => {
                Ok(answers.into_iter().map(|answer| answer.map(called).map_err(|failure| failed(*failure))).collect())
            }
            ManyOutcomes::Together { answers, logs, profile } => Ok(shared(answers, logs, profile)),
        }
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
        let conditions = sightflow_sandbox::CallConditions { tenant: context.tenant, limits, ..Default::default() };
        let config = config.to_string();
        let brought = block.clone();
        let package = tokio::task::spawn_blocking(move || package(&brought)).await;
        let package = package.map_err(|failure| CallError::internal(failure.to_string()))??;
        let checking = self.sandbox.check(&package, &block.name, &config, &wiring, &conditions);
        // Waiting for a slot counts, too.
        match tokio::time::timeout_at(deadline.into(), checking).await {
            Ok(checked) => checked.map_err(|failure| failed(*failure)),
            Err(_) => Err(CallError::new(code::TIMEOUT, "the time for checking blocks is over")),
        }
    }
}

fn called(outcome: GuestOutcome) -> CallOutcome {
    let trace = trace(outcome.logs, outcome.profile);
    CallOutcome { document: outcome.document, images: outcome.images, trace }
}

/// Answers of one call for many: each used its part of it, and what was logged is told with the first.
fn shared(
    answers: Vec<Result<(Document, Vec<Image>), GuestError>>,
    logs: Logs,
    profile: Profile,
) -> Vec<Result<CallOutcome, CallError>> {
    let count = u64::try_from(answers.len()).unwrap_or(u64::MAX).max(1);
    let part = Profile {
        cpu_us: profile.cpu_us / count,
        host_cpu_us: profile.host_cpu_us / count,
        wall_us: profile.wall_us / count,
        ..profile
    };
    let mut logs = Some(logs);
    let mut outcome = |answer: Result<(Document, Vec<Image>), GuestError>| {
        let logs = logs.take().unwrap_or_default();
        match answer {
            Ok((document, images)) => Ok(CallOutcome { document, images, trace: trace(logs, part) }),
            Err(error) => Err(failed(CallFailure { error, logs, profile: part })),
        }
    };
    answers.into_iter().map(&mut outcome).collect()
}

fn failed(failure: CallFailure) -> CallError {
    let error = &failure.error;
    let kind = match error {
        GuestError::BadInput(_) | GuestError::BadConfig(_) => FailureKind::Refused,
        GuestError::Retry(_) | GuestError::NoMemory(_) => FailureKind::Retry,
        GuestError::Cancelled => FailureKind::Cancelled,
        GuestError::UnknownBlock(_) | GuestError::Host(_) => FailureKind::Host,
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

/// Loads packages of tenants into the sandbox.
pub struct SandboxLoader(Sandbox);

impl SandboxLoader {
    /// Packages for [`SandboxHost`]s of the same sandbox.
    pub fn new(sandbox: Sandbox) -> Self {
        Self(sandbox)
    }
}

#[async_trait]
impl PackageLoader for SandboxLoader {
    fn identity(&self, component: &[u8]) -> Result<Option<Identity>, Vec<Problem>> {
        match sightflow_sandbox::identity(component) {
            Ok(said) => Ok(said.map(|said| Identity { name: said.name, version: said.version })),
            Err(error @ IdentityError::Component(_)) => Err(vec![Problem::new("E-SHAPE", "", error.to_string())]),
            Err(error) => Err(vec![Problem::new("E-MANIFEST", "", error.to_string())]),
        }
    }

    fn wit_version(&self) -> &'static str {
        "0.1"
    }

    async fn load(&self, tenant: TenantId, identity: &Identity, component: Bytes) -> Result<Package, LoadFailure> {
        let (sandbox, identity) = (self.0.clone(), identity.clone());
        let loading = tokio::task::spawn_blocking(move || {
            sandbox.load_for(tenant, &identity.name, &identity.version, &component)
        });
        match loading.await {
            Ok(Ok(loaded)) => Ok(published(loaded)),
            Ok(Err(LoadError::Refused(problems))) => Err(LoadFailure::Refused(problems)),
            Ok(Err(LoadError::Busy)) => Err(LoadFailure::Busy),
            Ok(Err(LoadError::Host(reason))) => Err(LoadFailure::Host(reason)),
            Err(panicked) => Err(LoadFailure::Host(panicked.to_string())),
        }
    }

    fn breaking(&self) -> Vec<Breaking> {
        let breaking = |package: sightflow_sandbox::Quarantined| Breaking {
            tenant: package.tenant,
            digest: package.digest,
            times: package.times,
            reason: package.reason,
        };
        self.0.quarantined().into_iter().map(breaking).collect()
    }

    fn release(&self, tenant: TenantId, digest: Digest) {
        // Where nothing is known of it there is nothing to forget.
        let _ = self.0.release(tenant, digest);
    }
}

#[cfg(test)]
mod tests {
    use sightflow_engine::BlockSource;
    use sightflow_first_party::{PACKAGES, VERSION};
    use sightflow_sandbox::SandboxConfig;
    use sightflow_types::TenantId;

    use super::*;

    #[test]
    fn a_block_runs_as_long_as_somebody_has_it() {
        let sandbox = Sandbox::new(&SandboxConfig::default()).expect("a sandbox");
        let logic = PACKAGES.iter().find(|package| package.name == "sightflow/logic").expect("it is embedded");
        let loaded = sandbox.load(logic.name, &VERSION, logic.component).expect("it loads");
        let (host, source) = (SandboxHost::new(sandbox, None), BlockSource::new([published(loaded)]).expect("blocks"));
        let block = source.of(TenantId::BUILT_IN).resolve("condition").expect("a block").block.clone();
        drop(source);
        let config = r#"{"field":"length","operator":"greater_than","value":1}"#;
        let call = |block: &BlockRef| {
            let payload = Payload { document: r#"{"value":[1,2]}"#.to_owned(), images: Vec::new() };
            host.call(block, config, payload, CallContext::new(TenantId::BUILT_IN))
        };
        let answer: Value = serde_json::from_str(call(&block).expect("an answer").document.text()).expect("JSON");
        assert_eq!(answer["result"], true, "{answer}");
        let foreign = BlockRef { code: Code::new("another host's"), ..block };
        let error = call(&foreign).expect_err("no component");
        assert_eq!((error.kind, error.code.as_str()), (FailureKind::Host, code::INTERNAL));
    }
}
