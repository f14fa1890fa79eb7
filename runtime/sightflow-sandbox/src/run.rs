//! One call of a guest, on the current thread: store, instance, call, verdict.

use sightflow_images::Image;
use tokio_util::sync::CancellationToken;
use wasmtime::component::Resource;
use wasmtime::{Engine, Store, Trap};

use crate::error::{CallError, CallFailure, LimitKind, Report};
use crate::host::bindings::exports::sightflow::block::blocks::{BlockError, Payload as WirePayload};
use crate::host::bindings::{BlockPackage, BlockPackagePre};
use crate::host::linker::chain;
use crate::host::state::{CallState, Stop};
use crate::{Level, Limits, Logs, Payload, Profile, document};

/// A store with every limit in place. Each call has its own; nothing survives it.
fn store(engine: &Engine, limits: &Limits, cancel: CancellationToken) -> Store<CallState> {
    let fuel = limits.host_call_bytes;
    // Pollables and streams are handles too; images have their own, exact allowance.
    let handles = limits.handles.saturating_mul(2).saturating_add(1024);
    let mut store = Store::new(engine, CallState::new(limits.clone(), cancel));
    store.limiter(|state| state);
    store.set_hostcall_fuel(fuel);
    store.set_max_component_handles(handles);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|cx| cx.data().on_tick());
    store
}

/// What is called.
pub(crate) struct Guest<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) pre: &'a BlockPackagePre<CallState>,
    pub(crate) limits: &'a Limits,
    pub(crate) cancel: CancellationToken,
}

impl Guest<'_> {
    /// Makes an instance and drops it: the part of a call that does not depend on the block.
    pub(crate) fn instantiate(self) -> Result<(), CallError> {
        self.enter(|_, _| Ok(Ok(()))).map(drop).map_err(|failure| failure.error)
    }

    /// The manifests' text.
    pub(crate) fn catalog(self) -> Result<(String, Profile, Logs), Box<CallFailure>> {
        self.enter(|package, store| {
            let text = package.sightflow_block_blocks().call_catalog(&mut *store)?;
            Ok(text_within(store, text))
        })
    }

    /// The problems' text.
    pub(crate) fn check(
        self,
        block: &str,
        config: &str,
        context: &str,
    ) -> Result<(String, Profile, Logs), Box<CallFailure>> {
        self.enter(|package, store| {
            let text = package.sightflow_block_blocks().call_check(&mut *store, block, config, context)?;
            Ok(text_within(store, text))
        })
    }

    /// One run of a block.
    pub(crate) fn run(
        self,
        block: &str,
        config: &str,
        payload: Payload,
    ) -> Result<(Payload, Profile, Logs), Box<CallFailure>> {
        self.enter(|package, store| {
            let mut images = Vec::with_capacity(payload.images.len());
            for image in payload.images {
                let state = store.data_mut();
                if let Err(kind) = state.charge_handle() {
                    return Ok(Err(CallError::Limit { kind, limit: state.limit_of(kind) }));
                }
                images.push(state.table.push(image)?);
            }
            let inputs = WirePayload { document: payload.document, images };
            let answer = package.sightflow_block_blocks().call_run(&mut *store, block, config, &inputs)?;
            Ok(match answer {
                Ok(outputs) => take_outputs(store, outputs),
                Err(error) => Err(block_error(error)),
            })
        })
    }

    fn enter<T>(
        self,
        work: impl FnOnce(&BlockPackage, &mut Store<CallState>) -> wasmtime::Result<Result<T, CallError>>,
    ) -> Result<(T, Profile, Logs), Box<CallFailure>> {
        let mut store = store(self.engine, self.limits, self.cancel);
        let answer = self.pre.instantiate(&mut store).and_then(|package| work(&package, &mut store));
        let state = store.into_data();
        let exceeded = state.exceeded();
        let limit_of = |kind| CallError::Limit { kind, limit: state.limit_of(kind) };
        let verdict = match answer {
            Ok(Ok(value)) => Ok(value),
            // The guest was refused an allowance and failed after that: the allowance is the reason.
            Ok(Err(CallError::Failed(_) | CallError::Retry(_) | CallError::BadInput(_))) if exceeded.is_some() => {
                Err(exceeded.map_or_else(|| CallError::Host(String::new()), limit_of))
            }
            Ok(Err(error)) => Err(error),
            Err(error) => Err(match (stopped(&error, self.limits), exceeded) {
                (CallError::Trap(_), Some(kind)) => limit_of(kind),
                (reason, _) => reason,
            }),
        };
        let (profile, logs) = state.finish();
        match verdict {
            Ok(value) => Ok((value, profile, logs)),
            Err(error) => Err(Box::new(CallFailure { error: with_last_words(error, &logs), logs, profile })),
        }
    }
}

