//! Files that somebody names: read within bounds, and only where reading ends.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Bytes of a definition or a list at most.
pub(crate) const MOST_TEXT: u64 = 4 << 20;
/// Bytes of a picture at most, as over HTTP.
pub(crate) const MOST_PICTURE: u64 = 50 << 20;
/// Bytes of a model at most.
pub(crate) const MOST_MODEL: u64 = 4 << 30;

/// The bytes of a file.
///
/// # Errors
/// It is not there, is no regular file (a pipe or a device may never end), is longer than `most`, or cannot be read.
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    let cannot_read = || format!("cannot read {}", path.display());
    let about = std::fs::metadata(path).with_context(cannot_read)?;
    if !about.is_file() {
        bail!("cannot read {}: it is no regular file", path.display());
    }
    let file = std::fs::File::open(path).with_context(cannot_read)?;
    let mut bytes = Vec::new();
    // Its length may be another by now.
    file.take(most + 1).read_to_end(&mut bytes).with_context(cannot_read)?;
    if bytes.len() as u64 > most {
        bail!("cannot read {}: it is longer than {most} bytes", path.display());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ends_is_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("file");
        std::fs::write(&file, "12345").expect("written");
        assert_eq!(read(&file, 5).expect("fits"), b"12345");
        let reason = |path: &Path, most| format!("{:#}", read(path, most).expect_err("refused"));
        assert!(reason(&file, 4).ends_with("it is longer than 4 bytes"));
        assert!(reason(&directory.path().join("none"), 4).contains("No such file"));
        assert!(reason(directory.path(), 4).ends_with("it is no regular file"));
        #[cfg(unix)]
        {
            assert!(reason(Path::new("/dev/zero"), 4).ends_with("it is no regular file"));
            let pipe = directory.path().join("pipe");
            assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
            assert!(reason(&pipe, 4).ends_with("it is no regular file"), "and does not wait for a writer");
        }
    }
}
