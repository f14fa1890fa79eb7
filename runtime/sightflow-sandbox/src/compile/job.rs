//! The child's side: limits first, then one component from standard input to machine code on standard output.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::ExitCode;

use rustix::process::{Pid, Resource, Rlimit, Signal, getppid, set_parent_process_death_signal, setrlimit};
use serde::{Deserialize, Serialize};

use crate::native::Native;
use crate::{Allocation, MAX_PACKAGE_BYTES, engine};

/// What the parent says before it sends the component: one line of JSON.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Job {
    /// Which engine the code is for.
    pub(super) pooled: bool,
    /// Address space of the process.
    pub(super) memory_bytes: u64,
    /// Processor time.
    pub(super) cpu_seconds: u64,
    /// Process id of the parent.
    pub(super) parent: u32,
}

/// Exit status of a component that the compiler refuses; standard error says why.
pub(super) const REFUSED: u8 = 65;
/// Bytes of the line.
const LINE: u64 = 1 << 10;

/// Compiles one component: what the program of a [`ChildCompiler`](crate::ChildCompiler) does. The job and the component
/// come from standard input, the machine code goes to standard output. Takes limits on this process that stay.
#[must_use]
pub fn compile_component() -> ExitCode {
    let mut input = BufReader::new(std::io::stdin().lock());
    let done = read_job(&mut input).and_then(|job| {
        confine(job)?;
        compile(job, &mut input)
    });
    match done {
        Ok(Ok(code)) => {
            let mut output = std::io::stdout().lock();
            if output.write_all(code.bytes()).and_then(|()| output.flush()).is_ok() { 0.into() } else { 1.into() }
        }
        Ok(Err(refusal)) => said(&refusal, REFUSED),
        Err(failure) => said(&failure.to_string(), 1),
    }
}

fn said(words: &str, status: u8) -> ExitCode {
    // The parent reads the status; where it does not listen any more, there is nobody to tell.
    let _ = std::io::stderr().write_all(words.as_bytes());
    status.into()
}

fn read_job(input: &mut impl BufRead) -> std::io::Result<Job> {
    let mut line = Vec::new();
    input.take(LINE).read_until(b'\n', &mut line)?;
    Ok(serde_json::from_slice(&line)?)
}

/// Limits that this process cannot lift again. It ends with its parent: nobody would read what it compiles.
fn confine(job: Job) -> std::io::Result<()> {
    // Sent when the thread ends that started this process; that thread waits for it.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid().map(Pid::as_raw_nonzero).is_none_or(|parent| parent.get().unsigned_abs() != job.parent) {
        return Err(std::io::Error::other("the parent is gone"));
    }
    let limits = [
        (Resource::As, job.memory_bytes, job.memory_bytes),
        // The first ends it by a signal that says why; the second by one that could have other reasons.
        (Resource::Cpu, job.cpu_seconds, job.cpu_seconds + 1),
        // It writes to a pipe and to nothing else.
        (Resource::Fsize, 0, 0),
        (Resource::Core, 0, 0),
    ];
    for (resource, soft, hard) in limits {
        setrlimit(resource, Rlimit { current: Some(soft), maximum: Some(hard) })?;
    }
    Ok(())
}

fn compile(job: Job, input: &mut impl Read) -> std::io::Result<Result<Native, String>> {
    let mut component = Vec::new();
    input.take(MAX_PACKAGE_BYTES as u64).read_to_end(&mut component)?;
    let allocation = if job.pooled { Allocation::Pooled } else { Allocation::OnDemand };
    let engine = engine::compile_only(allocation).map_err(std::io::Error::other)?;
    Ok(Native::compile(&engine, &component))
}
