//! The directory that holds blobs: its modes, and what interrupted writes leave in it.

use std::fs::{DirBuilder, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Makes the directory and its 256 folders, for their owner alone. That no write has to make one spares it two
/// synchronisations.
pub(crate) fn create(root: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(root)?;
    for folder in 0..=u8::MAX {
        builder.create(root.join(format!("{folder:02x}")))?;
    }
    File::open(root)?.sync_all()
}

/// Takes a file away from everybody but its owner.
pub(crate) fn close_to_others(file: &Path) -> io::Result<()> {
    #[cfg(unix)]
    std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

/// Removes staged files (`name#1`) that were written at least `age` ago: their writer is gone.
pub(crate) async fn remove_remains(folder: &Path, age: Duration) -> io::Result<()> {
    let folder: PathBuf = folder.to_owned();
    let remove = move || {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let staged = entry.file_name().to_string_lossy().contains('#');
            if staged && entry.metadata()?.modified()?.elapsed().is_ok_and(|elapsed| elapsed >= age) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    };
    // The task can only fail with the runtime that it runs on.
    tokio::task::spawn_blocking(remove).await.unwrap_or(Ok(()))
}
