//! State machines and closed sets, with the names that the API and the database use.

/// A text that names no member of a closed set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} `{text}`")]
pub struct UnknownState {
    /// The set, for example `job status`.
    pub what: &'static str,
    /// What was given.
    pub text: String,
}

/// Defines an enum whose members have names of their own on the wire and in the database: `ALL`, `as_str`, `Display`,
/// `FromStr`, serde. The crate that uses it needs `serde`.
///
/// ```
/// sightflow_types::closed_set!(
/// /// Where a door stands.
/// Door, "door", {
///     /// Nobody passes.
///     Closed = "closed",
///     /// Everybody passes.
///     Open = "open",
/// });
/// assert_eq!("open".parse::<Door>(), Ok(Door::Open));
/// assert_eq!("ajar".parse::<Door>().unwrap_err().to_string(), "unknown door `ajar`");
/// ```
#[macro_export]
macro_rules! closed_set {
    ($(#[$doc:meta])* $name:ident, $what:literal, { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every member, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name used on the wire and in the database.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::UnknownState;

            fn from_str(text: &str) -> Result<Self, $crate::UnknownState> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::UnknownState { what: $what, text: text.to_owned() }),
                }
            }
        }
    };
}

closed_set!(
/// Where a workflow stands; drafts and active ones run.
WorkflowStatus, "workflow status", {
    /// Being edited.
    Draft = "draft",
    /// In use.
    Active = "active",
    /// Kept, not runnable.
    Archived = "archived",
});
closed_set!(
/// An execution: `pending → running → completed | failed | cancelled`.
ExecutionStatus, "execution status", {
    /// Accepted, waiting for an engine.
    Pending = "pending",
    /// An engine holds its lease.
    Running = "running",
    /// Every node that should have run did.
    Completed = "completed",
    /// A node failed, or time ran out.
    Failed = "failed",
    /// Cancelled by a client.
    Cancelled = "cancelled",
});
closed_set!(
/// How a client asked for a run.
ExecutionMode, "mode", {
    /// Answer at once.
    Async = "async",
    /// Answer when it is done.
    Sync = "sync",
    /// Same as `async`; kept for clients that send it.
    Background = "background",
});
closed_set!(
/// An inference job.
JobStatus, "job status", {
    /// Deferred: waiting for a retry or for its model.
    Pending = "pending",
    /// Claimable.
    Queued = "queued",
    /// Leased to a worker.
    Running = "running",
    /// Result recorded.
    Completed = "completed",
    /// Gave up.
    Failed = "failed",
    /// Its execution was cancelled.
    Cancelled = "cancelled",
});
closed_set!(
/// A node of one execution.
NodeStatus, "node status", {
    /// Not yet ready.
    Pending = "pending",
    /// Started.
    Running = "running",
    /// Delivered its outputs.
    Completed = "completed",
    /// Not run: a required input was absent.
    Skipped = "skipped",
    /// Ended with an error.
    Failed = "failed",
    /// Stopped with its execution.
    Cancelled = "cancelled",
});
closed_set!(
/// What a model does.
Task, "task", {
    /// Boxes with classes.
    Detection = "detection",
    /// Class probabilities of a whole image.
    Classification = "classification",
    /// A feature vector.
    Embedding = "embedding",
    /// Masks.
    Segmentation = "segmentation",
});
closed_set!(
/// Which registry a model comes from.
ModelSource, "model source", {
    /// Shipped or downloaded weights.
    Pretrained = "pretrained",
    /// A tenant's own weights.
    Trained = "trained",
});

impl ExecutionStatus {
    /// True for the three states that never change.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

impl JobStatus {
    /// True for the three states that never change.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}
