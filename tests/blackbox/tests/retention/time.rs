//! Expiry over restarts and changes of the clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use sqlx::{Connection, SqliteConnection};

use crate::operated::{METADATA, Operated, files_below};
use blackbox::asking::{CHAT, chat, eventually};
use blackbox::world::MODEL;

const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
pub const HOUR: i64 = 3600;

/// What the bank says is kept sealed, for so long; what others say is not.
pub fn kept_for(ttl: &str) -> String {
    format!(
        "{METADATA}[[rule]]\ntenants = [\"bank\"]\nmode = \"content\"\nttl = \"{ttl}\"\nrecipients = [\"{RECIPIENT}\"]\n"
    )
}

pub async fn said(world: &Operated, key: &str) -> Result<()> {
    let mut connection = world.service.connect().await?;
    let answer = connection
        .post(key, CHAT, &chat(MODEL, "keep this"))
        .await?;
    ensure!(answer.status == 200, "{}", answer.status);
    answer.bytes().await?;
    Ok(())
}

async fn count(world: &Operated, what: &'static str) -> Result<i64> {
    Ok(sqlx::query_scalar(what)
        .fetch_one(&mut world.ledger().await?)
        .await?)
}

/// Rows of the bank, its records and their files.
pub async fn kept(world: &Operated) -> Result<(i64, i64, usize)> {
    Ok((
        count(world, "SELECT count(*) FROM usage WHERE tenant = 'bank'").await?,
        count(world, "SELECT count(*) FROM records").await?,
        files_below(&world.state().join("records"))?.len(),
    ))
}

pub async fn everything_is_kept(world: &Operated) {
    eventually("the row is written", async || {
        kept(world).await.ok() == Some((1, 1, 2))
    })
    .await;
}

async fn nothing_is_kept(world: &Operated) {
    eventually("expired rows are purged", async || {
        kept(world).await.ok() == Some((0, 0, 0))
    })
    .await;
}

pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() as i64)
}

/// As if the system's clock had been moved while the service was down: what was noted last is moved instead.
pub async fn note(world: &Operated, time: i64) -> Result<()> {
    sqlx::query("UPDATE retention_clock SET now = ?")
        .bind(time)
        .execute(&mut world.ledger().await?)
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_rows_are_purged_at_the_next_start_and_counted_in_both_logs() -> Result<()> {
    let mut world = Operated::new("time-restart", &kept_for("4s")).await?;
    let other = world.service.create_key("clinic").await?;
    said(&world, &world.key).await?;
    said(&world, &other).await?;
    everything_is_kept(&world).await;
    world.service.end("TERM").await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(
        kept(&world).await?,
        (1, 1, 2),
        "nothing is purged meanwhile"
    );
    world.service.start_again().await?;
    nothing_is_kept(&world).await;
    assert_eq!(
        count(&world, "SELECT count(*) FROM usage WHERE tenant = 'clinic'").await?,
        1,
        "what is kept for longer stays"
    );
    eventually("the service's log tells of it", async || {
        let log = world.service.log();
        log.lines()
            .any(|line| line.contains("purged") && line.contains("records"))
    })
    .await;
    let file = world.state().join("audit.sqlite");
    eventually("the audit log tells of it", async || {
        let Ok(entries) = entries(&file.display().to_string()).await else {
            return false;
        };
        ["usage", "receipts", "records"].iter().all(|kind| {
            let entry = format!("\"count\":1,\"kind\":\"{kind}\",\"reason\":\"expired\"");
            entries.iter().any(|found| found.contains(&entry))
        })
    })
    .await;
    Ok(())
}

pub async fn entries(database: &str) -> Result<Vec<String>> {
    let mut connection = SqliteConnection::connect(&format!("sqlite://{database}")).await?;
    Ok(
        sqlx::query_scalar("SELECT CAST(entry AS TEXT) FROM entries")
            .fetch_all(&mut connection)
            .await?,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_during_downtime_does_not_delay_expiry() -> Result<()> {
    let mut world = Operated::new("time-back", &kept_for("1h")).await?;
    said(&world, &world.key).await?;
    everything_is_kept(&world).await;
    world.service.end("TERM").await?;
    // Two hours had passed when it stopped; the system's clock says now that none have.
    note(&world, now() + 2 * HOUR).await?;
    world.service.start_again().await?;
    nothing_is_kept(&world).await;
    let log = world.service.log();
    ensure!(log.contains("clock_doubted"), "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_ahead_after_downtime_deletes_nothing_until_it_is_accepted() -> Result<()> {
    let mut world = Operated::new("time-ahead", &kept_for("4s")).await?;
    said(&world, &world.key).await?;
    everything_is_kept(&world).await;
    world.service.end("TERM").await?;
    let month_ago = now() - 30 * 24 * HOUR;
    note(&world, month_ago).await?;
    // A row that has expired by any clock: once it is removed, a purge has run.
    let old = "INSERT INTO usage (at, tenant, endpoint, stream, status, outcome, expires_at) \
               VALUES (1, 'clinic', 'chat', 0, 200, 'completed', 2)";
    sqlx::raw_sql(old)
        .execute(&mut world.ledger().await?)
        .await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.service.start_again().await?;
    eventually("a purge", async || {
        let left = "SELECT count(*) FROM usage WHERE tenant = 'clinic'";
        count(&world, left).await.ok() == Some(0)
    })
    .await;
    assert_eq!(
        kept(&world).await?,
        (1, 1, 2),
        "expired by the system's clock only"
    );
    let log = world.service.log();
    ensure!(log.contains("clock_doubted"), "{log}");
    let (code, words) = world.cli(&["retention", "clock"]).await?;
    ensure!(
        code == 0 && words.contains("nothing expires by it until it is accepted"),
        "{code} {words}"
    );
    let (code, words) = world.cli(&["retention", "clock", "--accept"]).await?;
    ensure!(code == 0, "{code} {words}");
    world.service.restart().await?;
    nothing_is_kept(&world).await;
    Ok(())
}
