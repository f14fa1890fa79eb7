//! The WASI that grants nothing, for what a language's standard library imports.
//!
//! No environment, arguments, files or sockets. Clocks stand still at zero and waiting is over at once, so no guest can
//! block a host thread. Random numbers come from a generator seeded with zero. Standard output and error go to the
//! call's log. Every other function answers `access-denied` where its type allows it and traps where it does not.

use wasmtime::StoreContextMut;
use wasmtime::component::types::ComponentFunc;
use wasmtime::component::{ComponentType, LinkerInstance, Lower, Resource, ResourceType, Type, Val};

use super::log_buffer::Stream;
use super::state::CallState;
use super::stop::Stop;

/// The interfaces that a block may import, without versions.
pub(crate) const INTERFACES: [&str; 6] =
    ["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:io", "wasi:random", "wasi:sockets"];
/// [`INTERFACES`] for messages.
pub(crate) const ALLOWED: &str = "cli, clocks, filesystem, io, random, sockets";

type Cx<'a> = StoreContextMut<'a, CallState>;
type Answer<T> = wasmtime::Result<(T,)>;

/// Something to wait for; always ready. Carries no state: its representation is 0.
struct Pollable;
/// Standard input; always at its end.
struct InputStream;
/// Standard output (representation 0) or standard error (1).
struct OutputStream;
/// A resource of which no instance can come to be, or whose every use is refused.
struct Denied;

#[derive(ComponentType, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    #[expect(dead_code, reason = "a case of the interface that never happens here")]
    LastOperationFailed(Resource<Denied>),
    #[component(name = "closed")]
    Closed,
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

/// Bytes that one `write` may carry; what wasi-libc passes at once is far less.
const WRITE_ROOM: u64 = 1 << 20;

/// The host type of a resource.
pub(super) fn resource(linker: &mut LinkerInstance<'_, CallState>, name: &str) -> wasmtime::Result<()> {
    let ty = match name {
        "pollable" => ResourceType::host::<Pollable>(),
        "input-stream" => ResourceType::host::<InputStream>(),
        "output-stream" => ResourceType::host::<OutputStream>(),
        _ => ResourceType::host::<Denied>(),
    };
    linker.resource(name, ty, |_, _| Ok(()))
}

