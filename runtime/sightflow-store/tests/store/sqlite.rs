//! The SQLite backend, and the cases that only it has.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use sightflow_store::{Definitions, ManualClock, SharedStore, SqliteOptions, SqliteStore, StoreError};
use sightflow_types::Timestamp;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

use crate::harness::{Backend, World, inline_run, keyed, new_workflow, record};

pub(crate) struct Sqlite {
    directory: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

impl Sqlite {
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("sightflow.db")
    }

    async fn connect(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.path());
        SqliteConnection::connect_with(&options).await.expect("connect")
    }
}

#[async_trait]
impl Backend for Sqlite {
    async fn create(clock: Arc<ManualClock>) -> Self {
        Self { directory: tempfile::tempdir().expect("directory"), clock }
    }

    async fn open(&self) -> SharedStore {
        let options = SqliteOptions { clock: self.clock.clone(), ..SqliteOptions::default() };
        Arc::new(SqliteStore::open(self.path(), options).await.expect("open"))
    }

    async fn execute(&self, sql: &str) -> Result<u64, String> {
        let mut conn = self.connect().await;
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut conn)
            .await
            .map(|done| done.rows_affected())
            .map_err(|error| error.to_string())
    }

    async fn column(&self, sql: &str) -> Vec<String> {
        let sql =
            format!("SELECT CAST(c.v AS TEXT) FROM (SELECT NULL AS v WHERE false UNION ALL SELECT * FROM ({sql})) c");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut self.connect().await).await.expect("query");
        rows.iter().map(|row| row.get::<Option<String>, _>(0).unwrap_or_default()).collect()
    }
}

#[tokio::test]
async fn a_second_opener_is_told_who_has_the_file() {
    let world = World::<Sqlite>::new().await;
    let error = SqliteStore::open(world.backend.path(), SqliteOptions::default()).await.err().expect("refused");
    assert!(
        matches!(&error, StoreError::Locked { process, .. } if *process == std::process::id().to_string()),
        "{error}"
    );
    world.store.close().await;
    SqliteStore::open(world.backend.path(), SqliteOptions::default()).await.expect("free after close");
}

