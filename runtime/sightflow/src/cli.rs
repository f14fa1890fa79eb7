//! The command line: verbs and their options. Data goes to stdout, everything else to stderr;
//! exit status 0 done, 1 the thing asked for did not work, 2 misuse.

pub(crate) mod block;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use sightflow_models::{DeviceChoice, SimdLevel};
use sightflow_store::Scope;
use sightflow_types::KeyId;
use sightflow_types::capability::HostPattern;

pub use self::block::BlockVerb;

/// A WebAssembly-extensible runtime for computer-vision workflows.
#[derive(Parser)]
#[command(name = "sightflow", version, disable_version_flag = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What the binary can do.
#[derive(Subcommand)]
pub enum Verb {
    /// Serve the API, with an engine and, unless `--workers 0`, workers in this process.
    Serve(ServeOptions),
    /// Run a definition once and print its outputs.
    Run(RunOptions),
    /// Work with definitions.
    #[command(subcommand)]
    Workflow(WorkflowVerb),
    /// Write, try and publish blocks.
    #[command(subcommand)]
    Block(BlockVerb),
    /// Work with the tenants of a data directory whose server is stopped.
    #[command(subcommand)]
    Tenant(TenantVerb),
    /// Work with the API keys of a data directory whose server is stopped.
    #[command(subcommand)]
    Key(KeyVerb),
    /// Print the version.
    Version,
    /// Compile one component from standard input: what the server starts for each upload.
    #[command(hide = true)]
    CompileComponent,
}

/// Where data lies and what runs models: shared by every verb that runs workflows.
#[derive(Args, Clone)]
pub struct RuntimeOptions {
    /// Compute threads of the in-process worker; 0 runs none. Default: one for each core, one for a GPU.
    #[arg(long, env = "SIGHTFLOW_WORKERS", value_name = "N", value_parser = workers)]
    pub workers: Option<usize>,
    /// What runs models: `auto`, `cpu`, `cuda` or `cuda:N`.
    #[arg(long, env = "SIGHTFLOW_DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
    /// Register the models that this directory's `models.json` lists.
    #[arg(long, env = "SIGHTFLOW_STARTER_MODELS", value_name = "DIR")]
    pub starter_models: Option<PathBuf>,
    /// Where compiled components are cached. Default: `cache` under the data directory.
    #[arg(long, env = "SIGHTFLOW_CACHE", value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Lowers the vector instructions that models use on the CPU: `avx512`, `avx2`, `neon` or `scalar`. Default: the best.
    #[arg(long, env = "SIGHTFLOW_SIMD", value_name = "LEVEL")]
    pub simd: Option<SimdLevel>,
    /// Bytes that requests, pictures, blocks and running models may take together, for example `8GiB`; the weights of
    /// loaded models are not counted. Default: half of the machine.
    #[arg(long, env = "SIGHTFLOW_MEMORY", value_name = "SIZE", value_parser = crate::budget::size)]
    pub memory: Option<u64>,
    /// Days that ended executions are kept; 0 keeps them for ever.
    #[arg(long, env = "SIGHTFLOW_KEEP_DAYS", value_name = "DAYS", default_value_t = 7)]
    pub keep_days: u16,
    /// Networks that `image_url` and blocks may reach although they are private, for example `127.0.0.0/8`. Repeatable.
    #[arg(long, env = "SIGHTFLOW_ALLOW_NETWORK", value_name = "CIDR", value_delimiter = ',')]
    pub allow_network: Vec<String>,
    /// Hosts that tenants may grant to their block packages: `api.example.com`, `*.example.com`, `*` for every host; each
    /// also with a port. Repeatable. Private networks stay closed unless `--allow-network` opens them.
    #[arg(long, env = "SIGHTFLOW_BLOCK_HOSTS", value_name = "HOST", value_delimiter = ',', default_value = "*", value_parser = host_pattern)]
    pub block_hosts: Vec<HostPattern>,
}

fn host_pattern(text: &str) -> Result<HostPattern, String> {
    text.parse().map_err(str::to_owned)
}

/// Options of `serve`.
#[derive(Args)]
pub struct ServeOptions {
    /// Address and port; port 0 takes a free one. Another address than loopback needs `--auth`.
    #[arg(long, env = "SIGHTFLOW_LISTEN", default_value_t = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080), value_parser = address)]
    pub listen: SocketAddr,
    /// Every request needs an API key: `Authorization: Bearer sf_…`. Make the first one with `sightflow key create`.
    #[arg(long, env = "SIGHTFLOW_AUTH")]
    pub auth: bool,
    /// Most client connections at a time; further ones wait.
    #[arg(long, env = "SIGHTFLOW_MAX_CONNECTIONS", value_name = "N", default_value_t = 4096, value_parser = connections)]
    pub max_connections: usize,
    /// Directory of the database, the blobs and the cache; made if it is missing.
    #[arg(long, env = "SIGHTFLOW_DATA", default_value = "sightflow-data")]
    pub data: PathBuf,
    /// Take only block packages that a publisher signed whom their tenant trusts.
    #[arg(long, env = "SIGHTFLOW_REQUIRE_SIGNATURES")]
    pub require_signatures: bool,
    /// Build and publish the block packages in this directory, and the components that lie there, whenever one changes. For
    /// whoever writes blocks; not with `--auth`.
    #[arg(long, value_name = "DIR", conflicts_with = "auth")]
    pub dev_blocks: Option<PathBuf>,
    /// Shared options.
    #[command(flatten)]
    pub runtime: RuntimeOptions,
}

