//! One call of a guest, on the current thread: store, instance, call, verdict.

use sightflow_images::Image;
use sightflow_memory::Reservation;
use sightflow_types::document::Document;
use tokio_util::sync::CancellationToken;
use wasmtime::{Engine, Store, Trap};

use crate::error::{CallFailure, GuestError, LimitKind, Report};
use crate::host::bindings::exports::sightflow::block::blocks::{BlockError, Payload as WirePayload};
use crate::host::exports::{Exported, Exports, WireAnswer};
use crate::host::failure::chain;
use crate::host::pace::Pace;
use crate::host::state::CallState;
use crate::host::stop::Stop;
use crate::{CallLimits, Grants, GuestPayload, Level, Logs, Profile, buffers, report};

/// A store with every limit in place. Each call has its own; nothing survives it.
fn store(engine: &Engine, limits: &CallLimits, caller: Caller, memory: Reservation) -> Store<CallState> {
    let fuel = limits.argument_bytes;
    // Pollables and streams are handles too; images have their own, exact allowance.
    let handles = limits.handles.saturating_mul(2).saturating_add(1024);
    let mut store =
        Store::new(engine, CallState::new(limits.clone(), caller.cancel, memory, caller.pace, caller.grants));
    store.limiter(|state| state);
    store.set_hostcall_fuel(fuel);
    store.set_max_component_handles(handles);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|cx| cx.data().on_tick());
    store
}

/// A document and the images that it names.
pub(crate) type Answer = (Document, Vec<Image>);

/// What each of many items came to.
pub(crate) type Answers = Vec<Result<Answer, GuestError>>;

/// On whose behalf.
pub(crate) struct Caller {
    /// Takes the call back.
    pub(crate) cancel: CancellationToken,
    /// How it shares the processors with others.
    pub(crate) pace: Pace,
    /// What it may do beyond computing.
    pub(crate) grants: Option<Grants>,
}

/// What is called.
pub(crate) struct Guest<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) exports: &'a Exports,
    pub(crate) limits: &'a CallLimits,
    pub(crate) caller: Caller,
    /// The memory that it begins with; how much it gets, if it needs more, depends on who else wants some.
    pub(crate) memory: Reservation,
}

/// Memory of a call when it begins: what an instance of an ordinary package has. More is taken as it grows.
pub(crate) const TICKET: u64 = 2 << 20;

impl Guest<'_> {
    /// Makes an instance and drops it: the part of a call that does not depend on the block.
    pub(crate) fn instantiate(self) -> Result<(), GuestError> {
        self.enter(|_, _| Ok(Ok(()))).map(drop).map_err(|failure| failure.error)
    }

    /// The manifests' text.
    pub(crate) fn catalog(self) -> Result<(String, Profile, Logs), Box<CallFailure>> {
        self.enter(|package, store| {
            package.verify(store)?;
            let text = package.catalog(store)?;
            Ok(text_within(store, text))
        })
    }

    /// The problems' text; of a package without checks an empty list.
    pub(crate) fn check(
        self,
        block: &str,
        config: &str,
        context: &str,
    ) -> Result<(String, Profile, Logs), Box<CallFailure>> {
        self.enter(|package, store| {
            let text = package.check(store, block, config, context)?;
            Ok(text_within(store, text.unwrap_or_else(|| "[]".to_owned())))
        })
    }

    /// One run of a block.
    pub(crate) fn run(
        self,
        block: &str,
        config: &str,
        payload: GuestPayload,
    ) -> Result<(Answer, Profile, Logs), Box<CallFailure>> {
        self.enter(|package, store| {
            let inputs = match give(store, payload)? {
                Ok(inputs) => inputs,
                Err(error) => return Ok(Err(error)),
            };
            let answer = package.run(store, block, config, &inputs)?;
            Ok(take(store, answer))
        })
    }

    /// Many runs of a block in one instance; `None` where the package cannot.
    pub(crate) fn run_many(
        self,
        block: &str,
        config: &str,
        payloads: Vec<GuestPayload>,
    ) -> Result<(Option<Answers>, Profile, Logs), Box<CallFailure>> {
        self.enter(|package, store| {
            let wanted = payloads.len();
            let mut items = Vec::with_capacity(wanted);
            for payload in payloads {
                match give(store, payload)? {
                    Ok(inputs) => items.push(inputs),
                    Err(error) => return Ok(Err(error)),
                }
            }
            let Some(answers) = package.run_many(store, block, config, &items)? else { return Ok(Ok(None)) };
            if answers.len() != wanted {
                let said = format!("`run-many` gave {} results for {wanted} items", answers.len());
                return Ok(Err(GuestError::InvalidOutput(said)));
            }
            Ok(Ok(Some(answers.into_iter().map(|answer| take(store, answer)).collect())))
        })
    }

    fn enter<T>(
        self,
        work: impl FnOnce(&Exported<'_>, &mut Store<CallState>) -> wasmtime::Result<Result<T, GuestError>>,
    ) -> Result<(T, Profile, Logs), Box<CallFailure>> {
        let mut store = store(self.engine, self.limits, self.caller, self.memory);
        let answer = self.exports.instantiate(&mut store).and_then(|package| work(&package, &mut store));
        let state = store.into_data();
        let verdict = match (answer, state.refused()) {
            (Ok(Ok(value)), _) => Ok(value),
            // The guest was refused something and failed upon that: this is the reason.
            (Ok(Err(GuestError::Failed(_) | GuestError::Retry(_) | GuestError::BadInput(_))), Some(refused)) => {
                Err(refused)
            }
            (Ok(Err(error)), _) => Err(error),
            (Err(error), refused) => Err(match (stopped(&error, self.limits), refused) {
                (GuestError::Trap(_), Some(refused)) => refused,
                (reason, _) => reason,
            }),
        };
        let (profile, logs) = state.finish();
        match verdict {
            Ok(value) => Ok((value, profile, logs)),
            Err(error) => Err(Box::new(CallFailure { error: with_last_words(error, &logs).capped(), logs, profile })),
        }
    }
}