#[tokio::test]
async fn operations_after_close_are_unavailable() {
    let world = World::<Sqlite>::new().await;
    world.store.close().await;
    assert!(matches!(world.store.ping().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(world.store.submit(inline_run()).await, Err(StoreError::Unavailable(_))));
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_gone_is_not_writable() {
    let world = World::<Sqlite>::new().await;
    world.store.ping().await.expect("there");
    let aside = world.backend.path().with_extension("aside");
    std::fs::rename(world.backend.path(), &aside).expect("moved");
    let gone = world.store.ping().await.expect_err("what is written now is lost");
    assert!(
        matches!(&gone, StoreError::Unavailable(reason) if reason.to_string().contains("moved or deleted")),
        "{gone:?}"
    );
    std::fs::rename(aside, world.backend.path()).expect("moved back");
    world.store.ping().await.expect("there again");
}

#[tokio::test]
async fn pragmas_and_strict_tables() {
    let world = World::<Sqlite>::new().await;
    assert_eq!(world.backend.column("SELECT * FROM pragma_journal_mode").await, ["wal"]);
    assert_eq!(world.backend.column("SELECT * FROM pragma_page_size").await, ["4096"]);
    let lax = world.backend.column("SELECT name FROM pragma_table_list WHERE name LIKE 'wf_%' AND strict = 0").await;
    assert!(lax.is_empty(), "{lax:?}");
    let wide: Vec<_> = [
        "wf_ready_jobs",
        "wf_job_leases",
        "wf_timers",
        "wf_failed_jobs",
        "wf_ready_executions",
        "wf_execution_leases",
        "wf_node_records",
    ]
    .into();
    for table in wide {
        let sql = format!("SELECT wr FROM pragma_table_list WHERE name = '{table}'");
        assert_eq!(world.backend.column(&sql).await, ["1"], "{table} is WITHOUT ROWID");
    }
}

#[tokio::test]
async fn an_unknown_or_changed_migration_is_refused() {
    for (sql, expected) in [
        (
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', true, x'00', 0)",
            "newer",
        ),
        ("UPDATE _sqlx_migrations SET checksum = x'00'", "changed"),
    ] {
        let world = World::<Sqlite>::new().await;
        world.store.close().await;
        world.backend.execute(sql).await.expect("sql");
        let error = SqliteStore::open(world.backend.path(), SqliteOptions::default()).await.err().expect("refused");
        assert!(matches!(&error, StoreError::Schema(why) if why.contains(expected)), "{error}");
    }
}

/// Case 65: in one group commit, valid neighbours of failing transactions are recorded, the failing ones leave nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_transaction_harms_no_neighbour() {
    let world = World::<Sqlite>::new().await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..100_u8 {
        let store = world.store.clone();
        tasks.spawn(async move {
            // A third is refused by a CHECK after its idempotency key was written.
            let new = sightflow_store::NewExecution {
                priority: if n % 3 == 0 { 99 } else { 5 },
                ..keyed(&format!("key {n}"), n)
            };
            (n % 3 == 0, store.submit(new).await)
        });
    }
    while let Some(done) = tasks.join_next().await {
        let (bad, result) = done.expect("task");
        assert_eq!(matches!(result, Err(StoreError::Refused(_))), bad, "{result:?}");
    }
    assert_eq!(world.count("SELECT count(*) FROM wf_executions").await, 66);
    assert_eq!(world.count("SELECT count(*) FROM wf_idempotency_keys").await, 66);
    world.check().await;
}

/// A commit that fails answers everybody with an error, and the writer goes on.
#[tokio::test]
async fn a_failing_commit_is_reported_to_all() {
    let world = World::<Sqlite>::new().await;
    world.workflow().await;
    // A deferred foreign key is checked by COMMIT itself.
    world
        .backend
        .execute(
            "CREATE TABLE broken (id TEXT REFERENCES wf_tenants DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER spoil AFTER INSERT ON wf_workflows WHEN NEW.name = 'spoil' BEGIN INSERT INTO broken VALUES ('nobody'); END",
        )
        .await
        .expect("sql");
    let (spoilt, neighbour) = tokio::join!(
        world.store.create_workflow(new_workflow("spoil")),
        world.store.create_workflow(new_workflow("neighbour"))
    );
    assert!(matches!(spoilt, Err(StoreError::Unavailable(_))), "{spoilt:?}");
    // The neighbour shared the commit, or came just after it: what it was told is what is stored.
    let stored = world.count("SELECT count(*) FROM wf_workflows WHERE name = 'neighbour'").await;
    assert_eq!(stored, i64::from(neighbour.is_ok()), "{neighbour:?}");
    assert_eq!(world.count("SELECT count(*) FROM wf_workflows WHERE name = 'spoil'").await, 0);
    world.workflow().await;
    world.check().await;
}

#[test]
fn the_clock_of_tests_moves_by_hand() {
    use sightflow_store::Clock;
    let clock = ManualClock::new(Timestamp::from_millis(5));
    clock.step(-2);
    clock.advance(7);
    assert_eq!((clock.now(), clock.elapsed()), (Timestamp::from_millis(10), std::time::Duration::from_millis(7)));
}

/// The same value would be refused the next time: that is not a database that cannot be reached.
#[tokio::test]
async fn a_value_that_is_too_large_is_refused() {
    let world = World::<Sqlite>::new().await;
    let mut connection = world.backend.connect().await;
    let error = sqlx::query("SELECT zeroblob(2000000000)").fetch_one(&mut connection).await.expect_err("too large");
    assert!(matches!(StoreError::from(error), StoreError::Refused(_)));
}

/// What the file's owner stores is for the owner alone.
#[cfg(unix)]
#[tokio::test]
async fn files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::<Sqlite>::new().await;
    world.submit().await;
    for suffix in ["", "-wal", "-shm", ".lock"] {
        let mut file = world.backend.path().into_os_string();
        file.push(suffix);
        let mode = std::fs::metadata(&file).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
}

/// However much is written at once, the log starts again before it fills the disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_bounded() {
    let world = World::<Sqlite>::new().await;
    let lease = world.running().await.lease();
    let wal = world.backend.directory.path().join("sightflow.db-wal");
    let mut longest = 0;
    for n in 0..250 {
        let metrics = serde_json::json!({"text": "x".repeat(1 << 20), "n": n});
        let append = sightflow_store::Append { records: vec![record("n", "", metrics)], ..Default::default() };
        world.store.append_events(lease, append).await.expect("append");
        longest = longest.max(std::fs::metadata(&wal).expect("log").len());
    }
    assert!(longest < 96 << 20, "{} MiB of 250", longest >> 20);
    world.check().await;
}

/// A probe writes a row, and many probes at once write one.
#[tokio::test]
async fn a_probe_writes_at_most_once_a_second() {
    let world = World::<Sqlite>::new().await;
    let before = world.store.statistics().commits;
    for _ in 0..20 {
        world.store.ping().await.expect("ping");
    }
    assert_eq!(world.count("SELECT count(*) FROM wf_probe").await, 1);
    // Twenty on a machine so slow that each took a second would be twenty.
    assert!(world.store.statistics().commits - before < 20);
    world.store.close().await;
    let world = World::<Sqlite>::new().await;
    world.backend.execute("DROP TABLE wf_probe").await.expect("sql");
    let failed = world.store.ping().await;
    assert!(matches!(failed, Err(StoreError::Unavailable(_))), "{failed:?}");
}

