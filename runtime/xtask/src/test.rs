//! What CI runs, and what you run before you push.

use anyhow::{Result, bail};

use crate::authors;
use crate::console::{self, Steps};
use crate::contract;
use crate::server;
use crate::toolchain::{self, cargo};

/// Options of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run only these steps.
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    only: Vec<String>,
    /// Leave these steps out.
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    skip: Vec<String>,
}

type Step = (&'static str, &'static str, fn() -> Result<()>);

const STEPS: &[Step] = &[
    ("toolchain", "Check the toolchain", toolchain::ensure_block_target),
    ("fmt", "Format", || console::run(&mut cargo(&["fmt", "--all", "--check"]))),
    ("tests", "Tests, on real parts", tests),
    ("simd", "The workflows with the vector instructions of other CPUs", simd),
    ("demo", "The demo, as a newcomer runs it", demo),
    ("authors", "Packages of authors, in three languages", authors::run),
    ("contract", "The OpenAPI document tells the truth", contract::run),
    ("clippy", "Lints, the CUDA build included", clippy),
    ("doc", "Documentation", doc),
];

pub(crate) fn run(options: &Options) -> Result<()> {
    for name in options.only.iter().chain(&options.skip) {
        if !STEPS.iter().any(|step| step.0 == name) {
            bail!(
                "there is no step `{name}`; the steps are {}",
                STEPS.iter().map(|step| step.0).collect::<Vec<_>>().join(", ")
            );
        }
    }
    let wanted = |name: &str| {
        (options.only.is_empty() || options.only.iter().any(|only| only == name))
            && !options.skip.iter().any(|skip| skip == name)
    };
    let chosen: Vec<_> = STEPS.iter().filter(|step| wanted(step.0)).collect();
    let mut steps = Steps::new(chosen.len());
    for (_, title, work) in chosen {
        steps.step(title, work)?;
    }
    steps.summary();
    eprintln!("All passed. Try `cargo xtask demo --stay` next and talk to the server.");
    Ok(())
}

fn tests() -> Result<()> {
    if toolchain::has_cargo_command("nextest") {
        console::run(&mut cargo(&["nextest", "run", "--workspace", "--locked"]))?;
        return console::run(&mut cargo(&["test", "--workspace", "--locked", "--doc", "--quiet"]));
    }
    eprintln!("      cargo-nextest is not installed, so `cargo test` runs the tests: the same ones, slower to finish.");
    eprintln!("      (`cargo install --locked cargo-nextest` installs it)");
    console::run(&mut cargo(&["test", "--workspace", "--locked"]))
}

/// What this CPU has beyond AVX2 must not be what makes it work. The kernels' own tests run at every level there is.
fn simd() -> Result<()> {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx512f") {
        let runner: &[&str] = if toolchain::has_cargo_command("nextest") { &["nextest", "run"] } else { &["test"] };
        let chosen = ["--workspace", "--locked", "--test", "e2e", "workflows::"];
        return console::run(cargo(runner).args(chosen).env("SIGHTFLOW_SIMD", "avx2"));
    }
    eprintln!("      this CPU has nothing beyond what the tests have used already");
    Ok(())
}

/// With the program that the tests have built.
fn demo() -> Result<()> {
    let binary = server::binary("debug");
    console::run(cargo(&["xtask", "demo", "--binary"]).arg(binary))
}

/// One pass checks both builds: what differs without `cuda` is compiled by the tests.
fn clippy() -> Result<()> {
    let arguments =
        ["clippy", "--workspace", "--all-targets", "--features", "sightflow/cuda", "--locked", "--", "-D", "warnings"];
    console::run(&mut cargo(&arguments))
}

fn doc() -> Result<()> {
    let mut command = cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
    console::run(command.env("RUSTDOCFLAGS", "-D warnings"))
}
