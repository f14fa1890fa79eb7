//! The verbs of `sightflow block` and their options.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use semver::Version;
use sightflow_types::capability::HostPattern;

use super::assignment;

/// An author's day.
#[derive(Subcommand)]
pub enum BlockVerb {
    /// Make a directory with a package that builds, and one block in it.
    New(NewOptions),
    /// Compile a package to a component; prints where it lies.
    Build {
        /// The package's directory.
        #[arg(default_value = ".")]
        directory: PathBuf,
    },
    /// Check a component as an upload does, and print every finding.
    Check(CheckOptions),
    /// Run the examples of a component's blocks.
    Test {
        /// The component.
        #[command(flatten)]
        component: ComponentOptions,
    },
    /// Call one block once, in the sandbox.
    Run(RunOptions),
    /// Make a key to sign packages with; prints the public key, which others trust.
    Keygen {
        /// Where the private key is written; a file that is there is not overwritten.
        file: PathBuf,
    },
    /// Publish a component on a server.
    Publish(PublishOptions),
    /// Store a component in a registry of container images; prints its address by digest.
    Push(PushOptions),
    /// Fetch a component from a registry of container images.
    Pull(PullOptions),
    /// Print the packages of a server, one a line.
    List {
        /// Print the server's answer, one package a line.
        #[arg(long)]
        json: bool,
        /// Shared options.
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Make a published version the one that workflows use.
    Activate {
        /// `namespace/package`.
        name: String,
        /// The version.
        version: String,
        /// Shared options.
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Make the version active that was active before.
    Rollback {
        /// `namespace/package`.
        name: String,
        /// Shared options.
        #[command(flatten)]
        server: ServerOptions,
    },
    /// Build, check and publish again and again, whenever a source changes.
    Watch {
        /// The package's directory.
        #[arg(default_value = ".")]
        directory: PathBuf,
        /// Shared options.
        #[command(flatten)]
        server: ServerOptions,
    },
}

/// A component file and what to call it.
#[derive(Args)]
pub struct ComponentOptions {
    /// The component: a `.wasm` file.
    pub file: PathBuf,
    /// `namespace/package`, for a component that does not say it itself.
    #[arg(long)]
    pub name: Option<String>,
    /// Its version, for a component that does not say it itself.
    #[arg(long)]
    pub version: Option<Version>,
}

/// Options of `block check`.
#[derive(Args)]
pub struct CheckOptions {
    /// The component.
    #[command(flatten)]
    pub component: ComponentOptions,
    /// Print the answer of `POST /api/v1/block-packages?dry_run=true` instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Options of `block run`.
#[derive(Args)]
pub struct RunOptions {
    /// The component.
    #[command(flatten)]
    pub component: ComponentOptions,
    /// Which of its blocks.
    #[arg(long, value_name = "BLOCK")]
    pub block: String,
    /// The configuration: JSON, or `@FILE` with JSON.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub config: String,
    /// An input: `image=photo.jpg` reads a picture, `port=@file.json` JSON; anything else is JSON or, failing that, text.
    /// Repeatable; a port that takes many is given once for each.
    #[arg(long = "input", value_name = "PORT=VALUE", value_parser = assignment)]
    pub inputs: Vec<(String, String)>,
    /// Write pictures of the answer into this directory.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Say what the call used.
    #[arg(long)]
    pub profile: bool,
    /// A host that the block may send requests to, if it asks for it: `api.example.com`, `*.example.com`, each also with a
    /// port. Repeatable.
    #[arg(long, value_name = "HOST", value_parser = super::host_pattern)]
    pub allow_host: Vec<HostPattern>,
    /// A secret that the block may send, if it asks for it: the value is that of the environment variable of this name.
    /// Repeatable.
    #[arg(long = "secret", value_name = "NAME")]
    pub secrets: Vec<String>,
    /// Networks that it may reach although they are private, for example `127.0.0.0/8`. Repeatable.
    #[arg(long, value_name = "CIDR")]
    pub allow_network: Vec<String>,
}

/// Which server, and who asks.
#[derive(Args)]
pub struct ServerOptions {
    /// Where it is reached.
    #[arg(long, env = "SIGHTFLOW_SERVER", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub server: String,
    /// An API key; for a server that asks for one.
    #[arg(long, env = "SIGHTFLOW_KEY", value_name = "sf_…", hide_env_values = true)]
    pub key: Option<String>,
}

/// Options of `block publish`.
#[derive(Args)]
pub struct PublishOptions {
    /// The component.
    #[command(flatten)]
    pub component: ComponentOptions,
    /// Shared options.
    #[command(flatten)]
    pub server: ServerOptions,
    /// Run the examples of its blocks first; one that does not hold refuses the component.
    #[arg(long)]
    pub verify: bool,
    /// Sign the version with the private key in this file, which `block keygen` made.
    #[arg(long, value_name = "FILE")]
    pub sign: Option<PathBuf>,
    /// A signature that somebody made before: the file that `block pull` wrote beside the component.
    #[arg(long, value_name = "FILE", conflicts_with = "sign")]
    pub signature: Option<PathBuf>,
    /// Publish the version without making it the active one.
    #[arg(long)]
    pub no_activate: bool,
    /// Only check.
    #[arg(long)]
    pub dry_run: bool,
    /// Print the server's answer.
    #[arg(long)]
    pub json: bool,
}

/// Options of `block push`. Who may push is what `docker login` or `podman login` stored.
#[derive(Args)]
pub struct PushOptions {
    /// The component.
    #[command(flatten)]
    pub component: ComponentOptions,
    /// Where to: `oci://REGISTRY/REPOSITORY:TAG`. A registry on this machine is asked without TLS.
    #[arg(long = "to", value_name = "oci://…")]
    pub reference: String,
    /// Sign the version with the private key in this file; the signature travels with the component.
    #[arg(long, value_name = "FILE")]
    pub sign: Option<PathBuf>,
}

/// Options of `block pull`.
#[derive(Args)]
pub struct PullOptions {
    /// Where from: `oci://REGISTRY/REPOSITORY:TAG`, or `…@sha256:DIGEST`, which is always the same bytes.
    #[arg(value_name = "oci://…")]
    pub reference: String,
    /// The file to write; a signature goes into `FILE.sig`.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// Options of `block new`.
#[derive(Args)]
pub struct NewOptions {
    /// `namespace/package`, for example `acme/retail`: becomes the directory `retail`.
    pub name: String,
    /// What to write it in.
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    pub lang: Language,
    /// A checkout of Sightflow whose `sightflow-block` is used instead of the released one.
    #[arg(long, value_name = "PATH")]
    pub sdk: Option<PathBuf>,
}

/// What blocks can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Rust.
    Rust,
    /// Python.
    Python,
    /// JavaScript.
    #[value(alias = "js")]
    Javascript,
}
