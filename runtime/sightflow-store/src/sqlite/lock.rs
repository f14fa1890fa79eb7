//! One process per database file.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::private::private;
use crate::error::{Result, StoreError};

/// An exclusive lock on `<database>.lock`, which holds the owner's process id. The system releases it when the process
/// dies, however it dies.
pub(super) struct FileLock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl FileLock {
    /// Takes the lock, or says which process has it.
    pub(super) fn acquire(database: &Path) -> Result<Self> {
        let mut path = database.as_os_str().to_owned();
        path.push(".lock");
        let mut file = private()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(StoreError::unavailable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut process = String::new();
                // Best effort: the message is useful without the number.
                let _ = file.read_to_string(&mut process);
                let process = if process.trim().is_empty() { "unknown".to_owned() } else { process.trim().to_owned() };
                return Err(StoreError::Locked { path: database.display().to_string(), process });
            }
            Err(TryLockError::Error(error)) => return Err(StoreError::unavailable(error)),
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(StoreError::unavailable)?;
        Ok(Self(file))
    }
}
