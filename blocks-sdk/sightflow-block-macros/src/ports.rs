//! `#[derive(Inputs)]` and `#[derive(Outputs)]`: a struct becomes ports.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{DeriveInput, Error, Field, Result, Type};

use crate::attributes::{doc, fields, json_name, option_inner, string, strings, vec_inner};

struct PortField<'f> {
    field: &'f Field,
    name: String,
    kind: Option<String>,
    aliases: Vec<String>,
    many: bool,
    skippable: bool,
    exclusive: bool,
}

impl<'f> PortField<'f> {
    fn parse(field: &'f Field, output: bool) -> Result<Self> {
        let mut port = Self {
            field,
            name: json_name(field),
            kind: None,
            aliases: Vec::new(),
            many: false,
            skippable: false,
            exclusive: false,
        };
        for attribute in field.attrs.iter().filter(|a| a.path().is_ident("port")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("name") {
                    port.name = string(&meta)?;
                } else if meta.path.is_ident("kind") {
                    port.kind = Some(string(&meta)?);
                } else if meta.path.is_ident("aliases") {
                    port.aliases = strings(&meta)?;
                } else if meta.path.is_ident("many") && !output {
                    port.many = true;
                } else if meta.path.is_ident("skippable") && output {
                    port.skippable = true;
                } else if meta.path.is_ident("exclusive") && output {
                    (port.skippable, port.exclusive) = (true, true);
                } else {
                    return Err(meta.error("unknown argument of #[port]"));
                }
                Ok(())
            })?;
        }
        if port.skippable && port.inner().is_none() {
            return Err(Error::new_spanned(&field.ty, "a port that may be skipped is an `Option`"));
        }
        Ok(port)
    }

    fn inner(&self) -> Option<&'f Type> {
        option_inner(&self.field.ty)
    }

    /// The type without `Option`.
    fn bare(&self) -> &'f Type {
        self.inner().unwrap_or(&self.field.ty)
    }

    /// An expression of type `Port`.
    fn describe(&self) -> Result<TokenStream> {
        let Self { name, aliases, many, exclusive, .. } = self;
        let description = doc(&self.field.attrs);
        if description.is_empty() {
            return Err(Error::new_spanned(self.field, "a port needs a doc comment: it becomes the description"));
        }
        let required = self.inner().is_none();
        let kind = match &self.kind {
            Some(kind) => quote!(::sightflow_block::__private::kind(#kind)),
            None => {
                let ty = self.bare();
                let ty = if self.many { vec_inner(ty).unwrap_or(ty) } else { ty };
                quote!(<#ty as ::sightflow_block::PortType>::KIND)
            }
        };
        Ok(quote! {
            ::sightflow_block::Port {
                name: #name.to_owned(),
                kind: #kind,
                required: #required,
                many: #many,
                exclusive: #exclusive,
                aliases: ::std::vec![#(#aliases.to_owned()),*],
                description: #description.to_owned(),
            }
        })
    }
}

pub(crate) fn expand_inputs(item: &DeriveInput) -> Result<TokenStream> {
    let ident = &item.ident;
    let ports = fields(item, "Inputs")?.into_iter().map(|f| PortField::parse(f, false)).collect::<Result<Vec<_>>>()?;
    let described = ports.iter().map(PortField::describe).collect::<Result<Vec<_>>>()?;
    let names: Vec<_> = ports.iter().map(|p| &p.name).collect();
    let slots: Vec<_> = (0..ports.len()).map(|n| format_ident!("slot_{n}")).collect();
    let indexes: Vec<_> = (0..ports.len()).collect();
    let idents: Vec<_> = ports.iter().map(|p| &p.field.ident).collect();
    let types: Vec<_> = ports.iter().map(PortField::bare).collect();
    let finish = ports.iter().zip(&slots).map(|(port, slot)| {
        let name = &port.name;
        if port.inner().is_some() {
            quote!(#slot)
        } else {
            quote!(match #slot {
                ::std::option::Option::Some(value) => value,
                ::std::option::Option::None => {
                    *self.port = #name;
                    return ::std::result::Result::Err(::sightflow_block::__private::missing());
                }
            })
        }
    });

    Ok(quote! {
        impl ::sightflow_block::Inputs for #ident {
            fn ports() -> ::std::vec::Vec<::sightflow_block::Port> {
                ::std::vec![#(#described),*]
            }

            fn read(document: &str) -> ::std::result::Result<Self, ::sightflow_block::BlockError> {
                use ::sightflow_block::__private::serde::de;

                struct Reader<'p> { port: &'p mut &'static str }

                impl<'de> de::Visitor<'de> for Reader<'_> {
                    type Value = #ident;

                    fn expecting(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                        f.write_str("an object with the block's inputs")
                    }

                    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> ::std::result::Result<#ident, A::Error> {
                        #(let mut #slots: ::std::option::Option<#types> = ::std::option::Option::None;)*
                        while let ::std::option::Option::Some(index) =
                            map.next_key_seed(::sightflow_block::__private::Names(&[#(#names),*]))?
                        {
                            match index {
                                #(#indexes => {
                                    *self.port = #names;
                                    #slots = map.next_value()?;
                                })*
                                _ => { map.next_value::<de::IgnoredAny>()?; }
                            }
                        }
                        ::std::result::Result::Ok(#ident { #(#idents: #finish),* })
                    }
                }

                let mut port = "";
                ::sightflow_block::__private::read_object(document, Reader { port: &mut port })
                    .map_err(|error| ::sightflow_block::__private::input_error(&error, port))
            }
        }
    })
}

pub(crate) fn expand_outputs(item: &DeriveInput) -> Result<TokenStream> {
    let ident = &item.ident;
    let ports = fields(item, "Outputs")?.into_iter().map(|f| PortField::parse(f, true)).collect::<Result<Vec<_>>>()?;
    let described = ports.iter().map(PortField::describe).collect::<Result<Vec<_>>>()?;
    let entries = ports.iter().map(|port| {
        let (name, field) = (&port.name, &port.field.ident);
        if port.skippable {
            quote!(if let ::std::option::Option::Some(value) = &self.#field { map.serialize_entry(#name, value)?; })
        } else {
            quote!(map.serialize_entry(#name, &self.#field)?;)
        }
    });

    Ok(quote! {
        impl ::sightflow_block::Outputs for #ident {
            fn ports() -> ::std::vec::Vec<::sightflow_block::Port> {
                ::std::vec![#(#described),*]
            }
        }

        impl ::sightflow_block::__private::serde::Serialize for #ident {
            fn serialize<S: ::sightflow_block::__private::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::std::result::Result<S::Ok, S::Error> {
                use ::sightflow_block::__private::serde::ser::SerializeMap as _;
                let mut map = serializer.serialize_map(::std::option::Option::None)?;
                #(#entries)*
                map.end()
            }
        }
    })
}
