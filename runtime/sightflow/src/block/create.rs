//! `sightflow block new`: a package that builds.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail, ensure};
use sightflow_engine::packages::check_name;

use crate::cli::block::{Language, NewOptions};
use crate::logging::{print, say};

/// The files of a package in each language, and the name that is written in them.
const RUST: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../templates/rust/Cargo.toml.in")),
    ("src/lib.rs", include_str!("../../templates/rust/src/lib.rs")),
    ("README.md", include_str!("../../templates/rust/README.md")),
    ("rust-toolchain.toml", include_str!("../../templates/rust/rust-toolchain.toml")),
    (".gitignore", include_str!("../../templates/rust/gitignore")),
];
const PYTHON: &[(&str, &str)] = &[
    ("sightflow.json", include_str!("../../templates/python/sightflow.json")),
    ("blocks.py", include_str!("../../templates/python/blocks.py")),
    ("sightflow_block.py", include_str!("../../templates/python/sightflow_block.py")),
    ("app.py", include_str!("../../templates/python/app.py")),
    ("requirements.txt", include_str!("../../templates/python/requirements.txt")),
    ("README.md", include_str!("../../templates/python/README.md")),
    (".gitignore", include_str!("../../templates/python/gitignore")),
    ("wit/block.wit", WIT),
];
const JAVASCRIPT: &[(&str, &str)] = &[
    ("sightflow.json", include_str!("../../templates/javascript/sightflow.json")),
    ("blocks.js", include_str!("../../templates/javascript/blocks.js")),
    ("sightflow-block.js", include_str!("../../templates/javascript/sightflow-block.js")),
    ("app.js", include_str!("../../templates/javascript/app.js")),
    ("package.json", include_str!("../../templates/javascript/package.json.in")),
    ("README.md", include_str!("../../templates/javascript/README.md")),
    (".gitignore", include_str!("../../templates/javascript/gitignore")),
    ("wit/block.wit", WIT),
];
const WIT: &str = include_str!("../../../../wit/v0_1/block.wit");
const NAME: &str = "acme/retail";

