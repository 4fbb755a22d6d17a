//! Every answer has its receipt and its row on the disk.
//!
//! Many requests that end at the same moment become one transaction of statements with many rows each. SQLite keeps a
//! journal of such a statement, and the hardened process may not open a file for it outside of the state directory.

use anyhow::{Result, ensure};
use tokio::task::JoinSet;

use crate::place::{Place, answered_on};
use blackbox::asking::eventually;

const CONNECTIONS: usize = 64;
const REQUESTS: usize = 12;

/// Requests on many connections at once; the receipt ids of the answers.
async fn ask_at_once(place: &Place) -> Result<Vec<String>> {
    let mut connections = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut connection = place.service.connect().await?;
        let key = place.key.clone();
        connections.spawn(async move {
            let mut ids = Vec::new();
            for _ in 0..REQUESTS {
                ids.push(answered_on(&mut connection, &key).await?);
            }
            anyhow::Ok(ids)
        });
    }
    let mut ids = Vec::new();
    while let Some(done) = connections.join_next().await {
        ids.extend(done??);
    }
    Ok(ids)
}

async fn receipt_ids(place: &Place, table: &'static str) -> Result<Vec<String>> {
    let query = format!("SELECT receipt_id FROM {table} ORDER BY receipt_id");
    let found = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
        .fetch_all(&mut place.database("ledger.sqlite").await?)
        .await?;
    Ok(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_many_at_once_has_its_receipt_and_its_row_after_a_restart() -> Result<()> {
    let place = Place::new("many-at-once", "").await?;
    has_everything_after_a_restart(place).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_refuse_concurrent_requests_are_all_served_and_recorded() -> Result<()> {
    let terms = "mode = \"metadata\"\nttl = \"90d\"\non_failure = \"refuse\"";
    let place = Place::under_policy("many-refusing", terms).await?;
    let mut place = has_everything_after_a_restart(place).await?;
    place.service.end("TERM").await?;
    assert_eq!(place.count("ledger.sqlite", "unfinished").await?, 0);
    Ok(())
}

async fn has_everything_after_a_restart(mut place: Place) -> Result<Place> {
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.extend(ask_at_once(&place).await?);
        ids.sort();
        eventually("the rows are on the disk while it runs", async || {
            receipt_ids(&place, "usage").await.ok().as_ref() == Some(&ids)
                && receipt_ids(&place, "receipts").await.ok().as_ref() == Some(&ids)
        })
        .await;
    }
    let log = place.service.log();
    ensure!(!log.contains("ledger_failed"), "{log}");
    place.service.restart().await?;
    for table in ["usage", "receipts"] {
        assert_eq!(receipt_ids(&place, table).await?, ids, "{table}");
    }
    let entered = place.count("audit.sqlite", "receipts").await?;
    assert_eq!(entered, ids.len(), "in the audit log");
    let mut connection = place.service.connect().await?;
    for id in [&ids[0], &ids[ids.len() / 2], &ids[ids.len() - 1]] {
        let path = format!("/v1/aci/receipts/{id}");
        assert_eq!(
            connection.get_as(&place.key, &path).await?.status,
            200,
            "{id}"
        );
    }
    Ok(place)
}
