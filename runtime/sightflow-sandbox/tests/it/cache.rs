//! The cache of compiled code: used when it is ours, ignored when it is not.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sightflow_sandbox::{Sandbox, SandboxConfig};

use crate::guests::{component, config, temporary, version};

fn load(cache: &Path) {
    let sandbox = Sandbox::new(&SandboxConfig { cache: Some(cache.to_owned()), ..config() }).expect("a sandbox");
    let package = sandbox.load("test/hostile", &version(), component()).expect("loads");
    assert_eq!(package.manifests().len(), 45);
}

fn entries(cache: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(cache).expect("a directory").map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.file_name().is_some_and(|name| name != "key")).collect()
}

fn inode(path: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).expect("the entry"))
}

/// Loading again leaves an entry alone that was used, and replaces one that was not.
#[test]
fn only_what_this_installation_wrote_is_used() {
    let (_directory, cache) = temporary();
    load(&cache);
    let [entry] = &entries(&cache)[..] else { panic!("one entry") };
    let original = std::fs::read(entry).expect("compiled code");
    let first = inode(entry);
    load(&cache);
    assert_eq!(inode(entry), first, "used, not written again");

    let changed = |index: usize| {
        let mut bytes = original.clone();
        bytes[index] ^= 1;
        bytes
    };
    let cases = [changed(0), changed(32), changed(original.len() - 1), original[..40].to_vec(), Vec::new()];
    for tampered in cases {
        std::fs::write(entry, &tampered).expect("written");
        load(&cache);
        assert_eq!(std::fs::read(entry).expect("compiled code").len(), original.len(), "compiled anew");
        assert_ne!(std::fs::read(entry).expect("compiled code"), tampered);
    }

    // An entry under another component's name, and one of another installation.
    let foreign = entry.with_file_name("0".repeat(64) + &entry.file_name().expect("a name").to_string_lossy()[64..]);
    std::fs::rename(entry, &foreign).expect("renamed");
    let (_other_directory, other) = temporary();
    load(&other);
    std::fs::copy(&entries(&other)[0], entry).expect("copied");
    let brought = inode(entry);
    load(&cache);
    assert_ne!(inode(entry), brought, "compiled anew");
}

#[test]
fn the_key_is_private_and_a_public_one_is_not_used() {
    let (_directory, cache) = temporary();
    load(&cache);
    let key = cache.join("key");
    assert_eq!(std::fs::metadata(&key).expect("a key").permissions().mode() & 0o777, 0o600);
    let [entry] = &entries(&cache)[..] else { panic!("one entry") };
    std::fs::remove_file(entry).expect("removed");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).expect("made public");
    load(&cache);
    assert_eq!(entries(&cache), Vec::<PathBuf>::new(), "nothing is kept under a key that others can read");
}

#[test]
fn what_was_used_longest_ago_makes_room() {
    let (_directory, cache) = temporary();
    let with = |cache_bytes| {
        let config = SandboxConfig { cache: Some(cache.clone()), cache_bytes, ..config() };
        Sandbox::new(&config).expect("a sandbox")
    };
    let other = crate::crafted::Crafted::default().build();
    let roomy = with(1 << 30);
    roomy.load("test/other", &version(), &other).expect("loads");
    roomy.load("test/hostile", &version(), component()).expect("loads");
    assert_eq!(entries(&cache).len(), 2);
    let third = crate::crafted::Crafted { run: "unreachable", ..Default::default() }.build();
    with(1).load("test/third", &version(), &third).expect("loads");
    let left = entries(&cache);
    assert_eq!(left.len(), 1, "only what was just written: {left:?}");
    let stamp = |path: &Path| std::fs::metadata(path).expect("the entry").modified().expect("a time");
    let before = stamp(&left[0]);
    std::thread::sleep(std::time::Duration::from_millis(20));
    with(1).load("test/third", &version(), &third).expect("loads");
    assert!(stamp(&left[0]) > before, "its use is marked");
}
