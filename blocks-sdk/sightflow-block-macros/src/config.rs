//! `#[derive(Config)]`: a struct becomes a JSON schema and the code that reads it.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::meta::ParseNestedMeta;
use syn::{DeriveInput, Error, Expr, Field, Ident, LitStr, Result, Token, Type, parenthesized};

use crate::attributes::{doc, fields, json_name, option_inner, string, strings};

struct Key<'f> {
    field: &'f Field,
    name: String,
    default: Option<Expr>,
    /// Keywords added to the property's schema: name and value.
    keywords: Vec<(String, TokenStream)>,
    /// Filled in by the engine, not by the user; the keyword of the schema's root that asks for it.
    reserved: Option<&'static str>,
}

impl<'f> Key<'f> {
    fn parse(field: &'f Field) -> Result<Self> {
        let mut key = Self { field, name: json_name(field), default: None, keywords: Vec::new(), reserved: None };
        let description = doc(&field.attrs);
        if description.is_empty() {
            return Err(Error::new_spanned(field, "a key needs a doc comment: it becomes the description"));
        }
        key.keywords.push(("description".to_owned(), quote!(#description)));
        for attribute in field.attrs.iter().filter(|a| a.path().is_ident("config")) {
            attribute.parse_nested_meta(|meta| key.argument(&meta))?;
        }
        if key.reserved.is_some() && key.default.is_none() {
            key.default = Some(syn::parse_quote!(::std::default::Default::default()));
        }
        if let (Some(default), Some(_)) = (&key.default, key.inner()) {
            return Err(Error::new_spanned(default, "an `Option` has no default; leave the `Option` away"));
        }
        Ok(key)
    }

    fn argument(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let argument = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        let keyword = match argument.as_str() {
            "default" => {
                let given: Expr = meta.value()?.parse()?;
                // A text is written as one, whatever owned type the field has.
                let text = matches!(&given, Expr::Lit(literal) if matches!(literal.lit, syn::Lit::Str(_)));
                self.default = Some(if text { syn::parse_quote!(::std::convert::Into::into(#given)) } else { given });
                return Ok(());
            }
            "name" => {
                self.name = string(meta)?;
                return Ok(());
            }
            "aliases" => {
                let aliases = strings(meta)?;
                self.keywords.push(("x-aliases".to_owned(), quote!([#(#aliases),*])));
                return Ok(());
            }
            "template" => {
                self.keywords.push(("x-template".to_owned(), quote!(true)));
                return Ok(());
            }
            "params" | "context" => {
                self.name = format!("${argument}");
                self.reserved = Some(if argument == "params" { "x-params" } else { "x-context" });
                return Ok(());
            }
            "advanced" => {
                self.keywords.push(("x-advanced".to_owned(), quote!(true)));
                return Ok(());
            }
            "min" => "minimum",
            "max" => "maximum",
            "above" => "exclusiveMinimum",
            "below" => "exclusiveMaximum",
            "min_items" => "minItems",
            "max_items" => "maxItems",
            "min_length" => "minLength",
            "max_length" => "maxLength",
            "pattern" => "pattern",
            "widget" => "x-widget",
            _ => return Err(meta.error("unknown argument of #[config]")),
        };
        let value: Expr = meta.value()?.parse()?;
        self.keywords.push((keyword.to_owned(), quote!(#value)));
        Ok(())
    }

    fn inner(&self) -> Option<&'f Type> {
        option_inner(&self.field.ty)
    }

    fn bare(&self) -> &'f Type {
        self.inner().unwrap_or(&self.field.ty)
    }

    fn describe(&self) -> TokenStream {
        if let Some(keyword) = self.reserved {
            return quote!(schema.set(#keyword, true););
        }
        let (name, ty, whole) = (&self.name, self.bare(), &self.field.ty);
        let (words, values): (Vec<_>, Vec<_>) = self.keywords.iter().map(|(word, value)| (word, value)).unzip();
        let default = self.default.as_ref().map(|default| {
            quote! {
                let default: #whole = #default;
                property.set("default", default);
            }
        });
        let required = self.default.is_none() && self.inner().is_none();
        quote! {{
            let mut property = ::sightflow_block::__private::Schema::new(<#ty as ::sightflow_block::ConfigType>::schema());
            #(property.set(#words, #values);)*
            #default
            schema.property(#name, property, #required);
        }}
    }

    /// The value of the field, from the variable that holds what was read.
    fn finish(&self, slot: &Ident) -> TokenStream {
        let name = &self.name;
        match &self.default {
            _ if self.inner().is_some() => quote!(#slot),
            Some(default) => quote!(match #slot {
                ::std::option::Option::Some(value) => value,
                ::std::option::Option::None => #default,
            }),
            None => quote!(match #slot {
                ::std::option::Option::Some(value) => value,
                ::std::option::Option::None => return ::std::result::Result::Err(de::Error::missing_field(#name)),
            }),
        }
    }
}

pub(crate) fn expand(item: &DeriveInput) -> Result<TokenStream> {
    let ident = &item.ident;
    let keys = fields(item, "Config")?.into_iter().map(Key::parse).collect::<Result<Vec<_>>>()?;
    let hints = hints(item)?;
    let described = keys.iter().map(Key::describe);
    let names: Vec<_> = keys.iter().map(|k| &k.name).collect();
    let slots: Vec<_> = (0..keys.len()).map(|n| format_ident!("slot_{n}")).collect();
    let indexes: Vec<_> = (0..keys.len()).collect();
    let idents: Vec<_> = keys.iter().map(|k| &k.field.ident).collect();
    let types: Vec<_> = keys.iter().map(Key::bare).collect();
    let finish = keys.iter().zip(&slots).map(|(key, slot)| key.finish(slot));

    Ok(quote! {
        impl ::sightflow_block::ConfigType for #ident {
            fn schema() -> ::sightflow_block::Value {
                let mut schema = ::sightflow_block::__private::Schema::object();
                #(#described)*
                #(#hints)*
                schema.finish()
            }
        }

        impl<'de> ::sightflow_block::__private::serde::Deserialize<'de> for #ident {
            fn deserialize<D: ::sightflow_block::__private::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::std::result::Result<Self, D::Error> {
                use ::sightflow_block::__private::serde::de;

                struct Reader;

                impl<'de> de::Visitor<'de> for Reader {
                    type Value = #ident;

                    fn expecting(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                        f.write_str("a configuration object")
                    }

                    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> ::std::result::Result<#ident, A::Error> {
                        #(let mut #slots: ::std::option::Option<#types> = ::std::option::Option::None;)*
                        while let ::std::option::Option::Some(index) =
                            map.next_key_seed(::sightflow_block::__private::Names(&[#(#names),*]))?
                        {
                            match index {
                                #(#indexes => #slots = ::std::option::Option::Some(
                                    map.next_value::<#types>().map_err(|error| ::sightflow_block::__private::at_key(&error, #names))?
                                ),)*
                                _ => return ::std::result::Result::Err(de::Error::custom("unknown key")),
                            }
                        }
                        ::std::result::Result::Ok(#ident { #(#idents: #finish),* })
                    }
                }

                deserializer.deserialize_map(Reader)
            }
        }
    })
}

/// Statements that add the schema root's hints to `schema`.
fn hints(item: &DeriveInput) -> Result<Vec<TokenStream>> {
    let mut hints = Vec::new();
    for attribute in item.attrs.iter().filter(|a| a.path().is_ident("config")) {
        attribute.parse_nested_meta(|meta| {
            let argument = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
            match argument.as_str() {
                "records" => {
                    let ports = strings(&meta)?;
                    hints.push(quote!(schema.set("x-record-ports", [#(#ports),*]);));
                }
                "dropped" => {
                    let keys = strings(&meta)?;
                    hints.push(quote!(schema.dropped(&[#(#keys),*]);));
                }
                "refused" => {
                    for (key, hint) in pairs(&meta)? {
                        hints.push(quote!(schema.refused(#key, #hint);));
                    }
                }
                "rewrite" => {
                    let mut pairs = pairs(&meta)?.into_iter();
                    let Some((given, value)) = pairs.next() else {
                        return Err(meta.error("rewrite needs `given = value`"));
                    };
                    let (keys, values): (Vec<_>, Vec<_>) = pairs.unzip();
                    hints.push(quote! {
                        schema.rewrite(#given, &::sightflow_block::__private::literal(#value), &[
                            #((#keys, ::sightflow_block::__private::literal(#values))),*
                        ]);
                    });
                }
                _ => return Err(meta.error("unknown argument of #[config]")),
            }
            Ok(())
        })?;
    }
    Ok(hints)
}

/// `(key = value, …)`; a key that is no identifier is written as a string.
fn pairs(meta: &ParseNestedMeta<'_>) -> Result<Vec<(String, Expr)>> {
    let content;
    parenthesized!(content in meta.input);
    let mut pairs = Vec::new();
    while !content.is_empty() {
        let key = if content.peek(LitStr) {
            content.parse::<LitStr>()?.value()
        } else {
            content.parse::<Ident>()?.to_string()
        };
        content.parse::<Token![=]>()?;
        pairs.push((key, content.parse()?));
        if !content.is_empty() {
            content.parse::<Token![,]>()?;
        }
    }
    Ok(pairs)
}
