//! Every answer has its receipt and its row on the disk.
//!
//! Many requests that end at the same moment become one transaction of statements with many rows each. SQLite keeps a
//! journal of such a statement, and the hardened process may not open a file for it outside of the state directory.

use anyhow::{Context, Result, ensure};
use blackbox::asking::{CHAT, chat, eventually};
use blackbox::world::identity;
use sqlx::{Connection as _, SqliteConnection};
use testkit::config::{Config, Model};
use testkit::engine::{CHAT_MODEL, Engine};
use testkit::scratch::ScratchDir;
use testkit::service::{Program, Service, free_address};
use tokio::task::JoinSet;

const MODEL: &str = "plain-model";
const CONNECTIONS: usize = 64;
const REQUESTS: usize = 12;

async fn database(service: &Service, file: &str) -> Result<SqliteConnection> {
    let path = service.directory().join("state").join(file);
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&path)
        .read_only(true);
    Ok(SqliteConnection::connect_with(&options).await?)
}

async fn count(service: &Service, table: &'static str) -> Result<usize> {
    let query = format!("SELECT count(*) FROM {table}");
    let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
        .fetch_one(&mut database(service, "ledger.sqlite").await?)
        .await?;
    Ok(usize::try_from(count)?)
}

/// Requests on many connections at once; the receipt ids of the answers.
async fn ask_at_once(service: &Service, key: &str) -> Result<Vec<String>> {
    let mut connections = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut connection = service.connect().await?;
        let key = key.to_owned();
        connections.spawn(async move {
            let mut ids = Vec::new();
            for _ in 0..REQUESTS {
                let answer = connection.post(&key, CHAT, &chat(MODEL, "hi")).await?;
                let status = answer.status;
                let id = answer.header("x-receipt-id").context("an id")?.to_owned();
                answer.bytes().await?;
                ensure!(status == 200, "status {status}");
                ids.push(id);
            }
            Ok(ids)
        });
    }
    let mut ids = Vec::new();
    while let Some(done) = connections.join_next().await {
        ids.extend(done??);
    }
    Ok(ids)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_many_at_once_has_its_receipt_and_its_row_after_a_restart() -> Result<()> {
    let directory = ScratchDir::new("many-at-once")?;
    let engine = Engine::start().await?;
    let address = free_address()?;
    let config = Config {
        tee: "none",
        ..Config::direct(address)
    }
    .serving(Model::plain(MODEL, engine.base_url()).known_upstream_as(CHAT_MODEL));
    let shipped = identity("none").run_as(Program::Shipped);
    let mut service = Service::start(directory.path(), shipped, address, &config.text()).await?;
    let key = service.create_key("tests").await?;

    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.extend(ask_at_once(&service, &key).await?);
        eventually(
            "the rows are on the disk while the service runs",
            async || {
                count(&service, "usage")
                    .await
                    .is_ok_and(|found| found == ids.len())
                    && count(&service, "receipts")
                        .await
                        .is_ok_and(|found| found == ids.len())
            },
        )
        .await;
    }
    let log = service.log();
    ensure!(!log.contains("ledger_failed"), "{log}");
    service.restart().await?;
    for table in ["usage", "receipts"] {
        let query = format!("SELECT receipt_id FROM {table}");
        let mut kept: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .fetch_all(&mut database(&service, "ledger.sqlite").await?)
            .await?;
        kept.sort();
        ids.sort();
        assert_eq!(kept, ids, "{table}");
    }
    let entered: i64 = sqlx::query_scalar("SELECT count(*) FROM receipts")
        .fetch_one(&mut database(&service, "audit.sqlite").await?)
        .await?;
    assert_eq!(usize::try_from(entered)?, ids.len(), "in the audit log");
    let mut connection = service.connect().await?;
    for id in [&ids[0], &ids[ids.len() / 2], &ids[ids.len() - 1]] {
        let path = format!("/v1/aci/receipts/{id}");
        assert_eq!(connection.get_as(&key, &path).await?.status, 200, "{id}");
    }
    Ok(())
}
