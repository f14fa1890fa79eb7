//! `#[derive(Choice)]`: an enum without fields becomes a set of configuration values.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, Result};

use crate::attributes::{string, strings};

pub(crate) fn expand(item: &DeriveInput) -> Result<TokenStream> {
    let ident = &item.ident;
    let Data::Enum(data) = &item.data else {
        return Err(Error::new_spanned(ident, "Choice needs an enum"));
    };
    let (mut variants, mut names, mut aliases) = (Vec::new(), Vec::<String>::new(), Vec::new());
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new_spanned(variant, "a choice has no fields"));
        }
        let mut name = snake_case(&variant.ident.to_string());
        let mut others = Vec::new();
        for attribute in variant.attrs.iter().filter(|a| a.path().is_ident("choice")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("name") {
                    name = string(&meta)?;
                } else if meta.path.is_ident("aliases") {
                    others = strings(&meta)?;
                } else {
                    return Err(meta.error("unknown argument of #[choice]"));
                }
                Ok(())
            })?;
        }
        aliases.extend(others.into_iter().map(|alias| {
            let name = name.clone();
            quote!((#alias, #name))
        }));
        variants.push(&variant.ident);
        names.push(name);
    }

    Ok(quote! {
        impl #ident {
            /// The value as it is written in a configuration.
            pub const fn as_str(self) -> &'static str {
                match self { #(Self::#variants => #names),* }
            }
        }

        impl ::sightflow_block::ConfigType for #ident {
            fn schema() -> ::sightflow_block::Value {
                ::sightflow_block::__private::choice_schema(&[#(#names),*], &[#(#aliases),*])
            }
        }

        impl ::sightflow_block::__private::serde::Serialize for #ident {
            fn serialize<S: ::sightflow_block::__private::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> ::sightflow_block::__private::serde::Deserialize<'de> for #ident {
            fn deserialize<D: ::sightflow_block::__private::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::std::result::Result<Self, D::Error> {
                const ALL: &[#ident] = &[#(#ident::#variants),*];
                ::sightflow_block::__private::read_choice(deserializer, &[#(#names),*]).map(|index| ALL[index])
            }
        }
    })
}

/// `FitWithin` → `fit_within`.
fn snake_case(name: &str) -> String {
    let mut text = String::new();
    for (index, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && index > 0 {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}
