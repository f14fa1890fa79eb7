//! The sandbox: loads packages and calls their blocks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use semver::Version;
use sha2::{Digest as _, Sha256};
use sightflow_memory::{MemoryPool, Reservation, Use};
use sightflow_types::{Digest, Problem, TenantId};
use tokio_util::sync::CancellationToken;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::cache::CompileCache;
use crate::compile::{self, Compiles};
use crate::config::share;
use crate::finding::code;
use crate::host::exports::Exports;
use crate::host::linker::link;
use crate::host::pace::Pace;
use crate::quarantine::Quarantine;
use crate::run::{Caller, Guest, TICKET};
use crate::ticker::Ticker;
use crate::{
    Allocation, CallConditions, CallFailure, CallLimits, Grants, GuestError, GuestOutcome, GuestPayload, LoadError,
    Logs, ManyOutcomes, Package, Profile, Quarantined, SandboxConfig, StartError, engine, manifests, screen,
};
use sightflow_fair::{Asked, FairSlots, Slot};

/// Runs block packages with no rights and every limit. Cloning is cheap; the last clone's drop ends its thread.
#[derive(Clone)]
pub struct Sandbox(Arc<Inner>);

struct Inner {
    engine: Engine,
    allocation: Allocation,
    ticker: Ticker,
    /// As many as the pool has: a call waits for one instead of finding the pool empty.
    slots: FairSlots,
    /// The same for calls that may wait for others: however many do, those that compute find their slots.
    waiting: FairSlots,
    /// Turns of long calls: as many as there are cores.
    cores: FairSlots,
    compiles: Compiles,
    quarantine: Quarantine,
    /// Where the memory of guests and of their images comes from.
    memory: MemoryPool,
    cache: Option<CompileCache>,
}

/// What `catalog` may use: it is called once, gets no input, and lists what the package holds.
fn catalog_limits() -> CallLimits {
    CallLimits {
        cpu: Duration::from_secs(1),
        wall: Duration::from_secs(10),
        output_bytes: 2 << 20,
        ..CallLimits::default()
    }
}

impl Sandbox {
    /// Starts the engine and its ticker thread.
    ///
    /// # Errors
    /// [`StartError::Config`] for a value out of range, [`StartError::Engine`] if this host cannot run WebAssembly.
    /// A cache directory that cannot be used is reported as a warning, and packages are compiled anew.
    pub fn new(config: &SandboxConfig) -> Result<Self, StartError> {
        Self::with_memory(config, MemoryPool::process().clone())
    }

    /// As [`Sandbox::new`], with another budget in bytes than the process's.
    ///
    /// # Errors
    /// As [`Sandbox::new`].
    pub fn with_memory(config: &SandboxConfig, memory: MemoryPool) -> Result<Self, StartError> {
        let (engine, allocation) = engine::start(config)?;
        let ticker = Ticker::start(&engine)?;
        let cache = config.cache.as_deref().and_then(|directory| match CompileCache::open(directory, config.cache_bytes) {
            Ok(cache) => Some(cache),
            Err(error) => {
                tracing::warn!(directory = %directory.display(), error = sightflow_types::error::chain(&error), "compiled packages are not kept");
                None
            }
        });
        // Calls that wait are bounded where they come from; each has a task or a thread.
        let slots = FairSlots::new(config.slots as usize, config.share() as usize, usize::MAX);
        let waiting = FairSlots::new(config.waiting_slots as usize, share(config.waiting_slots) as usize, usize::MAX);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let cores = FairSlots::new(cores, cores, usize::MAX);
        let compiles = Compiles::new(config.compiler.clone());
        let quarantine = Quarantine::new(config.quarantine);
        let inner = Inner { engine, allocation, ticker, slots, waiting, cores, compiles, quarantine, memory, cache };
        Ok(Self(Arc::new(inner)))
    }

    /// How instances are really allocated, after a fallback if there was one.
    pub fn allocation(&self) -> Allocation {
        self.0.allocation
    }

    /// Loads a package that comes with the program: looks at it, compiles it on this thread (or takes it from the cache),
    /// links it, asks for its catalogue and checks that.
    ///
    /// `name` is `namespace/name`. Blocks the thread: compilation takes from tens of milliseconds to seconds.
    ///
    /// # Errors
    /// [`LoadError`] says what the author has to change. Already compiled code is never accepted.
    pub fn load(&self, name: &str, version: &Version, bytes: &[u8]) -> Result<Package, LoadError> {
        self.load_of(None, name, version, bytes)
    }

