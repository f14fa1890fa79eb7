//! Plans of definitions that ran before, for everybody in the process who needs one: compiled once, off the async threads.

mod flights;
mod kept;
mod registry;

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use sightflow_store::{Store, StoreError, definition_digest};
use sightflow_types::{Digest, Problem, TenantId};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinError;

use self::flights::Flights;
use self::kept::{Kept, Known};
use self::registry::Registry;
use crate::blocking::joined;
use crate::catalog::{BlockSource, Catalog, Published};
use crate::host::BlockHost;
use crate::models::ModelCatalog;
use crate::packages::{Packages, PinError};
use crate::plan::{Compiled, DefinitionLimits, Plan, compile};
use crate::validate::validate;

pub use registry::load_models;

/// Whose definition, of which blocks: plans hold the digests of models, and tenants have models and blocks of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    tenant: TenantId,
    definition: Digest,
    /// Version of the catalogue.
    blocks: Digest,
}

/// Makes plans, and keeps them until the models or the blocks change.
pub struct Plans {
    store: Arc<dyn Store>,
    blocks: Arc<BlockSource>,
    changes: Mutex<watch::Receiver<Published>>,
    host: Arc<dyn BlockHost>,
    limits: DefinitionLimits,
    registry: Registry,
    kept: Kept,
    flights: Flights,
    packages: Option<Arc<Packages>>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The models or the definition could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The definition is not valid, or not any more.
    #[error("the definition has {} problems", .0.len())]
    Invalid(Vec<Problem>),
    /// The planner panicked.
    #[error("the planner failed")]
    Failed(#[from] JoinError),
}

impl Plans {
    /// Plans of these blocks and of the store's models; `limits` bounds definitions.
    pub fn new(
        store: Arc<dyn Store>,
        blocks: Arc<BlockSource>,
        host: Arc<dyn BlockHost>,
        limits: DefinitionLimits,
    ) -> Self {
        let (registry, changes) = (Registry::new(&*store), Mutex::new(blocks.changes()));
        Self {
            store,
            blocks,
            changes,
            host,
            limits,
            registry,
            kept: Kept::default(),
            flights: Flights::default(),
            packages: None,
        }
    }

    /// Who runs component blocks.
    pub fn host(&self) -> &Arc<dyn BlockHost> {
        &self.host
    }

    /// Adds where blocks are found that are not active any more.
    #[must_use]
    pub fn with_packages(mut self, packages: Arc<Packages>) -> Self {
        self.packages = Some(packages);
        self
    }

    /// The blocks of an execution: those of its tenant now, but what it was pinned to when it started.
    ///
    /// # Errors
    /// [`PinError`].
    pub async fn pinned_blocks(&self, tenant: TenantId, pins: &Value) -> Result<Arc<Catalog>, PinError> {
        let blocks = self.blocks(tenant);
        match &self.packages {
            Some(packages) => packages.pinned(tenant, &blocks, pins).await,
            None => Ok(blocks),
        }
    }

    /// The blocks of a tenant now. Plans of those that it had before are forgotten.
    pub fn blocks(&self, tenant: TenantId) -> Arc<Catalog> {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        // The source lives as long as this.
        if changes.has_changed().unwrap_or(false) {
            let now = changes.borrow_and_update();
            self.kept.retain(|key| now.of(key.tenant).version() == key.blocks);
        }
        self.blocks.of(tenant)
    }

    /// The plan of a stored definition, which has this digest, with the tenant's blocks: they were asked when it was stored.
    /// `definition` is awaited only if no plan is kept.
    ///
    /// # Errors
    /// [`PlanError`]; that of `definition` as it is.
    pub async fn plan(
        &self,
        tenant: TenantId,
        digest: Digest,
        definition: impl Future<Output = Result<Value, StoreError>> + Send,
    ) -> Result<Arc<Plan>, PlanError> {
        self.plan_with(&self.blocks(tenant), tenant, digest, definition).await
    }

    /// As [`Plans::plan`], with blocks that the tenant had at some time.
    ///
    /// # Errors
    /// [`PlanError`]; that of `definition` as it is.
    pub async fn plan_with(
        &self,
        blocks: &Arc<Catalog>,
        tenant: TenantId,
        digest: Digest,
        definition: impl Future<Output = Result<Value, StoreError>> + Send,
    ) -> Result<Arc<Plan>, PlanError> {
        let key = Key { tenant, definition: digest, blocks: blocks.version() };
        let models = self.registry.snapshot(&*self.store, tenant).await?;
        if let Some(known) = self.kept.get(&key, &models) {
            return Ok(known.plan);
        }
        let _flight = self.flights.board(key).await;
        // Whoever flew before may have made it.
        if let Some(known) = self.kept.get(&key, &models) {
            return Ok(known.plan);
        }
        let definition = definition.await?;
        let (catalog, limits, with) = (Arc::clone(blocks), self.limits, Arc::clone(&models));
        let compiled = joined(move || compile(&definition, &catalog, &with, &limits)).await?;
        let plan = compiled.plan.ok_or(PlanError::Invalid(compiled.errors))?;
        self.keep(key, Known { plan: Arc::clone(&plan), models, checked: false });
        Ok(plan)
    }

