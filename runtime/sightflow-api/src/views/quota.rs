//! What a tenant may have.

use serde::{Deserialize, Serialize};
use sightflow_store::{Quota, QuotaChanges, Quotas};
use utoipa::ToSchema;

/// Largest value: what every JSON reader takes as it is.
const MOST: f64 = 9_007_199_254_740_991.0;

macro_rules! quotas {
    ($($(#[$doc:meta])* $field:ident = $quota:ident),+ $(,)?) => {
        /// What a tenant may have; null is no limit.
        #[derive(Debug, Serialize, ToSchema)]
        #[schema(as = Quotas)]
        pub(crate) struct QuotaView { $($(#[$doc])* $field: Option<u64>),+ }

        impl From<&Quotas> for QuotaView {
            fn from(quotas: &Quotas) -> Self {
                Self { $($field: quotas.of(Quota::$quota)),+ }
            }
        }

        /// What a tenant is to have; null is no limit, and what is left out is the default.
        #[derive(Debug, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct QuotaBody {
            $($(#[$doc])* #[serde(default, deserialize_with = "whole")] #[schema(value_type = Option<u64>, minimum = 0, maximum = 9007199254740991i64)]
            $field: Option<Option<u64>>),+
        }

        impl QuotaBody {
            /// What differs from the defaults.
            pub(crate) fn changes(&self) -> QuotaChanges {
                let all = [$((Quota::$quota, self.$field)),+];
                all.into_iter().filter_map(|(quota, value)| Some((quota, value?))).collect()
            }
        }
    };
}

quotas! {
    /// Requests of each key in a minute.
    requests_per_minute = RequestsPerMinute,
    /// Runs that each key starts in a minute.
    runs_per_minute = RunsPerMinute,
    /// Executions that wait for an engine.
    queued_executions = QueuedExecutions,
    /// Highest priority of a run, 1 to 10.
    max_priority = MaxPriority,
    /// Longest time of a run, in seconds.
    max_timeout_seconds = MaxTimeoutSeconds,
    /// Block packages that were not deleted.
    packages = Packages,
    /// Bytes of all versions of block packages.
    package_bytes = PackageBytes,
}

/// JSON knows numbers and no integers: `100.0` is as good as `100`.
fn whole<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u64>>, D::Error> {
    let Some(number) = Option::<f64>::deserialize(deserializer)? else { return Ok(Some(None)) };
    if number.fract() == 0.0 && (0.0..=MOST).contains(&number) {
        return Ok(Some(Some(number as u64)));
    }
    Err(serde::de::Error::custom(format_args!("{number} is not a whole number of 0 to {MOST}")))
}