fn text_within(store: &Store<CallState>, text: String) -> Result<String, GuestError> {
    let limit = store.data().limit_of(LimitKind::OutputBytes);
    if text.len() as u64 > limit { Err(GuestError::Limit { kind: LimitKind::OutputBytes, limit }) } else { Ok(text) }
}

/// A payload in the component's terms. The outer error ends the call, the inner one says why it is not made.
fn give(store: &mut Store<CallState>, payload: GuestPayload) -> wasmtime::Result<Result<WirePayload, GuestError>> {
    let (document, buffers) = match buffers::take_out(payload.document) {
        Ok(parts) => parts,
        Err(message) => return Ok(Err(GuestError::BadInput(Report { message, ..Report::default() }))),
    };
    let mut images = Vec::with_capacity(payload.images.len());
    for image in payload.images {
        let state = store.data_mut();
        if let Err(kind) = state.charge_handle() {
            return Ok(Err(GuestError::Limit { kind, limit: state.limit_of(kind) }));
        }
        images.push(state.table.push(image)?);
    }
    Ok(Ok(WirePayload { document, images, buffers }))
}

fn take(store: &mut Store<CallState>, answer: WireAnswer) -> Result<Answer, GuestError> {
    let outputs = answer.map_err(block_error)?;
    let text = text_within(store, outputs.document)?;
    let document =
        buffers::put_back(text, outputs.images.len(), &outputs.buffers).map_err(GuestError::InvalidOutput)?;
    let limit = store.data().limit_of(LimitKind::OutputBytes);
    if document.text().len() as u64 > limit {
        return Err(GuestError::Limit { kind: LimitKind::OutputBytes, limit });
    }
    let state = store.data_mut();
    let mut images = Vec::with_capacity(outputs.images.len());
    state.clock.begin_operation();
    for handle in outputs.images {
        let image: Image = state.table.delete(handle).map_err(|error| GuestError::Host(error.to_string()))?;
        // A small part of what the call made shall not keep all of it. Where there is no room to copy it, it does.
        images.push(image.detached_in(&state.work).unwrap_or(image));
    }
    state.clock.end_operation();
    Ok((document, images))
}

fn block_error(error: BlockError) -> GuestError {
    match error {
        BlockError::BadInput(text) => GuestError::BadInput(report::read(text)),
        BlockError::BadConfig(text) => GuestError::BadConfig(report::read(text)),
        // A later interface may tell more; today it is a failure.
        BlockError::Failed(text) | BlockError::Other(text) => GuestError::Failed(report::read(text)),
        BlockError::Retry(text) => GuestError::Retry(report::read(text)),
    }
}

/// Why wasmtime gave up.
fn stopped(error: &wasmtime::Error, limits: &CallLimits) -> GuestError {
    match error.downcast_ref::<Stop>() {
        Some(Stop::Cpu) => return GuestError::Cpu(limits.cpu),
        Some(Stop::Wall) => return GuestError::Wall(limits.wall),
        Some(Stop::Cancelled) => return GuestError::Cancelled,
        Some(Stop::HostCpu) => return GuestError::HostCpu(limits.host_cpu),
        Some(Stop::NoMemory(full)) => return GuestError::NoMemory(*full),
        Some(Stop::Limit(LimitKind::HostSteps)) => {
            return GuestError::Limit { kind: LimitKind::HostSteps, limit: limits.host_steps };
        }
        Some(Stop::Limit(kind)) => {
            return GuestError::Limit { kind: *kind, limit: limits.table_elements as u64 };
        }
        Some(stop @ (Stop::Exit(_) | Stop::Denied(_))) => return GuestError::Trap(stop.to_string()),
        None => {}
    }
    if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
        return GuestError::Trap(Stop::Exit(u8::try_from(exit.0).unwrap_or(u8::MAX)).to_string());
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return GuestError::Trap(trap.to_string());
    }
    // wasmtime has no type for this one; a test keeps the text honest.
    if chain(error).contains(HOST_CALL_FUEL) {
        return GuestError::Limit { kind: LimitKind::ArgumentBytes, limit: limits.argument_bytes as u64 };
    }
    GuestError::Trap(chain(error))
}

const HOST_CALL_FUEL: &str = "fuel allocated for hostcalls has been exhausted";

/// A guest that panics prints why to standard error and executes `unreachable`: the text belongs to the trap.
fn with_last_words(error: GuestError, logs: &Logs) -> GuestError {
    let GuestError::Trap(reason) = error else { return error };
    let printed = logs.lines.iter().filter(|line| line.level == Level::Warn).map(|line| line.message.trim());
    // Rust's panic message: where, what, and a note that does not help here.
    let words: Vec<_> = printed.filter(|line| !line.is_empty() && !line.starts_with("note: ")).collect();
    let last = &words[words.len().saturating_sub(4)..];
    GuestError::Trap(if last.is_empty() { reason } else { format!("{reason} (standard error: {})", last.join(" ")) })
}
