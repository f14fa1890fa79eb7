//! Closed sets of the wire, as the OpenAPI document lists them.

use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

macro_rules! closed_sets {
    ($($name:ident),+ $(,)?) => {
        $(
            #[doc = concat!("The values of `", stringify!($name), "`.")]
            pub(crate) struct $name;

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    let values = sightflow_types::$name::ALL.iter().map(|value| value.as_str());
                    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(values)).into()
                }
            }

            impl ToSchema for $name {}
        )+
    };
}

closed_sets!(WorkflowStatus, ExecutionStatus, ExecutionMode, JobStatus, Task, ModelSource);

/// A moment: RFC 3339, UTC, milliseconds.
pub(crate) struct Time;

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .examples(["2026-11-23T09:12:44.031Z"])
            .into()
    }
}

impl ToSchema for Time {}