pub(super) fn create(options: &NewOptions) -> Result<ExitCode> {
    if options.lang != Language::Rust && options.sdk.is_some() {
        bail!("`--sdk` is for packages in Rust: what others need of Sightflow is among their files");
    }
    let name = Name::parse(&options.name)?;
    let dependency = match &options.sdk {
        Some(path) => format!("{{ path = {} }}", toml_text(&sdk(path)?)?),
        None => format!("\"{}\"", env!("CARGO_PKG_VERSION")),
    };
    let directory = PathBuf::from(name.package);
    if std::fs::read_dir(&directory).map_or(directory.exists(), |mut entries| entries.next().is_some()) {
        bail!("{} exists already and is not an empty directory", directory.display());
    }
    for (file, text) in render(options.lang, &name, &dependency) {
        let path = directory.join(file);
        let parent = path.parent().unwrap_or(&directory);
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    print(format_args!("{}", directory.display()))?;
    let first = match options.lang {
        Language::Rust => "",
        Language::Python => "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt && ",
        Language::Javascript => "npm install && ",
    };
    say(format_args!("next: cd {} && {first}sightflow block build", directory.display()));
    if options.lang == Language::Rust && options.sdk.is_none() {
        say(format_args!(
            "it needs `sightflow-block` {} from a registry; with a checkout of Sightflow use `--sdk PATH` instead",
            env!("CARGO_PKG_VERSION")
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// The two parts of `namespace/package`.
#[derive(Debug)]
struct Name<'t> {
    namespace: &'t str,
    package: &'t str,
}

impl<'t> Name<'t> {
    fn parse(text: &'t str) -> Result<Self> {
        check_name(text).map_err(|problem| anyhow!("{}", problem.message))?;
        let (namespace, package) = text.split_once('/').context("a name has two parts")?;
        ensure!(!namespace.contains('_'), "`{namespace}` is not a namespace: it has no `_`");
        Ok(Self { namespace, package })
    }

    /// Both parts: a crate that is called like its package alone may have the name of one of its dependencies.
    fn krate(&self) -> String {
        format!("{}-{}", self.namespace, self.package)
    }
}

fn render(language: Language, name: &Name<'_>, dependency: &str) -> Vec<(&'static str, String)> {
    let (full, krate) = (format!("{}/{}", name.namespace, name.package), name.krate());
    let text = |text: &str| {
        text.replace("{crate}", &krate)
            .replace("{dependency}", dependency)
            .replace(NAME, &full)
            .replace("acme_retail.wasm", &format!("{}.wasm", krate.replace('-', "_")))
            .replace("build/retail.wasm", &format!("build/{}.wasm", name.package))
    };
    let files = match language {
        Language::Rust => RUST,
        Language::Python => PYTHON,
        Language::Javascript => JAVASCRIPT,
    };
    files.iter().map(|(file, template)| (*file, text(template))).collect()
}

/// The crate `sightflow-block` in a checkout, in its `blocks-sdk`, or here.
fn sdk(path: &Path) -> Result<PathBuf> {
    let places = ["blocks-sdk/sightflow-block", "sightflow-block", "."].map(|below| path.join(below));
    let found = places.iter().find(|place| {
        let manifest = std::fs::read_to_string(place.join("Cargo.toml"));
        manifest.is_ok_and(|text| text.lines().any(|line| line.trim() == "name = \"sightflow-block\""))
    });
    let found = found.with_context(|| format!("--sdk {}: there is no crate `sightflow-block`", path.display()))?;
    found.canonicalize().with_context(|| format!("cannot find {}", found.display()))
}

/// A path as a basic string; JSON's is one.
fn toml_text(path: &Path) -> Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(serde_json::to_string(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_directories_and_crates() {
        for (text, expected) in [
            ("acme/retail", Ok(("retail", "acme-retail"))),
            ("a/b_c-2", Ok(("b_c-2", "a-b_c-2"))),
            ("retail", Err("is not `namespace/package`")),
            ("acme/../up", Err("is not a name")),
            ("acme/", Err("is not a name")),
            ("Acme/retail", Err("is not a name")),
            ("ac_me/retail", Err("is not a namespace")),
            ("sightflow/retail", Err("is kept for blocks")),
        ] {
            match (Name::parse(text), expected) {
                (Ok(name), Ok(expected)) => assert_eq!((name.package, name.krate().as_str()), expected),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{text}: {error}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn nothing_of_the_template_s_name_is_left() {
        let name = Name::parse("globex/tools").expect("a name");
        for language in [Language::Rust, Language::Python, Language::Javascript] {
            for (file, text) in render(language, &name, "\"0.1.0\"") {
                for left in ["acme", "retail", "{crate}", "{dependency}"] {
                    assert!(!text.contains(left), "{file}: {left}");
                }
            }
        }
        let files = render(Language::Rust, &name, "\"0.1.0\"");
        let text = |file: &str| &files.iter().find(|(name, _)| *name == file).expect("a file").1;
        assert!(text("Cargo.toml").contains("name = \"globex-tools\""));
        assert!(text("Cargo.toml").contains("sightflow-block = \"0.1.0\""));
        assert!(text("src/lib.rs").contains("export_package!(\"globex/tools\"; largest)"));
        assert!(text("README.md").contains("release/globex_tools.wasm"));
    }

    #[test]
    fn the_toolchain_is_this_repository_s() {
        let channel = |text: &str| text.lines().find(|line| line.starts_with("channel")).map(str::to_owned);
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../rust-toolchain.toml");
        let own = channel(&std::fs::read_to_string(root).expect("it is there"));
        assert!(own.is_some());
        assert_eq!(channel(include_str!("../../templates/rust/rust-toolchain.toml")), own);
    }

    #[test]
    fn the_sdk_is_found_from_three_places() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let expected = root.join("blocks-sdk/sightflow-block").canonicalize().expect("it is there");
        for below in ["", "blocks-sdk", "blocks-sdk/sightflow-block"] {
            assert_eq!(sdk(&root.join(below)).expect("found"), expected, "{below}");
        }
        assert!(sdk(Path::new("/tmp")).is_err());
    }
}