/// Defines one function of `interface` (without its version).
pub(super) fn function(
    linker: &mut LinkerInstance<'_, CallState>,
    interface: &str,
    name: &str,
) -> wasmtime::Result<()> {
    match (interface, name) {
        ("wasi:cli/environment", "get-environment") => {
            linker.func_wrap(name, |_: Cx<'_>, (): ()| -> Answer<Vec<(String, String)>> { Ok((Vec::new(),)) })
        }
        ("wasi:cli/environment", "get-arguments") => {
            linker.func_wrap(name, |_: Cx<'_>, (): ()| -> Answer<Vec<String>> { Ok((Vec::new(),)) })
        }
        ("wasi:cli/environment", "initial-cwd") => {
            linker.func_wrap(name, |_: Cx<'_>, (): ()| -> Answer<Option<String>> { Ok((None,)) })
        }
        ("wasi:cli/exit", "exit") => {
            linker.func_wrap(name, |_: Cx<'_>, (status,): (Result<(), ()>,)| -> wasmtime::Result<()> {
                Err(wasmtime::Error::new(Stop::Exit(u8::from(status.is_err()))))
            })
        }
        ("wasi:cli/exit", "exit-with-code") => linker
            .func_wrap(name, |_: Cx<'_>, (status,): (u8,)| -> wasmtime::Result<()> {
                Err(wasmtime::Error::new(Stop::Exit(status)))
            }),
        ("wasi:cli/stdin", "get-stdin") => {
            linker.func_wrap(name, |_: Cx<'_>, (): ()| -> Answer<Resource<InputStream>> { Ok((Resource::new_own(0),)) })
        }
        ("wasi:cli/stdout", "get-stdout") => standard_stream(linker, name, Stream::Out),
        ("wasi:cli/stderr", "get-stderr") => standard_stream(linker, name, Stream::Err),
        ("wasi:cli/terminal-stdin" | "wasi:cli/terminal-stdout" | "wasi:cli/terminal-stderr", _) => {
            linker.func_wrap(name, |_: Cx<'_>, (): ()| -> Answer<Option<Resource<Denied>>> { Ok((None,)) })
        }
        ("wasi:filesystem/preopens", "get-directories") => {
            linker.func_wrap(name, |_: Cx<'_>, (): ()| -> Answer<Vec<(Resource<Denied>, String)>> { Ok((Vec::new(),)) })
        }
        ("wasi:sockets/instance-network", "instance-network") => {
            linker.func_wrap(name, |_: Cx<'_>, (): ()| -> Answer<Resource<Denied>> { Ok((Resource::new_own(0),)) })
        }
        ("wasi:io/poll", _) => poll(linker, name),
        ("wasi:io/streams", _) => streams(linker, name),
        ("wasi:clocks/monotonic-clock" | "wasi:clocks/wall-clock", _) => clocks(linker, interface, name),
        ("wasi:random/random" | "wasi:random/insecure" | "wasi:random/insecure-seed", _) => {
            random(linker, interface, name)
        }
        _ => denied(linker, interface, name),
    }
}

fn standard_stream(linker: &mut LinkerInstance<'_, CallState>, name: &str, stream: Stream) -> wasmtime::Result<()> {
    linker.func_wrap(name, move |_: Cx<'_>, (): ()| -> Answer<Resource<OutputStream>> {
        Ok((Resource::new_own(stream as u32),))
    })
}

fn poll(linker: &mut LinkerInstance<'_, CallState>, name: &str) -> wasmtime::Result<()> {
    match name {
        "[method]pollable.ready" => {
            linker.func_wrap(name, |_: Cx<'_>, (_,): (Resource<Pollable>,)| -> Answer<bool> { Ok((true,)) })
        }
        "[method]pollable.block" => linker.func_wrap(name, |_: Cx<'_>, (_,): (Resource<Pollable>,)| Ok(())),
        "poll" => linker.func_wrap(name, |_: Cx<'_>, (list,): (Vec<Resource<Pollable>>,)| -> Answer<Vec<u32>> {
            Ok(((0u32..).zip(&list).map(|(index, _)| index).collect(),))
        }),
        _ => denied(linker, "wasi:io/poll", name),
    }
}

fn streams(linker: &mut LinkerInstance<'_, CallState>, name: &str) -> wasmtime::Result<()> {
    type Out = Resource<OutputStream>;
    type In = Resource<InputStream>;
    type Wrote = Answer<Result<(), StreamError>>;
    match name {
        "[method]input-stream.read" | "[method]input-stream.blocking-read" => linker
            .func_wrap(name, |_: Cx<'_>, (_, _): (In, u64)| -> Answer<Result<Vec<u8>, StreamError>> {
                Ok((Err(StreamError::Closed),))
            }),
        "[method]input-stream.skip" | "[method]input-stream.blocking-skip" => linker
            .func_wrap(name, |_: Cx<'_>, (_, _): (In, u64)| -> Answer<Result<u64, StreamError>> {
                Ok((Err(StreamError::Closed),))
            }),
        "[method]input-stream.subscribe" => linker
            .func_wrap(name, |_: Cx<'_>, (_,): (In,)| -> Answer<Resource<Pollable>> { Ok((Resource::new_own(0),)) }),
        "[method]output-stream.subscribe" => linker
            .func_wrap(name, |_: Cx<'_>, (_,): (Out,)| -> Answer<Resource<Pollable>> { Ok((Resource::new_own(0),)) }),
        "[method]output-stream.check-write" => linker
            .func_wrap(name, |_: Cx<'_>, (_,): (Out,)| -> Answer<Result<u64, StreamError>> { Ok((Ok(WRITE_ROOM),)) }),
        "[method]output-stream.write" | "[method]output-stream.blocking-write-and-flush" => {
            linker.func_wrap(name, |mut cx: Cx<'_>, (stream, bytes): (Out, Vec<u8>)| -> Wrote {
                let stream = if stream.rep() == Stream::Err as u32 { Stream::Err } else { Stream::Out };
                cx.data_mut().log.print(stream, &bytes);
                Ok((Ok(()),))
            })
        }
        "[method]output-stream.flush" | "[method]output-stream.blocking-flush" => {
            linker.func_wrap(name, |_: Cx<'_>, (_,): (Out,)| -> Wrote { Ok((Ok(()),)) })
        }
        "[method]output-stream.write-zeroes" | "[method]output-stream.blocking-write-zeroes-and-flush" => {
            linker.func_wrap(name, |_: Cx<'_>, (_, _): (Out, u64)| -> Wrote { Ok((Err(StreamError::Closed),)) })
        }
        "[method]output-stream.splice" | "[method]output-stream.blocking-splice" => {
            linker.func_wrap(name, |_: Cx<'_>, (_, _, _): (Out, In, u64)| -> Answer<Result<u64, StreamError>> {
                Ok((Err(StreamError::Closed),))
            })
        }
        _ => denied(linker, "wasi:io/streams", name),
    }
}

fn clocks(linker: &mut LinkerInstance<'_, CallState>, interface: &str, name: &str) -> wasmtime::Result<()> {
    match (interface, name) {
        ("wasi:clocks/monotonic-clock", "now") => {
            linker.func_wrap(name, |_: Cx<'_>, (): ()| -> Answer<u64> { Ok((0,)) })
        }
        ("wasi:clocks/monotonic-clock", "resolution") => {
            linker.func_wrap(name, |_: Cx<'_>, (): ()| -> Answer<u64> { Ok((1,)) })
        }
        ("wasi:clocks/monotonic-clock", "subscribe-instant" | "subscribe-duration") => linker
            .func_wrap(name, |_: Cx<'_>, (_,): (u64,)| -> Answer<Resource<Pollable>> { Ok((Resource::new_own(0),)) }),
        ("wasi:clocks/wall-clock", "now") => linker.func_wrap(name, |_: Cx<'_>, (): ()| -> Answer<Datetime> {
            Ok((Datetime { seconds: 0, nanoseconds: 0 },))
        }),
        ("wasi:clocks/wall-clock", "resolution") => linker.func_wrap(name, |_: Cx<'_>, (): ()| -> Answer<Datetime> {
            Ok((Datetime { seconds: 0, nanoseconds: 1 },))
        }),
        _ => denied(linker, interface, name),
    }
}

fn random(linker: &mut LinkerInstance<'_, CallState>, interface: &str, name: &str) -> wasmtime::Result<()> {
    match name {
        "get-random-u64" | "get-insecure-random-u64" => {
            linker.func_wrap(name, |mut cx: Cx<'_>, (): ()| -> Answer<u64> { Ok((cx.data_mut().next_random(),)) })
        }
        "get-random-bytes" | "get-insecure-random-bytes" => {
            linker.func_wrap(name, |mut cx: Cx<'_>, (length,): (u64,)| -> Answer<Vec<u8>> {
                let state = cx.data_mut();
                let length = usize::try_from(length).ok().filter(|length| *length <= MOST_RANDOM_BYTES);
                let length = length.ok_or_else(|| {
                    wasmtime::Error::new(Stop::Denied("more than 1 MiB of random bytes at once".to_owned()))
                })?;
                let mut bytes = Vec::with_capacity(length + 8);
                while bytes.len() < length {
                    bytes.extend_from_slice(&state.next_random().to_le_bytes());
                }
                bytes.truncate(length);
                Ok((bytes,))
            })
        }
        "insecure-seed" | "get-insecure-seed" => {
            linker.func_wrap(name, |_: Cx<'_>, (): ()| -> Answer<(u64, u64)> { Ok(((0, 0),)) })
        }
        _ => denied(linker, interface, name),
    }
}

/// A host allocation on a guest's word is bounded.
const MOST_RANDOM_BYTES: usize = 1 << 20;

/// A function that answers `access-denied` where its type has such an answer, and traps where it has not.
fn denied(linker: &mut LinkerInstance<'_, CallState>, interface: &str, name: &str) -> wasmtime::Result<()> {
    let what = format!("{interface}#{name}");
    linker.func_new(name, move |_, ty: ComponentFunc, _, results| {
        let refusal = ty.results().next().and_then(|result| refusal(&result));
        match (refusal, results.first_mut()) {
            (Some(refusal), Some(result)) => {
                *result = refusal;
                Ok(())
            }
            _ => Err(wasmtime::Error::new(Stop::Denied(what.clone()))),
        }
    })
}

fn refusal(result: &Type) -> Option<Val> {
    let Type::Result(result) = result else { return None };
    let Some(Type::Enum(codes)) = result.err() else { return None };
    let code = ["access-denied", "access", "not-supported"]
        .into_iter()
        .find(|code| codes.names().any(|name| name == *code))?;
    Some(Val::Result(Err(Some(Box::new(Val::Enum(code.to_owned()))))))
}