fn text_within(store: &Store<CallState>, text: String) -> Result<String, CallError> {
    let limit = store.data().limit_of(LimitKind::OutputBytes);
    if text.len() as u64 > limit { Err(CallError::Limit { kind: LimitKind::OutputBytes, limit }) } else { Ok(text) }
}

fn take_outputs(store: &mut Store<CallState>, outputs: WirePayload) -> Result<Payload, CallError> {
    let document = text_within(store, outputs.document)?;
    document::check(&document, outputs.images.len()).map_err(CallError::InvalidOutput)?;
    let table = &mut store.data_mut().table;
    let images = outputs.images.into_iter().map(|handle: Resource<Image>| table.delete(handle));
    let images = images.collect::<Result<_, _>>().map_err(|error| CallError::Host(error.to_string()))?;
    Ok(Payload { document, images })
}

fn block_error(error: BlockError) -> CallError {
    match error {
        BlockError::BadInput(text) => CallError::BadInput(report(text)),
        BlockError::BadConfig(text) => CallError::BadConfig(report(text)),
        BlockError::Failed(text) => CallError::Failed(report(text)),
        BlockError::Retry(text) => CallError::Retry(report(text)),
    }
}

/// A report is JSON `{code, message, port?, key?, index?}` or a plain message.
fn report(text: String) -> Report {
    let Ok(serde_json::Value::Object(mut fields)) = serde_json::from_str(&text) else {
        return Report { message: text, ..Report::default() };
    };
    let index = fields.get("index").and_then(serde_json::Value::as_u64);
    let mut take = |key: &str| match fields.remove(key) {
        Some(serde_json::Value::String(text)) => Some(text),
        _ => None,
    };
    let (message, code, port, key) = (take("message"), take("code"), take("port"), take("key"));
    Report { message: message.unwrap_or(text), code, port, key, index }
}

/// Why wasmtime gave up.
fn stopped(error: &wasmtime::Error, limits: &Limits) -> CallError {
    match error.downcast_ref::<Stop>() {
        Some(Stop::Cpu) => return CallError::Cpu(limits.cpu),
        Some(Stop::Wall) => return CallError::Wall(limits.wall),
        Some(Stop::Cancelled) => return CallError::Cancelled,
        Some(Stop::Memory) => return CallError::Memory(limits.memory_bytes),
        Some(Stop::Limit(kind)) => {
            let limit = if *kind == LimitKind::TableElements { limits.table_elements } else { limits.host_call_bytes };
            return CallError::Limit { kind: *kind, limit: limit as u64 };
        }
        Some(stop @ (Stop::Exit(_) | Stop::Denied(_))) => return CallError::Trap(stop.to_string()),
        None => {}
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return CallError::Trap(trap.to_string());
    }
    // wasmtime has no type for this one; a test keeps the text honest.
    if chain(error).contains(HOST_CALL_FUEL) {
        return CallError::Limit { kind: LimitKind::HostCallBytes, limit: limits.host_call_bytes as u64 };
    }
    CallError::Trap(chain(error))
}

const HOST_CALL_FUEL: &str = "fuel allocated for hostcalls has been exhausted";

/// A guest that panics prints why to standard error and executes `unreachable`: the text belongs to the trap.
fn with_last_words(error: CallError, logs: &Logs) -> CallError {
    let CallError::Trap(reason) = error else { return error };
    let printed = logs.lines.iter().filter(|line| line.level == Level::Warn).map(|line| line.message.trim());
    // Rust's panic message: where, what, and a note that does not help here.
    let words: Vec<_> = printed.filter(|line| !line.is_empty() && !line.starts_with("note: ")).collect();
    let last = &words[words.len().saturating_sub(4)..];
    CallError::Trap(if last.is_empty() { reason } else { format!("{reason} (standard error: {})", last.join(" ")) })
}

#[cfg(test)]
mod tests {
    use super::{Report, report};

    #[test]
    fn reports() {
        let plain = |message: &str| Report { message: message.to_owned(), ..Report::default() };
        let cases = [
            ("no such class", plain("no such class")),
            ("42", plain("42")),
            (
                r#"{"code":"not_comparable","message":"cannot compare","port":"value","index":3}"#,
                Report {
                    code: Some("not_comparable".to_owned()),
                    port: Some("value".to_owned()),
                    index: Some(3),
                    ..plain("cannot compare")
                },
            ),
            (r#"{"port":7}"#, plain(r#"{"port":7}"#)),
        ];
        for (text, expected) in cases {
            assert_eq!(report(text.to_owned()), expected, "{text}");
        }
    }
}
