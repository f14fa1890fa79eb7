//! What `#[block]` implements and `export_package!` collects.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sightflow_types::Problem;
use sightflow_types::manifest::Manifest;

use crate::BlockError;

/// A block; implemented by `#[block]`.
pub trait Block {
    /// Type name within its package.
    const NAME: &'static str;

    /// Ports, configuration and description.
    fn manifest() -> Manifest;

    /// Checks of one node that its JSON schema cannot say, made when a workflow is saved.
    ///
    /// `config` is canonical and holds every default, but not the keys that are listed in [`CheckContext::dynamic`].
    /// Pointers of the answer are relative to the node: `/config/operator`.
    fn check(context: &CheckContext, config: &Map<String, Value>) -> Vec<Problem> {
        let _ = (context, config);
        Vec::new()
    }

    /// One call: configuration and inputs as JSON objects, the outputs as a JSON object.
    fn run(config: &str, document: &str) -> Result<String, BlockError>;
}

/// How a node stands in its workflow, as far as a check needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckContext {
    /// Input ports that have an edge or an `inputs` entry.
    #[serde(default)]
    pub wired: Vec<String>,
    /// Configuration keys whose value is a template or reference and known only at run time.
    #[serde(default)]
    pub dynamic: Vec<String>,
}

impl CheckContext {
    /// Whether something feeds the port.
    pub fn is_wired(&self, port: &str) -> bool {
        self.wired.iter().any(|name| name == port)
    }

    /// Whether the key's value is not known yet.
    pub fn is_dynamic(&self, key: &str) -> bool {
        self.dynamic.iter().any(|name| name == key)
    }
}

/// A block as a value: one row of a package.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Type name within its package.
    pub name: &'static str,
    /// See [`Block::manifest`].
    pub manifest: fn() -> Manifest,
    /// See [`Block::check`].
    pub check: fn(&CheckContext, &Map<String, Value>) -> Vec<Problem>,
    /// See [`Block::run`].
    pub run: fn(&str, &str) -> Result<String, BlockError>,
}

impl Entry {
    /// The row of one block.
    pub const fn of<B: Block>() -> Self {
        Self { name: B::NAME, manifest: B::manifest, check: B::check, run: B::run }
    }
}

/// The row with this name.
pub(crate) fn find<'p>(package: &'p [Entry], name: &str) -> Result<&'p Entry, BlockError> {
    package
        .iter()
        .find(|entry| entry.name == name)
        .ok_or_else(|| BlockError::failed(format!("this package has no block `{name}`")))
}

/// The version of this crate, for the note in a package. A test compares.
#[doc(hidden)]
#[macro_export]
macro_rules! __sdk_version {
    () => {
        "0.1.0"
    };
}

/// Makes a package of blocks: a constant `PACKAGE` and, in a WebAssembly build, the component's exports and a note of who
/// it is (custom section `sightflow:package`), with the crate's version.
///
/// Call it once, in the crate's root, with the package's name and its blocks:
/// `sightflow_block::export_package!("acme/retail"; crop::crop, resize::resize);`
#[macro_export]
macro_rules! export_package {
    ($name:literal; $($block:path),+ $(,)?) => {
        /// The blocks of this package, in the order of the catalogue.
        pub const PACKAGE: &[$crate::Entry] = &[$($crate::Entry::of::<$block>()),+];

        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Package;

            impl $crate::__private::guest::Blocks for Package {
                fn catalog() -> ::std::string::String {
                    $crate::__private::guest::catalog(PACKAGE)
                }

                fn run(
                    block: ::std::string::String,
                    config: ::std::string::String,
                    inputs: $crate::__private::guest::Payload,
                ) -> ::std::result::Result<$crate::__private::guest::Payload, $crate::__private::guest::Error> {
                    $crate::__private::guest::run(PACKAGE, &block, &config, inputs)
                }
            }

            impl $crate::__private::guest::Checks for Package {
                fn check(
                    block: ::std::string::String,
                    config: ::std::string::String,
                    context: ::std::string::String,
                ) -> ::std::string::String {
                    $crate::__private::guest::check(PACKAGE, &block, &config, &context)
                }
            }

            impl $crate::__private::guest::Batches for Package {
                fn run_many(
                    block: ::std::string::String,
                    config: ::std::string::String,
                    items: ::std::vec::Vec<$crate::__private::guest::Payload>,
                ) -> ::std::vec::Vec<
                    ::std::result::Result<$crate::__private::guest::Payload, $crate::__private::guest::Error>,
                > {
                    $crate::__private::guest::run_many(PACKAGE, &block, &config, items)
                }
            }

            $crate::__private::guest::bindings::__export_guest!(Package with_types_in $crate::__private::guest::bindings);

            const NOTE: &str = ::std::concat!(
                "{\"name\":\"", $name, "\",\"version\":\"", ::std::env!("CARGO_PKG_VERSION"),
                "\",\"sdk\":\"sightflow-block ", $crate::__sdk_version!(), "\",\"language\":\"rust\"}",
            );

            #[used]
            #[unsafe(link_section = "sightflow:package")]
            static SECTION: [u8; NOTE.len()] = $crate::__private::bytes_of(NOTE);
        };
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_note_names_this_version() {
        assert_eq!(__sdk_version!(), env!("CARGO_PKG_VERSION"));
    }
}
