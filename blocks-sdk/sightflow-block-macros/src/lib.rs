#![doc = include_str!("../README.md")]

mod attributes;
mod block;
mod choice;
mod config;
mod ports;

use proc_macro::TokenStream;
use syn::{DeriveInput, ItemFn, parse_macro_input};

/// Turns a function `fn(Inputs, Config) -> Result<Outputs, BlockError>` into a block.
///
/// Arguments may be taken by value or by reference; the configuration may be left out. The doc comment becomes the
/// description. Accepted in the brackets: `category = "logic"` (required), `name = "…"` (default: the function's name),
/// `title = "…"`, `icon = "…"`, `aliases("…", …)` for other type names, `check = path` (a function
/// `fn(&CheckContext, &Map<String, Value>) -> Vec<Problem>`), `examples = path` (a function `fn() -> Vec<Example>`),
/// `capabilities("http:api.example.com", …)`, `effect` and `role = "…"`.
#[proc_macro_attribute]
pub fn block(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    block::expand(arguments.into(), &function).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a struct the input ports of a block, one field a port, in order.
///
/// The kind follows from the type, `Option` makes a port optional, the doc comment is its description.
/// `#[port(name = "…", kind = "detections", many, aliases("…", …))]` says otherwise.
#[proc_macro_derive(Inputs, attributes(port))]
pub fn inputs(item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as DeriveInput);
    ports::expand_inputs(&item).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a struct the output ports of a block, one field a port, in order.
///
/// As for `Inputs`; an `Option` that is `None` is delivered as null, or with `#[port(skippable)]` not at all, which skips
/// what is wired to the port. `exclusive` is `skippable`, and promises that exactly one port of all that are exclusive is
/// delivered, so that what is wired to them may meet again in one port.
#[proc_macro_derive(Outputs, attributes(port))]
pub fn outputs(item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as DeriveInput);
    ports::expand_outputs(&item).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a struct the configuration of a block: its JSON schema and how it is read.
///
/// On a field, `#[config(…)]` takes `default = expression`, `min`, `max`, `above` (exclusive minimum), `min_items`,
/// `max_items`, `min_length`, `max_length`, `pattern`, `aliases("…", …)`, `name = "…"`, `widget = "…"` and `advanced`.
/// `template` says that the block itself evaluates the key's text, so that the engine leaves `{{ }}` and `$` in it alone.
/// A field marked `params` or `context` is no key: the engine fills it with the run's parameters, or with
/// `{workflow_id, execution_id, version}`, null where unknown.
/// On the struct it takes `dropped("…", …)`, `refused(key = "hint", …)` and `rewrite(given = value, key = value, …)`.
/// `records("data")` names `many` ports that get the value of one edge as it is, and those of several as an object keyed by
/// source node instead of a list.
#[proc_macro_derive(Config, attributes(config))]
pub fn config(item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as DeriveInput);
    config::expand(&item).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes an enum without fields one of a fixed set of configuration values, in `snake_case`.
///
/// On a variant, `#[choice(name = "4:3", aliases("…", …))]`.
#[proc_macro_derive(Choice, attributes(choice))]
pub fn choice(item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as DeriveInput);
    choice::expand(&item).unwrap_or_else(syn::Error::into_compile_error).into()
}
