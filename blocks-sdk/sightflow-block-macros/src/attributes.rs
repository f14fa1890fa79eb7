//! What every macro reads from attributes: doc comments, lists of strings, `Option` and `Vec` around a type.

use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, Field, Fields, GenericArgument, Lit, LitStr, Meta, PathArguments,
    Result, Token, Type, parenthesized,
};

/// The doc comment: lines joined to paragraphs, paragraphs separated by a blank line.
pub(crate) fn doc(attributes: &[Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes.iter().filter(|a| a.path().is_ident("doc")) {
        let Meta::NameValue(pair) = &attribute.meta else { continue };
        let Expr::Lit(literal) = &pair.value else { continue };
        let Lit::Str(line) = &literal.lit else { continue };
        let line = line.value();
        let line = line.trim();
        if line.is_empty() {
            if !text.is_empty() {
                text.push_str("\n\n");
            }
        } else {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push(' ');
            }
            text.push_str(line);
        }
    }
    text.trim_end().to_owned()
}

/// `("a", "b")` after the name of an attribute.
pub(crate) fn strings(meta: &ParseNestedMeta<'_>) -> Result<Vec<String>> {
    let content;
    parenthesized!(content in meta.input);
    let list = Punctuated::<LitStr, Token![,]>::parse_terminated_with(&content, <LitStr as syn::parse::Parse>::parse)?;
    Ok(list.iter().map(LitStr::value).collect())
}

/// `= "text"` after the name of an attribute.
pub(crate) fn string(meta: &ParseNestedMeta<'_>) -> Result<String> {
    Ok(meta.value()?.parse::<LitStr>()?.value())
}

/// The `T` of `Option<T>`.
pub(crate) fn option_inner(ty: &Type) -> Option<&Type> {
    generic_inner(ty, "Option")
}

/// The `T` of `Vec<T>`.
pub(crate) fn vec_inner(ty: &Type) -> Option<&Type> {
    generic_inner(ty, "Vec")
}

fn generic_inner<'t>(ty: &'t Type, name: &str) -> Option<&'t Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last().filter(|segment| segment.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first() {
        Some(GenericArgument::Type(inner)) => Some(inner),
        _ => None,
    }
}

/// The named fields of a struct, or of an empty struct none.
pub(crate) fn fields<'i>(item: &'i DeriveInput, derive: &str) -> Result<Vec<&'i Field>> {
    if !item.generics.params.is_empty() {
        return Err(Error::new_spanned(&item.generics, format!("{derive} needs a struct without type parameters")));
    }
    match &item.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(named) => Ok(named.named.iter().collect()),
            Fields::Unit => Ok(Vec::new()),
            Fields::Unnamed(_) => Err(Error::new_spanned(&item.ident, format!("{derive} needs named fields"))),
        },
        _ => Err(Error::new_spanned(&item.ident, format!("{derive} needs a struct"))),
    }
}

/// The field's name as it is written in JSON.
pub(crate) fn json_name(field: &Field) -> String {
    let name = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
    name.strip_prefix("r#").map_or(name.clone(), str::to_owned)
}
