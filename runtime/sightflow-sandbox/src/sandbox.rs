//! The sandbox: loads packages and calls their blocks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use semver::Version;
use sha2::{Digest as _, Sha256};
use sightflow_memory::{MemoryPool, Reservation, Use};
use sightflow_types::{Digest, Problem};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::cache::CompileCache;
use crate::host::linker::{chain, link};
use crate::run::{Guest, TICKET};
use crate::ticker::Ticker;
use crate::{
    Allocation, CallConditions, CallFailure, CallLimits, GuestError, GuestOutcome, GuestPayload, LoadError, Logs,
    ManyOutcomes, Package, Profile, SandboxConfig, StartError, engine, manifests,
};

/// Largest component accepted, in bytes.
pub const MAX_PACKAGE_BYTES: usize = 64 << 20;

/// Runs block packages with no rights and every limit. Cloning is cheap; the last clone's drop ends its thread.
#[derive(Clone)]
pub struct Sandbox(Arc<Inner>);

struct Inner {
    engine: Engine,
    allocation: Allocation,
    ticker: Ticker,
    /// As many permits as the pool has slots: a call waits for one instead of finding the pool empty.
    slots: Arc<Semaphore>,
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
        let cache = config.cache.as_deref().and_then(|directory| match CompileCache::open(directory) {
            Ok(cache) => Some(cache),
            Err(error) => {
                tracing::warn!(directory = %directory.display(), error = sightflow_types::error::chain(&error), "compiled packages are not kept");
                None
            }
        });
        let slots = Arc::new(Semaphore::new(config.slots as usize));
        Ok(Self(Arc::new(Inner { engine, allocation, ticker, slots, memory, cache })))
    }

    /// How instances are really allocated, after a fallback if there was one.
    pub fn allocation(&self) -> Allocation {
        self.0.allocation
    }

    /// Compiles a component (or takes it from the cache), links it, asks for its catalogue and checks that.
    ///
    /// `name` is `namespace/name`. Blocks the thread: compilation takes from tens of milliseconds to seconds.
    ///
    /// # Errors
    /// [`LoadError`] says what the author has to change. Already compiled code is never accepted.
    pub fn load(&self, name: &str, version: &Version, bytes: &[u8]) -> Result<Package, LoadError> {
        if bytes.len() > MAX_PACKAGE_BYTES {
            return Err(LoadError::TooLarge { bytes: bytes.len(), limit: MAX_PACKAGE_BYTES });
        }
        let digest = Digest::from_bytes(Sha256::digest(bytes).into());
        let exports = link(&self.0.engine, &self.component(bytes, digest)?)?;
        let limits = catalog_limits();
        let (permit, memory) = self.enter_blocking(&limits).map_err(LoadError::Catalog)?;
        let cancel = CancellationToken::new();
        let guest = Guest { engine: &self.0.engine, exports: &exports, limits: &limits, cancel, memory };
        let running = self.0.ticker.enter();
        let answer = guest.catalog();
        drop((running, permit));
        let (catalog, _, _) = answer.map_err(|failure| LoadError::Catalog(failure.error))?;
        let manifests = manifests::parse(&catalog).map_err(LoadError::Manifests)?;
        Ok(Package::new(name.to_owned(), version.clone(), digest, manifests, exports))
    }

    /// Compiled code for `bytes`. Compilation of uploads belongs into a child process; this is the place for it.
    fn component(&self, bytes: &[u8], digest: Digest) -> Result<Component, LoadError> {
        let engine = &self.0.engine;
        if let Some(component) = self.0.cache.as_ref().and_then(|cache| cache.load(engine, digest)) {
            return Ok(component);
        }
        let component = Component::from_binary(engine, bytes).map_err(|error| LoadError::Invalid(chain(&error)))?;
        if let Some(cache) = &self.0.cache {
            cache.store(engine, digest, &component);
        }
        Ok(component)
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
        let (package, block, config) = (package.clone(), block.to_owned(), config.to_owned());
        self.on_thread(context, move |sandbox, limits, cancel, memory| {
            sandbox.run_here(&package, &block, &config, payload, limits, (cancel, memory))
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
        let (permit, memory) = self.enter_blocking(&context.limits).map_err(without_traces)?;
        let queued = micros(asked.elapsed());
        let answer = self.run_here(package, block, config, payload, &context.limits, (context.cancel.clone(), memory));
        drop(permit);
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
        let (_permit, memory) = self.enter_blocking(&context.limits).map_err(without_traces)?;
        let _running = self.0.ticker.enter();
        let (limits, cancel) = (&context.limits, context.cancel.clone());
        let guest = Guest { engine: &self.0.engine, exports: package.exports(), limits, cancel, memory };
        let (answers, profile, logs) = guest.run_many(block, config, payloads)?;
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
        let (package, block, config, wiring) =
            (package.clone(), block.to_owned(), config.to_owned(), wiring.to_owned());
        let answer = self.on_thread(context, move |sandbox, limits, cancel, memory| {
            known(&package, &block)?;
            let _running = sandbox.0.ticker.enter();
            let guest = Guest { engine: &sandbox.0.engine, exports: package.exports(), limits, cancel, memory };
            guest.check(&block, &config, &wiring)
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
        let (_permit, memory) = self.enter_blocking(&context.limits)?;
        let _running = self.0.ticker.enter();
        let cancel = context.cancel.clone();
        Guest { engine: &self.0.engine, exports: package.exports(), limits: &context.limits, cancel, memory }
            .instantiate()
    }

    fn run_here(
        &self,
        package: &Package,
        block: &str,
        config: &str,
        payload: GuestPayload,
        limits: &CallLimits,
        (cancel, memory): (CancellationToken, Reservation),
    ) -> Result<GuestOutcome, Box<CallFailure>> {
        known(package, block)?;
        let _running = self.0.ticker.enter();
        let guest = Guest { engine: &self.0.engine, exports: package.exports(), limits, cancel, memory };
        let ((document, images), profile, logs) = guest.run(block, config, payload)?;
        Ok(GuestOutcome { document, images, logs, profile })
    }

    /// Runs `work` on the blocking pool once a slot is free; answers with the microseconds that it waited.
    async fn on_thread<T: Send + 'static>(
        &self,
        context: &CallConditions,
        work: impl FnOnce(&Self, &CallLimits, CancellationToken, Reservation) -> Result<T, Box<CallFailure>>
        + Send
        + 'static,
    ) -> Result<(T, u64), Box<CallFailure>> {
        let asked = Instant::now();
        let permit = tokio::select! {
            biased;
            () = context.cancel.cancelled() => return Err(without_traces(GuestError::Cancelled)),
            permit = Arc::clone(&self.0.slots).acquire_owned() => permit.map_err(|_| without_traces(closed()))?,
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
        let (sandbox, limits) = (self.clone(), context.limits.clone());
        let answer = tokio::task::spawn_blocking(move || {
            let queued = micros(asked.elapsed());
            let answer = work(&sandbox, &limits, cancel, memory);
            drop(permit);
            answer.map(|value| (value, queued))
        });
        let answer = answer.await.unwrap_or_else(|error| Err(without_traces(GuestError::Host(error.to_string()))));
        guard.disarm();
        answer
    }

    /// A slot, and the memory that a call begins with.
    fn enter_blocking(&self, limits: &CallLimits) -> Result<(OwnedSemaphorePermit, Reservation), GuestError> {
        let permit = self.wait_for_slot()?;
        let deadline = Instant::now() + limits.wall;
        let memory = self.0.memory.reserve_blocking(Use::Guests, ticket(limits), deadline);
        Ok((permit, memory.map_err(GuestError::NoMemory)?))
    }

    fn wait_for_slot(&self) -> Result<OwnedSemaphorePermit, GuestError> {
        let slots = Arc::clone(&self.0.slots);
        match Arc::clone(&slots).try_acquire_owned() {
            Ok(permit) => Ok(permit),
            Err(_) => futures::executor::block_on(slots.acquire_owned()).map_err(|_| closed()),
        }
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

fn closed() -> GuestError {
    GuestError::Host("the sandbox is shutting down".to_owned())
}

fn without_traces(error: GuestError) -> Box<CallFailure> {
    Box::new(CallFailure { error, logs: Logs::default(), profile: Profile::default() })
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