    /// Loads a package that a tenant brings. As [`load`](Self::load), but compiled where [`SandboxConfig::compiler`] says,
    /// in turns with other tenants; and calls of it are refused for a while where it keeps breaking down.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`LoadError::Busy`] where too many packages of the tenant wait.
    pub fn load_for(
        &self,
        tenant: TenantId,
        name: &str,
        version: &Version,
        bytes: &[u8],
    ) -> Result<Package, LoadError> {
        self.load_of(Some(tenant), name, version, bytes)
    }

    fn load_of(
        &self,
        owner: Option<TenantId>,
        name: &str,
        version: &Version,
        bytes: &[u8],
    ) -> Result<Package, LoadError> {
        let digest = Digest::from_bytes(Sha256::digest(bytes).into());
        let exports = link(&self.0.engine, &self.component(owner, digest, bytes)?)?;
        let limits = catalog_limits();
        let tenant = owner.unwrap_or(TenantId::BUILT_IN);
        let unable = |error: GuestError| LoadError::Host(error.to_string());
        let (slot, memory) =
            self.enter_blocking(&exports, tenant, &limits, &CancellationToken::new()).map_err(unable)?;
        let caller = self.caller(tenant, CancellationToken::new(), None);
        let guest = Guest { engine: &self.0.engine, exports: &exports, limits: &limits, caller, memory };
        let running = self.0.ticker.enter();
        let answer = guest.catalog();
        drop((running, slot));
        let (catalog, _, _) = answer.map_err(|failure| match failure.error {
            error @ (GuestError::NoMemory(_) | GuestError::Host(_)) => unable(error),
            error => LoadError::refused(code::MANIFEST, format!("`catalog` failed: {error}")),
        })?;
        let manifests = manifests::parse(&catalog, exports.reaches_out()).map_err(LoadError::Refused)?;
        Ok(Package::new(name.to_owned(), version.clone(), digest, manifests, (bytes.len(), owner.is_some()), exports))
    }

    /// Compiled code for `bytes`: from the cache, which holds only what was looked at before, or looked at and compiled.
    fn component(&self, owner: Option<TenantId>, digest: Digest, bytes: &[u8]) -> Result<Component, LoadError> {
        let engine = &self.0.engine;
        if let Some(code) = self.0.cache.as_ref().and_then(|cache| cache.load(engine, digest)) {
            match code.load(engine) {
                Ok(component) => return Ok(component),
                Err(error) => tracing::warn!(%digest, error, "a compiled package does not fit and is compiled anew"),
            }
        }
        screen(bytes).map_err(LoadError::Refused)?;
        let code = match owner {
            None => compile::here(engine, bytes)?,
            Some(tenant) => self.0.compiles.compile(engine, self.0.allocation, tenant, (digest, bytes))?,
        };
        let component = code.load(engine).map_err(|reason| {
            LoadError::refused(code::SIZE, format!("a call cannot have what the component needs: {reason}"))
        })?;
        if let Some(cache) = &self.0.cache {
            cache.store(engine, digest, &code);
        }
        Ok(component)
    }

    /// The packages of tenants whose calls are refused now, because they kept breaking down.
    pub fn quarantined(&self) -> Vec<Quarantined> {
        self.0.quarantine.list(Instant::now())
    }

    /// Ends the quarantine of a version for a tenant; whether there was anything to end.
    pub fn release(&self, tenant: TenantId, digest: Digest) -> bool {
        self.0.quarantine.release(tenant, digest)
    }

    /// Calls one block: a fresh instance, its answer checked, on a thread of tokio's blocking pool.
    ///
    /// `config` is the canonical configuration, a JSON object. Dropping the future takes the call back.
    ///
    /// # Errors
    /// [`CallFailure`] with the reason ([`GuestError::code`] has the stable code), the log and the profile.
    pub async fn call(
        &self,
        package: &Package,
        block: &str,
        config: &str,
        payload: GuestPayload,
        context: &CallConditions,
    ) -> Result<GuestOutcome, Box<CallFailure>> {
        let (called, block, config) = (package.clone(), block.to_owned(), config.to_owned());
        self.on_thread(package, context, move |sandbox, conditions, memory| {
            sandbox.run_here(&called, &block, &config, payload, conditions, memory)
        })
        .await
        .map(|(mut outcome, queued)| {
            outcome.profile.queue_us = queued;
            outcome
        })
    }

