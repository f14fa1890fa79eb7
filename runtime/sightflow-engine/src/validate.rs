//! Everything that a save checks: the plan, and what component blocks say about their own nodes.

use std::time::{Duration, Instant};

use serde_json::Value;
use sightflow_types::{Problem, TenantId};

use crate::catalog::Catalog;
use crate::host::{BlockHost, CheckContext};
use crate::models::ModelCatalog;
use crate::plan::{Compiled, DefinitionLimits, compile_with_checks};

/// Time that all checks of one definition may take together.
const CHECKS: Duration = Duration::from_secs(5);

/// Compiles a definition and asks its component blocks for their own checks: everything that a save checks.
pub async fn validate(
    definition: &Value,
    catalog: &Catalog,
    models: &ModelCatalog,
    limits: &DefinitionLimits,
    host: &dyn BlockHost,
    tenant: TenantId,
) -> Compiled {
    let (mut compiled, checks) = compile_with_checks(definition, catalog, models, limits);
    let deadline = Instant::now() + CHECKS;
    for check in checks {
        let context = CheckContext { tenant, wired: check.wired, dynamic: check.dynamic };
        match host.check(&check.entry.block, &Value::Object(check.config), &context, deadline).await {
            Ok(found) => {
                for mut problem in found {
                    problem.pointer = format!("/nodes/{}{}", check.node, problem.pointer);
                    if problem.code.starts_with("W-") {
                        compiled.warnings.push(problem);
                    } else {
                        compiled.errors.push(problem);
                    }
                }
            }
            Err(error) => compiled.errors.push(Problem::new(
                error.code.clone(),
                format!("/nodes/{}", check.node),
                format!("`{}` could not be checked: {error}", check.entry.block_type),
            )),
        }
    }
    if !compiled.errors.is_empty() {
        compiled.plan = None;
    }
    compiled.shown()
}
