//! The same behaviour over every kind of store.

use sightflow_blobs::{BlobError, BlobStore, digest_of};
use sightflow_types::Digest;

fn stores() -> (tempfile::TempDir, Vec<BlobStore>) {
    let directory = tempfile::tempdir().unwrap();
    let stores = vec![BlobStore::open_directory(directory.path().join("blobs")).unwrap(), BlobStore::in_memory()];
    (directory, stores)
}

/// Below and above the size at which hashing changes threads.
fn payloads() -> [Vec<u8>; 4] {
    [vec![], b"abc".to_vec(), vec![7; 1000], (0..600_000u32).map(|i| i as u8).collect()]
}

#[test]
fn digests_are_sha_256() {
    let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(digest_of(b"abc").to_string(), abc);
}

#[tokio::test]
async fn what_is_put_comes_back() {
    let (_directory, stores) = stores();
    for blobs in stores {
        for bytes in payloads() {
            let digest = blobs.put(bytes.clone().into()).await.unwrap();
            assert_eq!(digest, digest_of(&bytes));
            assert_eq!(blobs.put(bytes.clone().into()).await.unwrap(), digest, "again");
            assert_eq!(blobs.get(&digest).await.unwrap(), bytes);
            assert_eq!(blobs.size(&digest).await.unwrap(), bytes.len() as u64);
            blobs.delete(&digest).await.unwrap();
            blobs.delete(&digest).await.unwrap();
            assert!(!blobs.exists(&digest).await.unwrap());
        }
    }
}

#[tokio::test]
async fn a_missing_blob_is_a_typed_error() {
    let (_directory, stores) = stores();
    let nobody = Digest::from_bytes([9; 32]);
    for blobs in stores {
        assert!(matches!(blobs.get(&nobody).await, Err(BlobError::NotFound(d)) if d == nobody));
        assert!(matches!(blobs.size(&nobody).await, Err(BlobError::NotFound(d)) if d == nobody));
        assert!(matches!(blobs.get_range(&nobody, 0..1).await, Err(BlobError::NotFound(d)) if d == nobody));
    }
}

#[tokio::test]
async fn ranges_are_checked() {
    let (_directory, stores) = stores();
    for blobs in stores {
        let digest = blobs.put("0123456789".into()).await.unwrap();
        for (range, expected) in [
            (0..10, Some("0123456789")),
            (3..5, Some("34")),
            (9..10, Some("9")),
            (0..11, None),
            (5..5, None),
            (20..30, None),
        ] {
            match blobs.get_range(&digest, range.clone()).await {
                Ok(bytes) => assert_eq!(Some(bytes), expected.map(Into::into), "{range:?}"),
                Err(BlobError::Range { size: 10, .. }) => assert_eq!(expected, None, "{range:?}"),
                Err(other) => panic!("{range:?}: {other}"),
            }
        }
    }
}

#[tokio::test]
async fn files_fan_out_and_nothing_else_stays() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = BlobStore::open_directory(directory.path()).unwrap();
    let digest = blobs.put("abc".into()).await.unwrap();
    blobs.check_writable().await.unwrap();
    let hex = digest.hex();
    assert_eq!(std::fs::read(directory.path().join(&hex[..2]).join(&hex[2..])).unwrap(), b"abc");
    let folder: Vec<_> = std::fs::read_dir(directory.path().join(&hex[..2])).unwrap().collect();
    assert_eq!(folder.len(), 1, "no staging file stays behind");
}

#[tokio::test]
async fn damage_is_found_and_mended() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = BlobStore::open_directory(directory.path()).unwrap();
    let digest = blobs.put("abc".into()).await.unwrap();
    let hex = digest.hex();
    let file = directory.path().join(&hex[..2]).join(&hex[2..]);
    std::fs::write(&file, "abd").unwrap();
    assert!(matches!(blobs.get(&digest).await, Err(BlobError::Damaged { found, .. }) if found == digest_of(b"abd")));
    for damage in ["abd", "a", ""] {
        std::fs::write(&file, damage).unwrap();
        assert_eq!(blobs.put("abc".into()).await.unwrap(), digest, "{damage}");
        assert_eq!(blobs.get(&digest).await.unwrap(), "abc", "{damage}");
    }
}

#[tokio::test]
async fn old_bytes_are_listed_and_the_remains_of_writes_removed() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = BlobStore::open_directory(directory.path()).unwrap();
    let (old, young) = (digest_of(b"abc"), digest_of(b"young"));
    let hour = std::time::Duration::from_secs(3600);
    for bytes in ["abc", "young"] {
        blobs.put(bytes.into()).await.unwrap();
    }
    let path = |digest: &Digest| directory.path().join(&digest.hex()[..2]).join(&digest.hex()[2..]);
    let staged = path(&old).with_extension("").to_string_lossy().into_owned() + "#1";
    std::fs::write(&staged, "half").unwrap();
    let before = std::time::SystemTime::now() - 2 * hour;
    for file in [path(&old), staged.clone().into()] {
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(before).unwrap();
    }
    let mut found = Vec::new();
    for folder in 0..=u8::MAX {
        found.extend(blobs.written_before(folder, hour).await.unwrap());
    }
    assert_eq!(found, [old]);
    assert!(!std::path::Path::new(&staged).exists());
    assert!(blobs.exists(&young).await.unwrap());
    let memory = BlobStore::in_memory();
    memory.put("abc".into()).await.unwrap();
    assert_eq!(memory.written_before(0xba, std::time::Duration::ZERO).await.unwrap(), [old]);
}

#[cfg(unix)]
#[tokio::test]
async fn directories_and_files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("data/blobs");
    let blobs = BlobStore::open_directory(&root).unwrap();
    let digest = blobs.put("abc".into()).await.unwrap();
    let folder = root.join(&digest.hex()[..2]);
    for (path, expected) in [(root.clone(), 0o700), (folder.clone(), 0o700), (folder.join(&digest.hex()[2..]), 0o600)] {
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, expected, "{}", path.display());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_put_the_same_bytes_at_once() {
    let (_directory, stores) = stores();
    for blobs in stores {
        let bytes = vec![5u8; 100_000];
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let (blobs, bytes) = (blobs.clone(), bytes.clone());
                tokio::spawn(async move { blobs.put(bytes.into()).await.unwrap() })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), digest_of(&bytes));
        }
        assert_eq!(blobs.get(&digest_of(&bytes)).await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_file_is_no_directory() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(
        matches!(BlobStore::open_directory(file.path()), Err(BlobError::Directory { path, .. }) if path == file.path())
    );
}

#[tokio::test]
async fn a_store_that_went_away_is_not_writable() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = BlobStore::open_directory(directory.path().join("blobs")).unwrap();
    blobs.check_writable().await.unwrap();
    // A file where the folder of the checks would be made.
    std::fs::remove_dir_all(directory.path().join("blobs")).unwrap();
    std::fs::write(directory.path().join("blobs"), "").unwrap();
    assert!(matches!(blobs.check_writable().await, Err(BlobError::Store { action: "write", .. })));
}