    /// The plan of a definition that comes with a run: its blocks are asked, unless they were before.
    ///
    /// # Errors
    /// [`PlanError`].
    pub async fn checked_plan(&self, tenant: TenantId, definition: &Value) -> Result<Arc<Plan>, PlanError> {
        let blocks = self.blocks(tenant);
        let key = Key { tenant, definition: definition_digest(definition), blocks: blocks.version() };
        let models = self.registry.snapshot(&*self.store, tenant).await?;
        let checked = || self.kept.get(&key, &models).filter(|known| known.checked);
        if let Some(known) = checked() {
            return Ok(known.plan);
        }
        let _flight = self.flights.board(key).await;
        if let Some(known) = checked() {
            return Ok(known.plan);
        }
        let compiled = self.ask(key, blocks, definition, models.clone()).await?;
        compiled.plan.ok_or(PlanError::Invalid(compiled.errors))
    }

    /// Everything that a save checks, the blocks' own checks included.
    ///
    /// # Errors
    /// [`PlanError`], but for problems of the definition: they are the answer.
    pub async fn check(&self, tenant: TenantId, definition: &Value) -> Result<Compiled, PlanError> {
        let blocks = self.blocks(tenant);
        let key = Key { tenant, definition: definition_digest(definition), blocks: blocks.version() };
        let models = self.registry.snapshot(&*self.store, tenant).await?;
        self.ask(key, blocks, definition, models).await
    }

    /// Compiles a definition and asks its blocks; what they find nothing wrong with is kept.
    async fn ask(
        &self,
        key: Key,
        blocks: Arc<Catalog>,
        definition: &Value,
        models: Arc<ModelCatalog>,
    ) -> Result<Compiled, PlanError> {
        let (definition, host) = (definition.clone(), Arc::clone(&self.host));
        let (limits, with, runtime) = (self.limits, Arc::clone(&models), Handle::current());
        let asking = move || runtime.block_on(validate(&definition, &blocks, &with, &limits, &*host, key.tenant));
        let compiled = joined(asking).await?;
        if let Some(plan) = &compiled.plan {
            self.keep(key, Known { plan: Arc::clone(plan), models, checked: true });
        }
        Ok(compiled)
    }

