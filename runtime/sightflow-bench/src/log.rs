//! What a run writes: commits and pages in the database's write-ahead log.
//!
//! The format is SQLite's (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>): a header of 32 bytes, then frames
//! of a header of 24 bytes and a page. A frame that ends a commit says how many pages the database has after it.

use std::path::Path;

use anyhow::{Context, Result};

/// What stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Log {
    /// Changes whenever the log starts again.
    generation: u64,
    pub(crate) commits: u64,
    pub(crate) pages: u64,
}

impl Log {
    /// Reads the log beside a database.
    pub(crate) fn of(database: &Path) -> Result<Self> {
        let mut name = database.as_os_str().to_owned();
        name.push("-wal");
        let bytes = std::fs::read(&name)?;
        let header = bytes.get(..32).context("a log without a header")?;
        let number = |bytes: &[u8], at: usize| -> u64 {
            bytes[at..at + 4].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
        };
        let generation = |bytes: &[u8], at: usize| number(bytes, at) << 32 | number(bytes, at + 4);
        let mut log = Self { generation: generation(header, 16), commits: 0, pages: 0 };
        for frame in bytes[32..].chunks_exact(24 + number(header, 8) as usize) {
            // What follows is left from before the log started again.
            if generation(frame, 8) != log.generation {
                break;
            }
            log.pages += 1;
            log.commits += u64::from(number(frame, 4) != 0);
        }
        Ok(log)
    }

    /// What was written since `before`; none if the log started again in between.
    pub(crate) fn since(self, before: Self) -> Option<Self> {
        (self.generation == before.generation).then(|| Self {
            generation: self.generation,
            commits: self.commits - before.commits,
            pages: self.pages - before.pages,
        })
    }
}
