//! Closed sets of the wire, as the OpenAPI document lists them.

use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

macro_rules! closed_sets {
    ($home:ident: $($name:ident),+ $(,)?) => {
        $(
            #[doc = concat!("The values of `", stringify!($name), "`.")]
            pub(crate) struct $name;

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    let values = $home::$name::ALL.iter().map(|value| value.as_str());
                    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(values)).into()
                }
            }

            impl ToSchema for $name {}
        )+
    };
}

closed_sets!(sightflow_store: Scope, TenantStatus, UsageBy);
closed_sets!(sightflow_types: WorkflowStatus, ExecutionStatus, ExecutionMode, JobStatus, Task, ModelSource);

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

macro_rules! patterns {
    ($($(#[$doc:meta])* $name:ident, $pattern:expr, $example:expr;)+) => {
        $(
            $(#[$doc])*
            pub(crate) struct $name;

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    ObjectBuilder::new()
                        .schema_type(Type::String)
                        .pattern(Some($pattern))
                        .examples([$example])
                        .into()
                }
            }

            impl ToSchema for $name {}
        )+
    };
}

/// A UUID, with or without the prefix of its kind.
macro_rules! id {
    ($prefix:literal) => {
        concat!("^(", $prefix, ")?[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$")
    };
}

patterns! {
    /// Id of a workflow; answers carry the prefix.
    WorkflowId, id!("wf_"), "wf_019ab3c0-5d1e-7c43-9a0e-0c4be2a6d5f1";
    /// Id of an execution; answers carry the prefix.
    ExecutionId, id!("exe_"), "exe_019ab3c0-5d1e-7c43-9a0e-0c4be2a6d5f1";
    /// Id of an inference job; answers carry the prefix.
    JobId, id!("job_"), "job_019ab3c0-5d1e-7c43-9a0e-0c4be2a6d5f1";
    /// Id of a worker or engine; answers carry the prefix.
    WorkerId, id!("wrk_"), "wrk_019ab3c0-5d1e-7c43-9a0e-0c4be2a6d5f1";
    /// Id of a block package; answers carry the prefix.
    PackageId, id!("blk_"), "blk_019ab3c0-5d1e-7c43-9a0e-0c4be2a6d5f1";
    /// Id of a tenant; answers carry the prefix.
    TenantId, id!("ten_"), "ten_019ab3c0-5d1e-7c43-9a0e-0c4be2a6d5f1";
    /// Id of an effect; answers carry the prefix.
    EffectId, id!("eff_"), "eff_019ab3c0-5d1e-7c43-9a0e-0c4be2a6d5f1";
    /// Id of a key; answers carry the prefix.
    KeyId, id!("key_"), "key_019ab3c0-5d1e-7c43-9a0e-0c4be2a6d5f1";
    /// Id of a batch; answers carry the prefix.
    BatchId, id!("bat_"), "bat_019ab3c0-5d1e-7c43-9a0e-0c4be2a6d5f1";
    /// SHA-256 of some bytes.
    Digest, "^sha256:[0-9a-f]{64}$", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    /// What makes a repeated request harmless: kept for 24 hours.
    IdempotencyKey, "^[!-~]([ -~]{0,253}[!-~])?$", "5f2c9a52";
    /// A part of an image in pixels: `x,y,width,height`.
    Crop, "^[0-9]{1,5},[0-9]{1,5},[1-9][0-9]{0,4},[1-9][0-9]{0,4}$", "0,0,640,480";
    /// From `next_cursor` of a page with the same filters.
    Cursor, "^[A-Za-z0-9_-]+$", "AAAAAAAAAAA";
}
