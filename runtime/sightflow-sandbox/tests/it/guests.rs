//! Builds the test guest once and calls it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use semver::Version;
use sightflow_images::{Image, PixelFormat, Pixels};
use sightflow_memory::MemoryPool;
use sightflow_sandbox::{
    CallConditions, CallFailure, CallLimits, GuestError, GuestOutcome, GuestPayload, Package, Sandbox, SandboxConfig,
};

/// The component of `tests/guests`.
pub(crate) fn component() -> &'static [u8] {
    static COMPONENT: OnceLock<Vec<u8>> = OnceLock::new();
    COMPONENT.get_or_init(|| built("guests", "hostile_guest"))
}

/// The component of a package below `tests`.
pub(crate) fn built(directory: &str, name: &str) -> Vec<u8> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(directory);
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--locked", "--release", "--target", "wasm32-wasip2", "--manifest-path"]);
    cargo.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(directory).join("Cargo.toml"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if (text.starts_with("CARGO") && text != "CARGO_HOME")
            || ["RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER"].contains(&&*text)
        {
            cargo.env_remove(&name);
        }
    }
    let output = cargo.env("CARGO_TARGET_DIR", &target).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(target.join(format!("wasm32-wasip2/release/{name}.wasm"))).expect("the guest was built")
}

/// Compiled code is shared between test processes.
pub(crate) fn config() -> SandboxConfig {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
    SandboxConfig { slots: 4, cache: Some(cache), ..SandboxConfig::default() }
}

pub(crate) fn version() -> Version {
    Version::new(1, 0, 0)
}

/// A sandbox with the test guest in it.
pub(crate) struct Bench {
    pub(crate) sandbox: Sandbox,
    pub(crate) package: Package,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(&config())
    }

    pub(crate) fn with(config: &SandboxConfig) -> Self {
        let sandbox = Sandbox::new(config).expect("a sandbox starts");
        let package = sandbox.load("test/hostile", &version(), component()).expect("the guest loads");
        Self { sandbox, package }
    }

    /// As [`Bench::new`], with another budget in bytes.
    pub(crate) fn with_memory(pool: &MemoryPool) -> Self {
        let sandbox = Sandbox::with_memory(&config(), pool.clone()).expect("a sandbox starts");
        let package = sandbox.load("test/hostile", &version(), component()).expect("the guest loads");
        Self { sandbox, package }
    }

    /// Calls a block with one 4×3 image, whose first pixel is (10, 20, 30).
    pub(crate) fn call(&self, block: &str, config: &str, limits: CallLimits) -> Result<GuestOutcome, Box<CallFailure>> {
        let payload = GuestPayload { document: r#"{"image":{"$image":0}}"#.to_owned(), images: vec![picture()] };
        self.sandbox.call_blocking(
            &self.package,
            block,
            config,
            payload,
            &CallConditions { limits, ..CallConditions::default() },
        )
    }

    pub(crate) fn ok(&self, block: &str, config: &str) -> GuestOutcome {
        self.call(block, config, CallLimits::default()).unwrap_or_else(|failure| panic!("{block}: {failure}"))
    }

    pub(crate) fn error(&self, block: &str, config: &str, limits: CallLimits) -> GuestError {
        match self.call(block, config, limits) {
            Ok(outcome) => panic!("{block} succeeded: {outcome:?}"),
            Err(failure) => failure.error,
        }
    }
}

/// 4×3 pixels; pixel i is (10+i, 20+i, 30+i).
pub(crate) fn picture() -> Image {
    let data = (0..12_u8).flat_map(|i| [10 + i, 20 + i, 30 + i]).collect();
    Image::from_pixels(Arc::new(Pixels::new(4, 3, PixelFormat::Rgb8, data).expect("4×3 pixels")))
}

pub(crate) fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn temporary() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("compiled");
    (directory, path)
}
