//! Workflows and their versions.

use serde_json::Value;
use sightflow_types::{Digest, Problem, TenantId, Timestamp, WorkflowId, WorkflowStatus};

use crate::{Execution, Idempotency};

/// A workflow with its newest definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Workflow {
    /// Its id.
    pub id: WorkflowId,
    /// Whose it is.
    pub tenant_id: TenantId,
    /// 1..255 characters.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// The newest definition, as the client sent it; null in a list without definitions.
    pub definition: Value,
    /// What the newest definition means: [`definition_digest`](crate::definition_digest).
    pub digest: Digest,
    /// Nodes of the newest definition.
    pub node_count: u32,
    /// Edges of the newest definition.
    pub edge_count: u32,
    /// What the check of the newest definition found.
    pub warnings: Vec<Problem>,
    /// Drafts and active workflows run.
    pub status: WorkflowStatus,
    /// Number of the newest version, from 1.
    pub version: u32,
    /// Executions that finished by themselves.
    pub run_count: u64,
    /// When the last of them ended.
    pub last_run_at: Option<Timestamp>,
    /// Mean duration of those executions.
    pub avg_duration_ms: Option<u64>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When anything about it changed last.
    pub updated_at: Timestamp,
}

/// What stands before a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkflowHead {
    /// Of the workflow.
    pub status: WorkflowStatus,
    /// The version that was asked for.
    pub version: u32,
    /// What its definition means: [`definition_digest`](crate::definition_digest).
    pub digest: Digest,
}

/// One saved version of a workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkflowVersion {
    /// From 1, dense.
    pub version: u32,
    /// Of the definition without its layout (`viewport`, node positions), keys sorted.
    pub digest: Digest,
    /// The definition; null in a list.
    pub definition: Value,
    /// Nodes of the definition.
    pub node_count: u32,
    /// What the author said about the change.
    pub change_summary: Option<String>,
    /// Who saved it, for example an API key's id.
    pub changed_by: Option<String>,
    /// When it was saved.
    pub created_at: Timestamp,
}

/// What a create answered, and whether it was created by an earlier request with the same key.
#[derive(Debug, Clone, PartialEq)]
pub struct Created<T> {
    /// The row, as it is now.
    pub value: T,
    /// True when nothing was written: the same key came before.
    pub replayed: bool,
}

/// What an earlier request with the same key made, as it is now.
#[derive(Debug, Clone, PartialEq)]
pub enum Replayed {
    /// A run.
    Execution(Box<Execution>),
    /// A workflow, or a version of one.
    Workflow(Box<Workflow>),
}

/// A workflow to create; its definition becomes version 1.
#[derive(Debug, Clone)]
pub struct NewWorkflow {
    /// Whose it will be.
    pub tenant_id: TenantId,
    /// 1..255 characters.
    pub name: String,
    /// Free text.
    pub description: Option<String>,
    /// A definition that was validated.
    pub definition: Value,
    /// What its check found.
    pub warnings: Vec<Problem>,
    /// First status.
    pub status: WorkflowStatus,
    /// Who creates it.
    pub changed_by: Option<String>,
    /// The client's key, if it sent one.
    pub idempotency: Option<Idempotency>,
}

/// What to change about a workflow; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct WorkflowChange {
    /// New name.
    pub name: Option<String>,
    /// New description; `Some(None)` clears it.
    pub description: Option<Option<String>>,
    /// New status.
    pub status: Option<WorkflowStatus>,
    /// New definition, whole. A change beyond layout makes a version.
    pub definition: Option<Value>,
    /// What the check of the definition found.
    pub warnings: Option<Vec<Problem>>,
    /// Said about the new version.
    pub change_summary: Option<String>,
    /// Who changes it.
    pub changed_by: Option<String>,
    /// Refuse with `StaleVersion` unless this is the newest version.
    pub expected_version: Option<u32>,
    /// The client's key, if it sent one.
    pub idempotency: Option<Idempotency>,
}

/// Which workflows to list.
#[derive(Debug, Clone, Default)]
pub struct WorkflowFilter {
    /// Part of the name or description, in any case and normal form.
    pub search: Option<String>,
    /// Only this status.
    pub status: Option<WorkflowStatus>,
}

/// Whether a list carries definitions, each of which can be a mebibyte of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Definitions {
    /// They are null.
    Omit,
    /// They are read.
    Include,
}

/// What a delete does about executions that have not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenExecutions {
    /// Refuse with `InUse`.
    Refuse,
    /// Cancel them in the same transaction.
    Cancel,
}
