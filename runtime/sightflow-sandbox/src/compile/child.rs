//! The parent's side: starts the child, feeds it, listens, and ends it when its time is over.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::job::{Job, REFUSED};
use super::refusal;
use crate::native::Native;
use crate::{Allocation, ChildCompiler, CompileLimits, LoadError};

/// Bytes of the child's complaint that are read.
const COMPLAINT: u64 = 16 << 10;
/// How often the parent looks whether the child is done.
const LOOK: Duration = Duration::from_millis(5);

/// Compiles a component in a child.
pub(super) fn compile(compiler: &ChildCompiler, allocation: Allocation, component: &[u8]) -> Result<Native, LoadError> {
    let limits = &compiler.limits;
    let mut child = Command::new(&compiler.program)
        .args(&compiler.args)
        // Nothing of this process: no variables, no working directory, no descriptors but three pipes.
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            LoadError::Host(format!("the compiler {} does not start: {error}", compiler.program.display()))
        })?;
    let job = Job {
        pooled: allocation == Allocation::Pooled,
        memory_bytes: limits.memory_bytes,
        cpu_seconds: limits.cpu.as_secs().max(1),
        parent: std::process::id(),
    };
    let Ended { status, code, complaint } = talk(&mut child, job, component, limits)?;
    let words = match status {
        None => format!("compiling took longer than {} s", limits.wall.as_secs()),
        Some(_) if code.len() as u64 > limits.code_bytes => {
            format!("the component becomes more than {} MiB of machine code", limits.code_bytes >> 20)
        }
        Some(status) if status.success() => return Ok(Native::from_child(code)),
        Some(status) if status.code() == Some(i32::from(REFUSED)) => {
            format!("the compiler refuses the component: {complaint}")
        }
        Some(status) => match status.signal() {
            Some(SIGXCPU) => {
                format!("compiling used more than {} s of processor time", job.cpu_seconds)
            }
            Some(SIGABRT | SIGSEGV | SIGBUS | SIGTRAP | SIGILL) => {
                format!("compiling needed more than {} MiB of memory, or broke the compiler", limits.memory_bytes >> 20)
            }
            _ => return Err(LoadError::Host(format!("the compiler failed ({status}): {complaint}"))),
        },
    };
    Err(LoadError::Refused(refusal(&words)))
}

// Their numbers are the same on every Linux that wasmtime has a compiler for.
const SIGILL: i32 = 4;
const SIGTRAP: i32 = 5;
const SIGABRT: i32 = 6;
const SIGBUS: i32 = 7;
const SIGSEGV: i32 = 11;
const SIGXCPU: i32 = 24;

/// What became of a child.
struct Ended {
    /// None: it was ended, because its time was over.
    status: Option<ExitStatus>,
    /// No more than one byte beyond the limit.
    code: Vec<u8>,
    complaint: String,
}

fn talk(child: &mut Child, job: Job, component: &[u8], limits: &CompileLimits) -> Result<Ended, LoadError> {
    let failed = |error: std::io::Error| LoadError::Host(format!("the compiler cannot be talked to: {error}"));
    let mut line = serde_json::to_vec(&job).map_err(|error| failed(error.into()))?;
    line.push(b'\n');
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let read = |pipe: Option<Box<dyn Read + Send>>, most: u64| {
        let mut bytes = Vec::new();
        // A child that ends leaves what it had written; more is not wanted.
        let _ = pipe.map(|pipe| pipe.take(most).read_to_end(&mut bytes));
        bytes
    };
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // Dropped at its end, so that the child sees the end of the component. A child that stopped reading says why.
            let _ = stdin.map(|mut pipe| pipe.write_all(&line).and_then(|()| pipe.write_all(component)));
        });
        let code = scope.spawn(move || read(stdout.map(|pipe| Box::new(pipe) as _), limits.code_bytes + 1));
        let complaint = scope.spawn(move || read(stderr.map(|pipe| Box::new(pipe) as _), COMPLAINT));
        let status = wait(child, limits.wall).map_err(failed);
        let code = code.join().unwrap_or_default();
        let complaint = String::from_utf8_lossy(&complaint.join().unwrap_or_default()).into_owned();
        Ok(Ended { status: status?, code, complaint })
    })
}

/// Waits for the child's end; ends it when the time is over.
fn wait(child: &mut Child, wall: Duration) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + wall;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}
