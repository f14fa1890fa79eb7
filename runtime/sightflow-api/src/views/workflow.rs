//! A workflow on the wire.

use serde::Serialize;
use serde_json::Value;
use sightflow_store::{Workflow, WorkflowVersion};
use sightflow_types::{Timestamp, WorkflowId, WorkflowStatus};
use utoipa::ToSchema;

use crate::error::Detail;
use crate::schema;

/// A saved workflow.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Workflow)]
pub(crate) struct WorkflowView {
    #[schema(value_type = schema::WorkflowId)]
    pub(crate) id: WorkflowId,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    #[schema(value_type = schema::WorkflowStatus)]
    pub(crate) status: WorkflowStatus,
    /// Rises by one with every saved change of the definition.
    pub(crate) version: u32,
    /// As the client wrote it; left out of lists unless `include=definition`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) definition: Option<Value>,
    pub(crate) node_count: u32,
    pub(crate) edge_count: u32,
    /// What validation found without refusing.
    pub(crate) warnings: Vec<Detail>,
    pub(crate) run_count: u64,
    #[schema(value_type = Option<schema::Time>)]
    pub(crate) last_run_at: Option<Timestamp>,
    /// Mean of the completed executions.
    pub(crate) avg_duration_ms: Option<u64>,
    #[schema(value_type = schema::Time)]
    pub(crate) created_at: Timestamp,
    #[schema(value_type = schema::Time)]
    pub(crate) updated_at: Timestamp,
}

/// One version of a workflow's definition.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WorkflowVersion)]
pub(crate) struct VersionView {
    pub(crate) version: u32,
    /// SHA-256 of the canonical definition.
    #[schema(value_type = schema::Digest)]
    pub(crate) digest: String,
    pub(crate) change_summary: Option<String>,
    pub(crate) changed_by: Option<String>,
    #[schema(value_type = schema::Time)]
    pub(crate) created_at: Timestamp,
    pub(crate) node_count: u32,
    /// Only when one version is read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) definition: Option<Value>,
}

impl WorkflowView {
    /// One workflow with its definition.
    pub(crate) fn full(row: Workflow) -> Self {
        let definition = row.definition.clone();
        Self { definition: Some(definition), ..Self::item(row) }
    }

    /// An item of a list: without the definition.
    pub(crate) fn item(row: Workflow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            description: row.description,
            status: row.status,
            version: row.version,
            node_count: row.node_count,
            edge_count: row.edge_count,
            definition: None,
            warnings: row.warnings.into_iter().map(Detail::from).collect(),
            run_count: row.run_count,
            last_run_at: row.last_run_at,
            avg_duration_ms: row.avg_duration_ms,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl VersionView {
    /// One version with its definition.
    pub(crate) fn full(row: WorkflowVersion) -> Self {
        let definition = row.definition.clone();
        Self { definition: Some(definition), ..Self::item(row) }
    }

    /// An item of a list.
    pub(crate) fn item(row: WorkflowVersion) -> Self {
        Self {
            version: row.version,
            digest: row.digest.to_string(),
            change_summary: row.change_summary,
            changed_by: row.changed_by,
            created_at: row.created_at,
            node_count: row.node_count,
            definition: None,
        }
    }
}

/// Something was deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Deleted {
    /// Of what was deleted.
    pub(crate) id: String,
    /// Always true.
    pub(crate) deleted: bool,
}