    /// Like [`call`](Self::call), on the calling thread, which it blocks. For threads that may block: a task of
    /// tokio's blocking pool that makes several calls, a command-line tool.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn call_blocking(
        &self,
        package: &Package,
        block: &str,
        config: &str,
        payload: GuestPayload,
        context: &CallConditions,
    ) -> Result<GuestOutcome, Box<CallFailure>> {
        let asked = Instant::now();
        let entered = self.enter_blocking(package.exports(), context.tenant, &context.limits, &context.cancel);
        let (slot, memory) = entered.map_err(without_traces)?;
        let queued = micros(asked.elapsed());
        let answer = self.run_here(package, block, config, payload, context, memory);
        drop(slot);
        answer.map(|mut outcome| {
            outcome.profile.queue_us = queued;
            outcome
        })
    }

    /// Calls one block for each of the payloads, with one configuration and within one call's limits: in one instance where
    /// the package can do that, else one after the other. Blocks the calling thread.
    ///
    /// # Errors
    /// As [`call`](Self::call), where the call as a whole failed; what a single item came to is in the answer.
    pub fn call_many_blocking(
        &self,
        package: &Package,
        block: &str,
        config: &str,
        payloads: Vec<GuestPayload>,
        context: &CallConditions,
    ) -> Result<ManyOutcomes, Box<CallFailure>> {
        known(package, block)?;
        if !package.batches() {
            let call = |payload| self.call_blocking(package, block, config, payload, context);
            return Ok(ManyOutcomes::Apart(payloads.into_iter().map(call).collect()));
        }
        let entered = self.enter_blocking(package.exports(), context.tenant, &context.limits, &context.cancel);
        let (_slot, memory) = entered.map_err(without_traces)?;
        let run = |guest: Guest<'_>| guest.run_many(block, config, payloads);
        let (answers, profile, logs) = self.guarded(package, context, memory, run)?;
        Ok(ManyOutcomes::Together { answers: answers.unwrap_or_default(), logs, profile })
    }

    /// Asks a block for the problems of one node's configuration that a JSON schema cannot say.
    ///
    /// `config` is the canonical configuration without templated keys; `context` is
    /// `{"wired": [input port…], "dynamic": [config key…]}`. Pointers in the answer are relative to the node.
    ///
    /// # Errors
    /// [`CallFailure`] if the call fails or answers something else than an array of problems.
    pub async fn check(
        &self,
        package: &Package,
        block: &str,
        config: &str,
        wiring: &str,
        context: &CallConditions,
    ) -> Result<Vec<Problem>, Box<CallFailure>> {
        if !package.checks() {
            return Ok(Vec::new());
        }
        let (called, block, config, wiring) = (package.clone(), block.to_owned(), config.to_owned(), wiring.to_owned());
        let answer = self.on_thread(package, context, move |sandbox, conditions, memory| {
            known(&called, &block)?;
            sandbox.guarded(&called, conditions, memory, |guest| guest.check(&block, &config, &wiring))
        });
        let ((text, profile, logs), _) = answer.await?;
        crate::problems::read(&text).map_err(|error| {
            let error = GuestError::InvalidOutput(format!("`check` must answer an array of problems: {error}"));
            Box::new(CallFailure { error: error.capped(), logs, profile })
        })
    }

    /// Makes an instance of the package and drops it, on the calling thread: what every call costs before the block runs.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn instantiate_blocking(&self, package: &Package, context: &CallConditions) -> Result<(), GuestError> {
        let (_slot, memory) =
            self.enter_blocking(package.exports(), context.tenant, &context.limits, &context.cancel)?;
        let _running = self.0.ticker.enter();
        let caller = self.caller(context.tenant, context.cancel.clone(), None);
        Guest { engine: &self.0.engine, exports: package.exports(), limits: &context.limits, caller, memory }
            .instantiate()
    }

    fn run_here(
        &self,
        package: &Package,
        block: &str,
        config: &str,
        payload: GuestPayload,
        conditions: &CallConditions,
        memory: Reservation,
    ) -> Result<GuestOutcome, Box<CallFailure>> {
        known(package, block)?;
        let run = |guest: Guest<'_>| guest.run(block, config, payload);
        let ((document, images), profile, logs) = self.guarded(package, conditions, memory, run)?;
        Ok(GuestOutcome { document, images, logs, profile })
    }

    /// One call of a package, unless it is left alone because it keeps breaking down.
    fn guarded<T>(
        &self,
        package: &Package,
        conditions: &CallConditions,
        memory: Reservation,
        call: impl FnOnce(Guest<'_>) -> Result<T, Box<CallFailure>>,
    ) -> Result<T, Box<CallFailure>> {
        let CallConditions { tenant, limits, cancel, grants } = conditions;
        let (tenant, digest) = (*tenant, package.digest());
        let quarantine = package.brought().then_some(&self.0.quarantine);
        if let Some(Err(remaining)) = quarantine.map(|quarantine| quarantine.admit(tenant, digest, Instant::now())) {
            return Err(without_traces(GuestError::Quarantined(remaining)));
        }
        let _running = self.0.ticker.enter();
        let caller = self.caller(tenant, cancel.clone(), grants.clone());
        let answer = call(Guest { engine: &self.0.engine, exports: package.exports(), limits, caller, memory });
        match (quarantine, &answer) {
            (Some(quarantine), Ok(_)) => quarantine.succeeded(tenant, digest),
            (Some(quarantine), Err(failure)) if failure.error.breakdown() => {
                quarantine.broke_down(tenant, digest, failure.error.to_string(), Instant::now());
            }
            _ => {}
        }
        answer
    }

    fn caller(&self, tenant: TenantId, cancel: CancellationToken, grants: Option<Grants>) -> Caller {
        Caller { cancel, pace: Pace::new(self.0.cores.clone(), tenant), grants }
    }

    fn slots(&self, exports: &Exports) -> &FairSlots {
        if exports.reaches_out() { &self.0.waiting } else { &self.0.slots }
    }

    /// Runs `work` on the blocking pool once a slot is free; answers with the microseconds that it waited.
    async fn on_thread<T: Send + 'static>(
        &self,
        package: &Package,
        context: &CallConditions,
        work: impl FnOnce(&Self, &CallConditions, Reservation) -> Result<T, Box<CallFailure>> + Send + 'static,
    ) -> Result<(T, u64), Box<CallFailure>> {
        let asked = Instant::now();
        let slot = match self.slots(package.exports()).ask(context.tenant).map_err(|_| without_traces(crowded()))? {
            Asked::Slot(slot) => slot,
            Asked::Waiting(waiting) => tokio::select! {
                biased;
                () = context.cancel.cancelled() => return Err(without_traces(GuestError::Cancelled)),
                slot = waiting => slot,
            },
        };
        let ticket = ticket(&context.limits);
        let memory = match self.0.memory.try_reserve(Use::Guests, ticket) {
            Ok(memory) => memory,
            Err(_) => tokio::select! {
                biased;
                () = context.cancel.cancelled() => return Err(without_traces(GuestError::Cancelled)),
                memory = self.0.memory.reserve(Use::Guests, ticket, context.limits.wall) => {
                    memory.map_err(|full| without_traces(GuestError::NoMemory(full)))?
                }
            },
        };
        // A future that is dropped, by a timeout of its owner for example, stops its guest too.
        let cancel = context.cancel.child_token();
        let guard = cancel.clone().drop_guard();
        let conditions = CallConditions { cancel, ..context.clone() };
        let sandbox = self.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let queued = micros(asked.elapsed());
            let answer = work(&sandbox, &conditions, memory);
            drop(slot);
            answer.map(|value| (value, queued))
        });
        let answer = answer.await.unwrap_or_else(|error| Err(without_traces(GuestError::Host(error.to_string()))));
        guard.disarm();
        answer
    }

    /// A slot, and the memory that a call begins with.
    fn enter_blocking(
        &self,
        exports: &Exports,
        tenant: TenantId,
        limits: &CallLimits,
        cancel: &CancellationToken,
    ) -> Result<(Slot, Reservation), GuestError> {
        let slot = match self.slots(exports).ask(tenant).map_err(|_| crowded())? {
            Asked::Slot(slot) => slot,
            Asked::Waiting(waiting) => waiting.here(|| match cancel.is_cancelled() {
                true => Err(GuestError::Cancelled),
                false => Ok(()),
            })?,
        };
        let deadline = Instant::now() + limits.wall;
        let memory = self.0.memory.reserve_blocking(Use::Guests, ticket(limits), deadline);
        Ok((slot, memory.map_err(GuestError::NoMemory)?))
    }
}

fn ticket(limits: &CallLimits) -> u64 {
    TICKET.min(limits.memory_bytes as u64)
}

fn known(package: &Package, block: &str) -> Result<(), Box<CallFailure>> {
    match package.manifest(block) {
        Some(_) => Ok(()),
        None => Err(without_traces(GuestError::UnknownBlock(block.to_owned()))),
    }
}

fn crowded() -> GuestError {
    GuestError::Host("too many calls wait".to_owned())
}

fn without_traces(error: GuestError) -> Box<CallFailure> {
    Box::new(CallFailure { error, logs: Logs::default(), profile: Profile::default() })
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
