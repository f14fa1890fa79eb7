//! A test of the connections that are really used: what was committed is on disk before anybody is told.

use super::{SqliteOptions, SqliteStore};

#[tokio::test]
async fn commits_wait_for_the_disk() {
    let directory = tempfile::tempdir().expect("directory");
    let store = SqliteStore::open(directory.path().join("a.db"), SqliteOptions::default()).await.expect("open");
    // The writer's own connection: `synchronous` is a setting of the connection, not of the file.
    let asked = store.write(|tx| {
        Box::pin(async move {
            let mut answers = Vec::new();
            for sql in ["PRAGMA synchronous", "PRAGMA foreign_keys", "PRAGMA wal_autocheckpoint"] {
                answers.push(sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut tx.conn).await?);
            }
            let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut tx.conn).await?;
            Ok((answers, mode))
        })
    });
    const FULL: i64 = 2;
    assert_eq!(asked.await.expect("pragmas"), (vec![FULL, 1, 0], "wal".to_owned()));
    // Readers see the log, and cannot write.
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&store.readers).await.expect("mode");
    assert_eq!(mode, "wal");
    let written = sqlx::query("INSERT INTO wf_counters (name, value) VALUES ('x', 1)").execute(&store.readers).await;
    assert!(written.is_err_and(|error| error.to_string().contains("readonly")));
}