/// Options of `run`.
#[derive(Args)]
pub struct RunOptions {
    /// The definition: JSON, bare or as `{"name": …, "definition": …}`.
    pub file: PathBuf,
    /// An input: `image=photo.jpg` reads a picture, anything else is JSON or, failing that, text. Repeatable.
    #[arg(long = "input", value_name = "NAME=VALUE", value_parser = assignment)]
    pub inputs: Vec<(String, String)>,
    /// A parameter: JSON or, failing that, text. Repeatable.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = assignment)]
    pub parameters: Vec<(String, String)>,
    /// Write output pictures into this directory.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Keep the run under this data directory. Default: a temporary one.
    #[arg(long, env = "SIGHTFLOW_DATA")]
    pub data: Option<PathBuf>,
    /// Shared options.
    #[command(flatten)]
    pub runtime: RuntimeOptions,
}

/// Verbs for definitions.
#[derive(Subcommand)]
pub enum WorkflowVerb {
    /// Check a definition and print every problem with its place in the file.
    Validate(ValidateOptions),
}

/// Options of `workflow validate`.
#[derive(Args)]
pub struct ValidateOptions {
    /// The definition: JSON, bare or as `{"name": …, "definition": …}`.
    pub file: PathBuf,
    /// Models that the definition may name: those that this directory's `models.json` lists.
    #[arg(long, env = "SIGHTFLOW_STARTER_MODELS", value_name = "DIR")]
    pub starter_models: Option<PathBuf>,
    /// Print the answer of `POST /api/v1/workflows/validate` instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Which data directory.
#[derive(Args)]
pub struct DataOption {
    /// Directory of the database; made if it is missing.
    #[arg(long, env = "SIGHTFLOW_DATA", default_value = "sightflow-data")]
    pub data: PathBuf,
}

/// Verbs for tenants.
#[derive(Subcommand)]
pub enum TenantVerb {
    /// Create a tenant and print it.
    Create {
        /// Its short name: lower-case letters, digits and inner hyphens.
        slug: String,
        /// For people. Default: the slug.
        #[arg(long)]
        name: Option<String>,
        /// Its share among others, 1 to 10000.
        #[arg(long, default_value_t = 100, value_parser = weight)]
        weight: u16,
        /// Shared options.
        #[command(flatten)]
        data: DataOption,
    },
    /// Print all tenants, newest first, one a line.
    List {
        /// Shared options.
        #[command(flatten)]
        data: DataOption,
    },
}

/// Verbs for API keys.
#[derive(Subcommand)]
pub enum KeyVerb {
    /// Create a key and print it, this once.
    Create {
        /// Slug of the tenant.
        #[arg(long, default_value = "default")]
        tenant: String,
        /// For people.
        #[arg(long, default_value = "command line")]
        name: String,
        /// What it may do, for example `runs:write,runs:read`. Default: everything, `admin` too.
        #[arg(long, value_name = "SCOPE", value_delimiter = ',')]
        scopes: Vec<Scope>,
        /// Shared options.
        #[command(flatten)]
        data: DataOption,
    },
    /// Print all keys without themselves, newest first, one a line.
    List {
        /// Shared options.
        #[command(flatten)]
        data: DataOption,
    },
    /// Revoke a key.
    Revoke {
        /// Its id: `key_…`.
        id: KeyId,
        /// Shared options.
        #[command(flatten)]
        data: DataOption,
    },
}

fn workers(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count <= 1_024).ok_or_else(|| "0 to 1024".to_owned())
}

fn connections(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| (1..=1_000_000).contains(count)).ok_or_else(|| "1 to 1000000".to_owned())
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected ADDRESS:PORT, for example 127.0.0.1:8080".to_owned())
}

impl ServeOptions {
    /// Refuses what would serve the network without asking who calls.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.auth || self.listen.ip().is_loopback() {
            return Ok(());
        }
        Err(format!(
            "--listen {} is no loopback address, and everybody who reaches it could do everything: add `--auth`, or listen on 127.0.0.1",
            self.listen
        ))
    }
}

fn weight(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|weight| (1..=10_000).contains(weight)).ok_or_else(|| "1 to 10000".to_owned())
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}
