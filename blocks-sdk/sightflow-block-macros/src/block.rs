//! `#[block]`: a function becomes an implementation of `Block`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::Parser;
use syn::{Error, FnArg, ItemFn, Path, Result, Type, meta};

use crate::attributes::{doc, string, strings};

#[derive(Default)]
struct Arguments {
    name: Option<String>,
    title: Option<String>,
    icon: Option<String>,
    category: Option<String>,
    aliases: Vec<String>,
    capabilities: Vec<String>,
    check: Option<Path>,
    examples: Option<Path>,
    effect: bool,
    role: Option<String>,
}

pub(crate) fn expand(arguments: TokenStream, function: &ItemFn) -> Result<TokenStream> {
    let mut given = Arguments::default();
    let parser = meta::parser(|meta| {
        let Some(name) = meta.path.get_ident().map(ToString::to_string) else {
            return Err(meta.error("expected a name"));
        };
        match name.as_str() {
            "name" => given.name = Some(string(&meta)?),
            "title" => given.title = Some(string(&meta)?),
            "icon" => given.icon = Some(string(&meta)?),
            "category" => given.category = Some(string(&meta)?),
            "aliases" => given.aliases = strings(&meta)?,
            "capabilities" => given.capabilities = strings(&meta)?,
            "check" => given.check = Some(meta.value()?.parse()?),
            "examples" => given.examples = Some(meta.value()?.parse()?),
            "effect" => given.effect = true,
            "role" => given.role = Some(string(&meta)?),
            _ => return Err(meta.error("unknown argument of #[block]")),
        }
        Ok(())
    });
    parser.parse2(arguments)?;

    let ident = &function.sig.ident;
    let Some(category) = given.category else {
        return Err(Error::new_spanned(ident, "#[block] needs `category = \"…\"`"));
    };
    let description = doc(&function.attrs);
    if description.is_empty() {
        return Err(Error::new_spanned(ident, "a block needs a doc comment: it becomes the description"));
    }
    let name = given.name.unwrap_or_else(|| ident.to_string());
    let title = given.title.unwrap_or_else(|| title_of(&name));
    let icon = given.icon.map_or(quote!(None), |icon| quote!(Some(#icon)));
    let role = given.role.map_or(quote!(None), |role| quote!(Some(#role)));
    let (aliases, capabilities, effect) = (given.aliases, given.capabilities, given.effect);
    let examples = given.examples.map_or(quote!(::std::vec::Vec::new()), |path| quote!(#path()));
    let check = given.check.map(|path| {
        quote! {
            fn check(
                context: &::sightflow_block::CheckContext,
                config: &::sightflow_block::__private::Map<::std::string::String, ::sightflow_block::Value>,
            ) -> ::std::vec::Vec<::sightflow_block::Problem> {
                #path(context, config)
            }
        }
    });

    let arguments = function.sig.inputs.iter().map(argument).collect::<Result<Vec<_>>>()?;
    let (inputs, config, call) = match arguments.as_slice() {
        [(inputs, pass)] => (quote!(#inputs), quote!(::sightflow_block::NoConfig), quote!(#ident(#pass inputs))),
        [(inputs, pass), (config, pass_config)] => {
            (quote!(#inputs), quote!(#config), quote!(#ident(#pass inputs, #pass_config config)))
        }
        _ => {
            return Err(Error::new_spanned(
                &function.sig,
                "a block takes its inputs and, if it has any, its configuration",
            ));
        }
    };
    let visibility = &function.vis;
    let summary = format!("The block [`{name}`](fn@{ident}), as `export_package!` takes it.");

    Ok(quote! {
        #function

        #[doc = #summary]
        #[expect(non_camel_case_types, reason = "named after the function that it stands for")]
        #visibility enum #ident {}

        impl ::sightflow_block::Block for #ident {
            const NAME: &'static str = #name;

            fn manifest() -> ::sightflow_block::Manifest {
                let call = |inputs: #inputs, config: #config| { let _ = &config; #call };
                ::sightflow_block::__private::manifest(
                    call,
                    &::sightflow_block::__private::About {
                        name: #name,
                        title: #title,
                        description: #description,
                        category: #category,
                        icon: #icon,
                        aliases: &[#(#aliases),*],
                        capabilities: &[#(#capabilities),*],
                        effect: #effect,
                        role: #role,
                    },
                    #examples,
                )
            }

            #check

            fn run(
                config: &str,
                document: &str,
            ) -> ::std::result::Result<::std::string::String, ::sightflow_block::BlockError> {
                ::sightflow_block::__private::run(
                    |inputs: #inputs, config: #config| { let _ = &config; #call },
                    config,
                    document,
                )
            }
        }
    })
}

/// The type behind an argument, and `&` if the function takes it by reference.
fn argument(argument: &FnArg) -> Result<(Type, TokenStream)> {
    let FnArg::Typed(typed) = argument else {
        return Err(Error::new_spanned(argument, "a block is a free function"));
    };
    Ok(match &*typed.ty {
        Type::Reference(reference) => ((*reference.elem).clone(), quote!(&)),
        other => (other.clone(), TokenStream::new()),
    })
}

/// `draw_boxes` → `Draw boxes`.
fn title_of(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
}
