//! What authors of blocks do: packages from the templates and the examples, built by their own toolchains and tried in the
//! sandbox.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::toolchain::cargo;
use crate::{console, root, server};

/// The same as in the templates.
const PYTHON_TOOLCHAIN: &str = "componentize-py==0.25.1";

/// Examples in Rust, which are built where they lie.
const RUST: [&str; 2] = ["barcodes", "vision-language"];
/// The others: their language, for which the template brings the rest.
const OTHERS: [(&str, &str); 2] = [("reading-order", "python"), ("zones", "js")];

/// Builds the packages and runs the examples of their blocks. A toolchain that is not there and cannot be installed is said to
/// miss, and fails in CI only.
pub(crate) fn run() -> Result<()> {
    let folder = server::target().join("authors");
    std::fs::create_dir_all(&folder)?;
    for example in RUST {
        let package = root().join("examples/blocks").join(example);
        // What the packages share is compiled once, for this step and for the tests.
        let shared = server::target().join("tmp/examples");
        tried(build(&package, None).env("CARGO_TARGET_DIR", &shared), &package)?;
    }
    outside(&folder)?;
    for (example, language) in OTHERS {
        let toolchain = match language {
            "python" => python(&folder),
            _ => Ok(None),
        };
        let made = toolchain.and_then(|bin| {
            let package = fresh(&folder, example, language)?;
            if language == "js" {
                let mut install = Command::new("npm");
                install.args(["install", "--no-audit", "--no-fund", "--silent"]).current_dir(&package);
                console::run(&mut install).context("npm could not install the toolchain for JavaScript")?;
            }
            Ok((package, bin))
        });
        match made {
            Ok((package, bin)) => tried(&mut build(&package, bin.as_deref()), &package)?,
            Err(error) if std::env::var("CI").is_ok_and(|value| value == "true") => return Err(error),
            Err(error) => eprintln!("      SKIPPED {example}: {error:#}. CI builds it always."),
        }
    }
    Ok(())
}

/// What blocks in Rust are written with, as a registry gets it.
const PUBLISHED: [&str; 7] = [
    "sightflow-memory",
    "sightflow-types",
    "sightflow-expressions",
    "sightflow-images",
    "sightflow-schema",
    "sightflow-block-macros",
    "sightflow-block",
];

/// Packages the crates, and builds the template's package against the packaged files alone, outside of this repository's
/// workspace.
fn outside(folder: &Path) -> Result<()> {
    let mut package = cargo(&["package", "--no-verify", "--allow-dirty", "--quiet"]);
    for name in PUBLISHED {
        package.args(["--package", name]);
    }
    console::run(&mut package)?;
    let packaged = folder.join("packaged");
    if packaged.exists() {
        std::fs::remove_dir_all(&packaged)?;
    }
    std::fs::create_dir_all(&packaged)?;
    let mut patches = "\n[patch.crates-io]\n".to_owned();
    for name in PUBLISHED {
        let versioned = format!("{name}-{}", env!("CARGO_PKG_VERSION"));
        let file = server::target().join("package").join(format!("{versioned}.crate"));
        console::run(Command::new("tar").arg("-xzf").arg(file).arg("-C").arg(&packaged))?;
        let path = packaged.join(&versioned);
        patches.push_str(&format!("{name} = {{ path = {:?} }}\n", path.to_string_lossy()));
    }
    let crate_folder = fresh(folder, "outside", "rust")?;
    let manifest = crate_folder.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest)?;
    std::fs::write(&manifest, text + &patches)?;
    tried(build(&crate_folder, None).env("CARGO_TARGET_DIR", server::target().join("tmp/examples")), &crate_folder)
}

fn sightflow() -> Command {
    Command::new(server::binary("debug"))
}

/// A package as the template makes it, with an example's blocks in it if there is one of this name.
fn fresh(folder: &Path, example: &str, language: &str) -> Result<PathBuf> {
    let package = folder.join(example);
    if package.exists() {
        std::fs::remove_dir_all(&package)?;
    }
    let mut new = sightflow();
    new.args(["block", "new", &format!("acme/{example}"), "--lang", language]).current_dir(folder);
    console::run(&mut new)?;
    let files = root().join("examples/blocks").join(example);
    for entry in files.read_dir().into_iter().flatten() {
        let entry = entry?;
        std::fs::copy(entry.path(), package.join(entry.file_name()))?;
    }
    Ok(package)
}

/// `sightflow block build`, with programs of this folder.
fn build(package: &Path, bin: Option<&Path>) -> Command {
    let mut build = sightflow();
    build.args(["block", "build"]).arg(package);
    if let Some(bin) = bin {
        let others = std::env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(bin.to_owned()).chain(std::env::split_paths(&others));
        build.env("PATH", std::env::join_paths(all).unwrap_or(others));
    }
    build
}

/// Builds, and runs the examples of what was built.
fn tried(build: &mut Command, package: &Path) -> Result<()> {
    let output = build.stderr(Stdio::inherit()).output().context("could not start the program")?;
    if !output.status.success() {
        bail!("{} does not build", package.display());
    }
    let component = package.join(String::from_utf8_lossy(&output.stdout).trim());
    for verb in ["check", "test"] {
        console::run(sightflow().args(["block", verb]).arg(&component))?;
    }
    Ok(())
}

/// The folder with the toolchain for Python, made once for each version.
fn python(folder: &Path) -> Result<Option<PathBuf>> {
    let venv = folder.join(PYTHON_TOOLCHAIN.replace("==", "-"));
    let bin = venv.join(if cfg!(windows) { "Scripts" } else { "bin" });
    if !bin.join("componentize-py").exists() {
        console::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))
            .context("python3 could not make a virtual environment")?;
        let mut install = Command::new(bin.join("pip"));
        install.args(["install", "--quiet", "--disable-pip-version-check", PYTHON_TOOLCHAIN]);
        console::run(&mut install).context("the toolchain for Python could not be installed")?;
    }
    Ok(Some(bin))
}