    /// Keeps a plan of the blocks that the tenant has now: one of former blocks would keep their code in memory.
    fn keep(&self, key: Key, known: Known) {
        self.kept.keep(key, known);
        // In this order: blocks that change in between are seen here, those that change later by `blocks`.
        if self.blocks.of(key.tenant).version() != key.blocks {
            self.kept.retain(|kept| *kept != key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use async_trait::async_trait;
    use serde_json::json;
    use sightflow_store::{NewModel, SqliteOptions, SqliteStore};
    use sightflow_types::{ModelSource, Task};

    use super::*;
    use crate::catalog::Granted;
    use crate::catalog::Package;
    use crate::host::{BlockRef, CallContext, CallError, CallOutcome, CheckContext, Code, Payload};

    /// No component blocks.
    struct Nobody;

    #[async_trait]
    impl BlockHost for Nobody {
        fn call(&self, _: &BlockRef, _: &str, _: Payload, _: CallContext) -> Result<CallOutcome, CallError> {
            unreachable!("no block is called")
        }

        async fn check(
            &self,
            _: &BlockRef,
            _: &Value,
            _: &CheckContext,
            _: Instant,
        ) -> Result<Vec<Problem>, CallError> {
            unreachable!("no block is asked")
        }
    }

    async fn plans(directory: &tempfile::TempDir) -> (Arc<dyn Store>, Plans) {
        let file = directory.path().join("test.db");
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(file, SqliteOptions::default()).await.expect("a store"));
        let blocks = Arc::new(BlockSource::new([]).expect("the engine's own blocks"));
        (Arc::clone(&store), Plans::new(store, blocks, Arc::new(Nobody), DefinitionLimits::default()))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_definition_is_read_and_compiled_once() {
        let directory = tempfile::tempdir().expect("directory");
        let (store, plans) = plans(&directory).await;
        let (definition, reads) = (json!({"nodes": []}), AtomicUsize::new(0));
        let digest = definition_digest(&definition);
        let get = |tenant| {
            plans.plan(tenant, digest, async {
                reads.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok(definition.clone())
            })
        };
        let all = futures::future::join_all((0..20).map(|_| get(TenantId::BUILT_IN))).await;
        let all: Vec<Arc<Plan>> = all.into_iter().map(|plan| plan.expect("a plan")).collect();
        assert!(all.iter().all(|plan| Arc::ptr_eq(plan, &all[0])));
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        get(TenantId::new()).await.expect("another tenant has models of its own");
        assert_eq!(reads.load(Ordering::Relaxed), 2);
        let model = NewModel {
            id: "m".into(),
            tenant_id: TenantId::BUILT_IN,
            source: ModelSource::Pretrained,
            task: Task::Detection,
            name: "m".into(),
            digest: None,
            size: None,
            format: "onnx".into(),
            spec: json!({}),
        };
        store.upsert_model(model).await.expect("a model");
        let fresh = get(TenantId::BUILT_IN).await.expect("a plan");
        assert!(!Arc::ptr_eq(&fresh, &all[0]), "the models have changed");
        assert_eq!(reads.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn what_fails_is_not_kept() {
        let directory = tempfile::tempdir().expect("directory");
        let (_, plans) = plans(&directory).await;
        let broken = json!({"nodes": [{"id": "a", "type": "nothing"}]});
        let digest = definition_digest(&broken);
        for _ in 0..2 {
            let gone = plans.plan(TenantId::BUILT_IN, digest, async { Err(StoreError::NotFound("workflow version")) });
            assert!(matches!(gone.await, Err(PlanError::Store(StoreError::NotFound(_)))));
            let invalid = plans.plan(TenantId::BUILT_IN, digest, async { Ok(broken.clone()) }).await;
            let Err(PlanError::Invalid(problems)) = invalid else { panic!("{invalid:?}") };
            assert_eq!(problems.iter().map(|problem| problem.code.as_str()).collect::<Vec<_>>(), ["E-TYPE-UNKNOWN"]);
            let invalid = plans.checked_plan(TenantId::BUILT_IN, &broken).await;
            assert!(matches!(invalid, Err(PlanError::Invalid(_))), "{invalid:?}");
        }
    }
    fn package(version: u64) -> Package {
        let manifest = json!({"name": "b", "title": "b", "description": "b", "category": "logic", "inputs": [], "outputs": [],
                              "config": {"type": "object", "additionalProperties": false}});
        Package {
            name: "acme/a".to_owned(),
            version: semver::Version::new(version, 0, 0),
            digest: sightflow_blobs::digest_of(&version.to_le_bytes()),
            manifests: vec![serde_json::from_value(manifest).expect("a manifest")],
            code: Code::new(version),
            granted: Granted::default(),
        }
    }

    #[tokio::test]
    async fn a_plan_is_of_the_blocks_that_it_was_asked_with() {
        let directory = tempfile::tempdir().expect("directory");
        let (_, plans) = plans(&directory).await;
        let definition = json!({"nodes": [{"id": "n", "type": "acme/a/b"}]});
        let (tenant, digest) = (TenantId::BUILT_IN, definition_digest(&definition));
        let read = || async { Ok(definition.clone()) };
        let code = |plan: &Plan| plan.nodes[0].entry.block.code.get::<u64>().copied();
        let missing = plans.plan(tenant, digest, read()).await;
        assert!(matches!(missing, Err(PlanError::Invalid(_))), "{missing:?}");

        plans.blocks.publish(tenant, [package(1)]).expect("published");
        let (old, first) = (plans.blocks(tenant), plans.plan(tenant, digest, read()).await.expect("a plan"));
        plans.blocks.publish(tenant, [package(2)]).expect("published");
        let second = plans.plan(tenant, digest, read()).await.expect("a plan");
        assert_eq!((code(&first), code(&second)), (Some(1), Some(2)));
        let again = plans.plan(tenant, digest, async { unreachable!("it is kept") }).await.expect("a plan");
        assert!(Arc::ptr_eq(&again, &second));

        // Who kept the old blocks gets a plan of them, which nobody else keeps: their code goes with their last reader.
        let weak = Arc::downgrade(&first);
        drop(first);
        assert_eq!(weak.strong_count(), 0, "the plan of the old blocks was forgotten");
        let former = plans.plan_with(&old, tenant, digest, read()).await.expect("a plan");
        assert_eq!(code(&former), Some(1));
        let weak = (Arc::downgrade(&former), Arc::downgrade(&old));
        drop((former, old));
        assert_eq!((weak.0.strong_count(), weak.1.strong_count()), (0, 0));

        plans.blocks.publish(tenant, []).expect("published");
        let gone = plans.plan(tenant, digest, read()).await;
        assert!(matches!(gone, Err(PlanError::Invalid(_))), "{gone:?}");
    }
}