/// A file of the first schema, with what an older program left in it, opens, and keeps everything.
#[tokio::test]
async fn a_file_of_the_first_schema_is_brought_up_to_date() {
    use sqlx::SqlSafeStr;
    use sqlx::migrate::{Migration, MigrationType, Migrator};
    const FIRST: &str = include_str!("../../../../migrations/sqlite/0001_first_schema.sql");
    const ROWS: &str = "
        INSERT INTO wf_workflows (id, tenant_id, name, description, created_at, updated_at)
        VALUES ('01900000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000000', 'Straße', NULL, 1, 1);
        INSERT INTO wf_workflow_versions (workflow_id, version, definition, digest, created_at)
        VALUES ('01900000-0000-7000-8000-000000000001', 1, '{\"nodes\": [{}, {}], \"edges\": 7}', 'sha256:0000000000000000000000000000000000000000000000000000000000000000', 1);
        INSERT INTO wf_executions (id, definition, timeout_seconds, created_at, updated_at)
        VALUES ('01900000-0000-7000-8000-000000000002', '{}', 300, 1, 1);
        INSERT INTO wf_ready_executions VALUES (6, 0, '01900000-0000-7000-8000-000000000002', '00000000-0000-7000-8000-000000000000', 1);
        INSERT INTO wf_executions (id, definition, node_metrics, status, lease_token, started_at, deadline_at, created_at, updated_at)
        VALUES ('01900000-0000-7000-8000-000000000003', '{\"nodes\": []}', '{\"n\": {\"status\": \"running\"}}', 'running', 1, 1, 1, 1, 1);
        INSERT INTO wf_executions (id, definition, status, completed_at, created_at, updated_at)
        VALUES ('01900000-0000-7000-8000-000000000005', '{\"old\": 1}', 'completed', 1, 1, 1);
        INSERT INTO wf_execution_leases VALUES ('01900000-0000-7000-8000-000000000003', 'e', 1, '00000000-0000-7000-8000-000000000000', NULL, 1);
        INSERT INTO wf_inference_jobs (id, execution_id, node_id, task, model_id, status, attempt, lease_token, submitted_at, created_at, updated_at)
        VALUES ('01900000-0000-7000-8000-000000000004', '01900000-0000-7000-8000-000000000003', 'n', 'detection', 'm', 'running', 1, 1, 1, 1, 1);
        INSERT INTO wf_job_leases VALUES ('01900000-0000-7000-8000-000000000004', 1, 'w', '01900000-0000-7000-8000-000000000003',
          '00000000-0000-7000-8000-000000000000', 'm', 1, 99999999999999);
        INSERT INTO wf_blobs (digest, size, media_type, created_at)
        VALUES ('sha256:0000000000000000000000000000000000000000000000000000000000000000', 1, 'image/png', 1);";
    let backend = Sqlite::create(Arc::new(ManualClock::new(Timestamp::from_millis(1_795_425_164_000)))).await;
    let options = SqliteConnectOptions::new().filename(backend.path()).create_if_missing(true);
    let mut conn = SqliteConnection::connect_with(&options).await.expect("connect");
    let first = Migration::new(1, "first schema".into(), MigrationType::Simple, FIRST.into_sql_str(), false);
    Migrator::with_migrations(vec![first]).run_direct(None, &mut conn, false).await.expect("first schema");
    sqlx::raw_sql(ROWS).execute(&mut conn).await.expect("rows");
    conn.close().await.expect("close");

    let world = World { store: backend.open().await, clock: backend.clock.clone(), backend };
    world.check().await;
    assert_eq!(world.store.queue_depth().await.expect("depth").waiting_executions, 1);
    let filter = sightflow_store::WorkflowFilter { search: Some("STRASSE".into()), status: None };
    let found = world.store.workflows(crate::harness::TENANT, filter, Definitions::Omit, Default::default()).await;
    let found = found.expect("search").items;
    assert_eq!((found.len(), found[0].warnings.len()), (1, 0));
    assert_eq!((found[0].node_count, found[0].edge_count), (2, 0));
    let whole = world.store.workflow(crate::harness::TENANT, found[0].id).await.expect("get");
    assert_eq!(whole.definition, serde_json::json!({"nodes": [{}, {}], "edges": 7}));
    let rescued = world.store.rescue().await.expect("rescue");
    assert_eq!(rescued.len(), 1, "the worker of that process is gone");
    assert_eq!(world.store.condemn_blobs(10).await.expect("condemn").len(), 1);
    let engine = world.engine().await;
    let taken = world.store.take_over(engine, 10).await.expect("take over");
    let digest = sightflow_store::definition_digest(&serde_json::json!({"nodes": []}));
    assert_eq!(taken.iter().map(|run| run.definition_digest).collect::<Vec<_>>(), [digest]);
    let running = world.store.execution(crate::harness::TENANT, taken[0].execution.id).await.expect("get");
    assert_eq!(running.node_metrics, serde_json::json!({"n": {"status": "running"}}));
    assert_eq!(running.cost, sightflow_store::Cost::default(), "what it cost before is not known");
    let ended = "01900000-0000-7000-8000-000000000005".parse().expect("an id");
    let old = world.store.execution_definition(crate::harness::TENANT, ended).await.expect("definition");
    assert_eq!(old.digest, sightflow_store::definition_digest(&serde_json::json!({"old": 1})));
    assert_eq!(world.store.expire_executions(10).await.expect("both are long past their time").len(), 2);
    world.check().await;
}
