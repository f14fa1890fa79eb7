//! `wf_node_records`: what is recorded about nodes, and about their items in loops.

use serde_json::{Map, Value, json};
use sightflow_types::ExecutionId;
use sqlx::{Row, SqlitePool};

use super::row::{Reading, counted, object};
use super::writer::Tx;
use crate::error::{Result, StoreError};
use crate::execution::NodeRecord;
use crate::page::{COUNT_CAP, Page};

/// Records that are new or take the place of former ones.
pub(super) async fn keep(tx: &mut Tx, execution: &str, records: Vec<NodeRecord>) -> Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    let list: Vec<Value> =
        records.into_iter().map(|record| json!([record.node_id, record.item_path, compact(record.record)])).collect();
    sqlx::query(
        "INSERT INTO wf_node_records (execution_id, node_id, item_path, record)
         SELECT ?1, value ->> 0, value ->> 1, value -> 2 FROM json_each(?2)
         WHERE true ON CONFLICT (execution_id, node_id, item_path) DO UPDATE SET record = excluded.record",
    )
    .bind(execution)
    .bind(Value::from(list).to_string())
    .execute(&mut tx.conn)
    .await?;
    Ok(())
}

/// Without what is not there: whoever shows a record knows its fields.
fn compact(mut record: Value) -> Value {
    if let Value::Object(fields) = &mut record {
        fields.retain(|_, value| !value.is_null());
    }
    record
}

/// The records of nodes as a whole, by node id, past those of their items.
pub(super) async fn of_nodes(db: &SqlitePool, execution: ExecutionId, reading: &mut Reading) -> Result<Value> {
    let rows = sqlx::query(
        "WITH RECURSIVE n (node_id) AS (
           SELECT min(node_id) FROM wf_node_records WHERE execution_id = ?1
           UNION ALL SELECT (SELECT min(r.node_id) FROM wf_node_records r WHERE r.execution_id = ?1 AND r.node_id > n.node_id)
           FROM n WHERE n.node_id IS NOT NULL)
         SELECT r.node_id, r.record FROM n CROSS JOIN wf_node_records r
         WHERE r.execution_id = ?1 AND r.node_id = n.node_id AND r.item_path = ''",
    )
    .bind(execution.uuid().to_string())
    .fetch_all(db)
    .await?;
    let mut records = Map::with_capacity(rows.len());
    for row in rows {
        let record = row.try_get::<String, _>("record").map_err(StoreError::from);
        let record = reading.take("record", record.and_then(|text| object(&text)), Map::new)?;
        records.insert(row.try_get("node_id")?, Value::Object(record));
    }
    Ok(Value::Object(records))
}

/// One record, if it is there.
pub(super) async fn one(db: &SqlitePool, execution: ExecutionId, node: &str, item: &str) -> Result<Option<NodeRecord>> {
    Ok(named(db, execution, node, &[item]).await?.pop())
}

/// Records of a node's items in the order of their indexes, after `after`.
pub(super) async fn items(
    db: &SqlitePool,
    execution: ExecutionId,
    node: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<NodeRecord, String>> {
    let mut paths: Vec<String> = sqlx::query_scalar(
        "SELECT item_path FROM wf_node_records WHERE execution_id = ?1 AND node_id = ?2 AND item_path > ''",
    )
    .bind(execution.uuid().to_string())
    .bind(node)
    .fetch_all(db)
    .await?;
    if let Some(after) = after.map(indexes) {
        paths.retain(|path| indexes(path) > after);
    }
    // Text would put `10` before `9`.
    paths.sort_by_cached_key(|path| indexes(path));
    let limit = limit.clamp(1, 100) as usize;
    let more = paths.len() > limit;
    paths.truncate(limit);
    let wanted: Vec<&str> = paths.iter().map(String::as_str).collect();
    let items = named(db, execution, node, &wanted).await?;
    Ok(Page { items, next: if more { paths.pop() } else { None } })
}

pub(super) async fn count_items(db: &SqlitePool, execution: ExecutionId, node: &str) -> Result<u64> {
    let row = sqlx::query(
        "SELECT count(*) FROM (SELECT 1 FROM wf_node_records WHERE execution_id = ?1 AND node_id = ?2 AND item_path > '' LIMIT ?3)",
    )
    .bind(execution.uuid().to_string())
    .bind(node)
    .bind(COUNT_CAP as i64)
    .fetch_one(db)
    .await?;
    counted(&row)
}

/// The loop indexes of an item, outermost first.
fn indexes(path: &str) -> Vec<u64> {
    path.split('/').map(|index| index.parse().unwrap_or(u64::MAX)).collect()
}

/// The records of these items, in the given order.
async fn named(db: &SqlitePool, execution: ExecutionId, node: &str, items: &[&str]) -> Result<Vec<NodeRecord>> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT r.item_path, r.record FROM json_each(?3) i CROSS JOIN wf_node_records r
         WHERE r.execution_id = ?1 AND r.node_id = ?2 AND r.item_path = i.value ORDER BY i.key",
    )
    .bind(execution.uuid().to_string())
    .bind(node)
    .bind(json!(items).to_string())
    .fetch_all(db)
    .await?;
    let read = |(item_path, record): (String, String)| {
        Ok(NodeRecord { node_id: node.to_owned(), item_path, record: Value::Object(object(&record)?) })
    };
    rows.into_iter().map(read).collect()
}
