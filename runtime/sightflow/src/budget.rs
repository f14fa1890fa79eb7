//! How much memory this process may take on other people's word.

use std::path::Path;

use anyhow::{Result, ensure};
use sightflow_memory::MemoryPool;

/// What is left when nothing says how much memory there is.
const FALLBACK: u64 = 2 << 30;
/// Below this hardly a picture fits.
const LEAST: u64 = 256 << 20;

/// Sizes the process's memory pool: as asked, or half of what the machine or its control group allows. Answers its size.
///
/// # Errors
/// When the pool has another size already, because somebody took bytes from it before.
pub(crate) fn configure(asked: Option<u64>) -> Result<u64> {
    let wanted = asked.unwrap_or_else(default_budget);
    let present = if MemoryPool::configure_process(wanted) { wanted } else { MemoryPool::process().capacity() };
    ensure!(present == wanted, "the memory budget is {present} bytes already, so it cannot become {wanted}");
    Ok(wanted)
}

fn default_budget() -> u64 {
    let machine = read("/proc/meminfo").and_then(|text| memory_total(&text));
    let group = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok());
    let all = [machine, group].into_iter().flatten().min();
    all.map_or(FALLBACK, |bytes| (bytes / 2).max(LEAST))
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// Bytes of memory from `/proc/meminfo`.
fn memory_total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// Reads a size: bytes, or a number with `KiB`, `MiB` or `GiB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let expected = || format!("expected at least {} MiB, for example 8GiB", LEAST >> 20);
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let shift = match unit.trim() {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err(expected()),
    };
    let number: u64 = number.parse().map_err(|_| expected())?;
    number.checked_mul(1 << shift).filter(|&bytes| bytes >= LEAST).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::{memory_total, size};

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("1073741824", Some(1 << 30)),
            ("8GiB", Some(8 << 30)),
            ("512 MiB", Some(512 << 20)),
            ("524288KiB", Some(512 << 20)),
            ("1MiB", None),
            ("8GB", None),
            ("", None),
            ("-1", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(size(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn the_machine_says_how_much_there_is() {
        assert_eq!(memory_total("MemTotal:       24600000 kB\nMemFree:  1 kB\n"), Some(24_600_000 << 10));
        assert_eq!(memory_total("nothing"), None);
    }
}
