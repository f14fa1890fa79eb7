//! What can go wrong between a caller and the database.

use sightflow_types::Digest;

/// Every operation of the store ends with its value or with one of these.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No such row, or it belongs to another tenant.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// The same idempotency key came with another request.
    #[error("the idempotency key was used for a different request")]
    IdempotencyConflict,
    /// The row is no longer at the version that the caller expected.
    #[error("the version is {current}, not {expected}")]
    StaleVersion {
        /// What the caller had read.
        expected: u32,
        /// What is stored.
        current: u32,
    },
    /// The execution has ended; what was asked needs one that has not.
    #[error("the execution has already ended")]
    AlreadyTerminal,
    /// The execution has not ended; what was asked needs one that has.
    #[error("the execution has not ended yet")]
    NotTerminal,
    /// Something still uses the row.
    #[error("{0} is in use")]
    InUse(&'static str),
    /// The workflow is archived and does not run.
    #[error("the workflow is archived")]
    Archived,
    /// A row with this name exists.
    #[error("{0} already exists")]
    AlreadyExists(&'static str),
    /// The state of the row does not allow what was asked.
    #[error("{0}")]
    Conflict(String),
    /// The tenant has as much as it may have.
    #[error("{0}")]
    Quota(String),
    /// The caller's lease was taken away: stop, and discard what was being done.
    #[error("the lease was lost")]
    StaleLease,
    /// A named image is not stored, or this tenant holds no reference to it.
    #[error("blob {0} is not available")]
    MissingBlob(Digest),
    /// The bytes are being deleted, or were deleted since they were stored: store them again and repeat the request.
    #[error("blob {0} was deleted meanwhile")]
    BlobBusy(Digest),
    /// A value that the schema does not allow, or that is larger than the database takes.
    #[error("the database refused the value: {0}")]
    Refused(String),
    /// Another process owns the file.
    #[error("{path} is in use by process {process}")]
    Locked {
        /// The database file.
        path: String,
        /// Id of the process that owns it, or `unknown`.
        process: String,
    },
    /// The schema is newer than this program, or an applied migration was changed.
    #[error("the schema does not fit this program: {0}")]
    Schema(String),
    /// The database cannot be reached or cannot write now; nothing was recorded.
    #[error("the database is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A fault of this program; nothing was recorded.
    #[error("an internal fault: {0}")]
    Internal(String),
    /// A workflow, or a version of one, that is stored but cannot be read. A new definition mends it.
    #[error("the stored workflow is unreadable: {0}")]
    DamagedWorkflow(String),
    /// A stored value that this program cannot read.
    #[error("a stored value is unreadable: {0}")]
    Corrupt(String),
}

/// SQLite's code for a text or blob that is larger than it takes.
const SQLITE_TOOBIG: &str = "18";

/// Shorthand for the store's results.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

impl StoreError {
    pub(crate) fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(source.into())
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error)
                if error.is_check_violation()
                    || error.is_foreign_key_violation()
                    || error.is_unique_violation()
                    || error.code().as_deref() == Some(SQLITE_TOOBIG) =>
            {
                Self::Refused(error.message().to_owned())
            }
            sqlx::Error::ColumnDecode { index, source } => Self::Corrupt(format!("column {index}: {source}")),
            sqlx::Error::Decode(source) => Self::Corrupt(source.to_string()),
            other => Self::unavailable(other),
        }
    }
}
