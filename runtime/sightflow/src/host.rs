//! Joins engine and sandbox: what the engine asks for, in the sandbox's terms.

use std::collections::HashMap;

use async_trait::async_trait;
use serde_json::{Value, json};
use sightflow_engine::{
    BlockHost, BlockRef, CallContext, CallError, Catalog, CatalogError, CheckContext, Package, Payload,
};
use sightflow_sandbox::{BlockRegistry, CallFailure, Limits, Sandbox};
use sightflow_types::{Digest, Problem};

/// Component blocks, run in the sandbox.
pub struct SandboxHost {
    sandbox: Sandbox,
    packages: HashMap<Digest, sightflow_sandbox::Package>,
}

impl SandboxHost {
    /// A host for the packages of a registry.
    pub fn new(sandbox: Sandbox, registry: &BlockRegistry) -> Self {
        let packages = registry.packages().iter().map(|package| (package.digest(), package.clone())).collect();
        Self { sandbox, packages }
    }

    /// The catalogue of the engine's own blocks and this host's.
    ///
    /// # Errors
    /// When two blocks have one name, or a manifest's schema is broken.
    pub fn catalog(&self) -> Result<Catalog, CatalogError> {
        Catalog::new(self.packages.values().map(|package| Package {
            name: package.name().to_owned(),
            version: package.version().clone(),
            digest: package.digest(),
            manifests: package.manifests().to_vec(),
        }))
    }

    fn package(&self, block: &BlockRef) -> Result<&sightflow_sandbox::Package, CallError> {
        let found = block.digest.and_then(|digest| self.packages.get(&digest));
        found.ok_or_else(|| {
            CallError::internal(format!("the package `{}` of block `{}` is not loaded", block.package, block.name))
        })
    }
}

#[async_trait]
impl BlockHost for SandboxHost {
    async fn call(
        &self,
        block: &BlockRef,
        config: &str,
        payload: Payload,
        context: CallContext,
    ) -> Result<Payload, CallError> {
        let defaults = Limits::default();
        let limits =
            Limits { wall: context.timeout.map_or(defaults.wall, |timeout| timeout.min(defaults.wall)), ..defaults };
        let payload = sightflow_sandbox::Payload { document: payload.document, images: payload.images };
        let conditions = sightflow_sandbox::CallContext { limits, cancel: context.cancel };
        let called = self.sandbox.call(self.package(block)?, &block.name, config, payload, &conditions).await;
        let (logs, answer) = match called {
            Ok(outcome) => {
                (outcome.logs, Ok(Payload { document: outcome.payload.document, images: outcome.payload.images }))
            }
            Err(failure) => (failure.logs.clone(), Err(failed(&failure))),
        };
        for line in logs.lines {
            tracing::debug!(node.id = context.node_id, block.name, block.level = ?line.level, "{}", line.message);
        }
        answer
    }

    async fn check(&self, block: &BlockRef, config: &Value, context: &CheckContext) -> Result<Vec<Problem>, CallError> {
        let wiring = json!({"wired": context.wired, "dynamic": context.dynamic}).to_string();
        let conditions = sightflow_sandbox::CallContext::default();
        let checked =
            self.sandbox.check(self.package(block)?, &block.name, &config.to_string(), &wiring, &conditions).await;
        checked.map_err(|failure| failed(&failure))
    }
}

fn failed(failure: &CallFailure) -> CallError {
    let error = &failure.error;
    CallError {
        code: error.code().to_owned(),
        message: error.to_string(),
        retryable: error.retryable(),
        cause: Vec::new(),
    }
}
