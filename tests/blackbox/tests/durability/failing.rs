//! A failing ledger: what an operator sees, what continues to work, and how a shutdown ends.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::place::Place;
use blackbox::asking::{chat, eventually};

/// No row of usage can be written while its table has another name.
const BREAK: &str = "ALTER TABLE usage RENAME TO elsewhere";
const REPAIR: &str = "ALTER TABLE elsewhere RENAME TO usage";

async fn entries(place: &Place) -> Result<Vec<Value>> {
    let rows: Vec<Vec<u8>> = sqlx::query_scalar("SELECT entry FROM entries ORDER BY idx")
        .fetch_all(&mut place.database("audit.sqlite").await?)
        .await?;
    rows.iter()
        .map(|row| Ok(serde_json::from_slice(row)?))
        .collect()
}

/// How many lost rows of a kind the audit log tells of.
async fn entered_as_lost(place: &Place, kind: &str) -> Result<u64> {
    let entries = entries(place).await?;
    let lost = entries
        .iter()
        .filter(|entry| entry["type"] == "rows.lost" && entry["kind"] == kind);
    Ok(lost.filter_map(|entry| entry["count"].as_u64()).sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_ledger_is_named_in_the_log_counted_in_metrics_and_makes_the_service_unready()
-> Result<()> {
    let place = Place::new("failing-seen", "[ledger]\nunready_after = \"1s\"\n").await?;
    place.answered().await?;
    assert_eq!(place.readiness().await?, (200, "ready\n".to_owned()));
    place.change_ledger(BREAK).await?;
    for _ in 0..5 {
        place.answered().await?;
    }
    eventually("it is not ready any more", async || {
        matches!(place.readiness().await, Ok((503, _)))
    })
    .await;
    let (_, said) = place.readiness().await?;
    let said: Value = serde_json::from_str(&said)?;
    assert_eq!(
        (&said["ready"], &said["cause"]),
        (&false.into(), &"ledger".into())
    );
    ensure!(said["seconds"].as_u64().is_some(), "{said}");
    let log = place.service.log();
    ensure!(
        log.contains("ledger_failed what=commit cause=other sqlite_code=1 reason=SQL logic error"),
        "{log}"
    );
    ensure!(
        !log.contains("elsewhere") && !log.contains("no such table"),
        "{log}"
    );
    ensure!(
        place.metric("sealgate_ledger_rows_waiting ").await? >= 5.0,
        "rows wait"
    );
    ensure!(
        place
            .metric("sealgate_ledger_oldest_row_age_seconds ")
            .await?
            >= 1.0,
        "for a while"
    );

    place.change_ledger(REPAIR).await?;
    eventually("every row is there, and it is ready again", async || {
        matches!(place.count("ledger.sqlite", "usage").await, Ok(6))
            && matches!(place.readiness().await, Ok((200, _)))
    })
    .await;
    assert_eq!(place.metric("sealgate_ledger_rows_waiting ").await?, 0.0);
    assert_eq!(place.metric("sealgate_ledger_rows_lost ").await?, 0.0);
    let log = place.service.log();
    ensure!(log.contains("ledger_recovered what=commit"), "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_row_does_not_block_others_and_is_logged_as_lost() -> Result<()> {
    let place = Place::new("one-bad-row", "").await?;
    place
        .change_ledger(
            "CREATE TRIGGER refuses BEFORE INSERT ON usage WHEN NEW.status = 404 BEGIN \
             SELECT RAISE(ABORT, 'not this one'); END",
        )
        .await?;
    let mut connection = place.service.connect().await?;
    for _ in 0..3 {
        place.answered().await?;
        let path = blackbox::asking::CHAT;
        let refused = connection
            .post(&place.key, path, &chat("no-such-model", "hi"))
            .await?;
        assert_eq!(refused.status, 404);
        refused.bytes().await?;
    }
    place.answered().await?;
    eventually("the other rows and all receipts are there", async || {
        matches!(place.count("ledger.sqlite", "usage").await, Ok(4))
            && matches!(place.count("ledger.sqlite", "receipts").await, Ok(7))
    })
    .await;
    assert_eq!(place.metric("sealgate_ledger_rows_lost ").await?, 3.0);
    eventually("the audit log tells of it", async || {
        matches!(entered_as_lost(&place, "usage").await, Ok(3))
    })
    .await;
    assert_eq!(place.readiness().await?.0, 200);
    let log = place.service.log();
    ensure!(
        log.contains("ledger_failed what=row cause=row_refused"),
        "{log}"
    );
    ensure!(
        log.contains("rows_lost usage=3 receipts=0 sessions=0")
            || log.matches("rows_lost usage=").count() > 1,
        "{log}"
    );
    ensure!(!log.contains("not this one"), "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_wait_are_bounded_and_what_is_dropped_is_counted_and_entered() -> Result<()> {
    let place = Place::new("bounded", "[ledger]\nmax_waiting_rows = 4\n").await?;
    place.change_ledger(BREAK).await?;
    for _ in 0..6 {
        place.answered().await?;
    }
    eventually("four rows wait and the others are dropped", async || {
        matches!(place.metric("sealgate_ledger_rows_waiting ").await, Ok(waiting) if waiting == 4.0)
            && matches!(place.metric("sealgate_ledger_rows_lost ").await, Ok(lost) if lost == 8.0)
    })
    .await;
    eventually("the audit log tells of all of them", async || {
        let usage = entered_as_lost(&place, "usage").await.unwrap_or_default();
        let receipts = entered_as_lost(&place, "receipts")
            .await
            .unwrap_or_default();
        usage + receipts == 8
    })
    .await;
    eventually("the service's log does, too", async || {
        place.service.log().contains("rows_lost ")
    })
    .await;
    place.change_ledger(REPAIR).await?;
    eventually("those that waited are written", async || {
        let usage = place
            .count("ledger.sqlite", "usage")
            .await
            .unwrap_or_default();
        let receipts = place
            .count("ledger.sqlite", "receipts")
            .await
            .unwrap_or_default();
        usage + receipts == 4
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_reports_unwritten_rows_and_exits_with_3() -> Result<()> {
    let mut place = Place::new("unwritten", "[ledger]\nstop_timeout = \"1s\"\n").await?;
    place.answered().await?;
    eventually("the first row is written", async || {
        matches!(place.count("ledger.sqlite", "usage").await, Ok(1))
    })
    .await;
    place.change_ledger(BREAK).await?;
    for _ in 0..3 {
        place.answered().await?;
    }
    place.service.process().signal("TERM")?;
    let status = place.service.process().ended().await?;
    let log = place.service.log();
    assert_eq!(status.code(), Some(3), "{log}");
    let line = log
        .lines()
        .find(|line| line.contains(" stopped_unwritten "));
    let line = line.with_context(|| log.clone())?;
    ensure!(
        line.contains("usage=3 receipts=3 sessions=0 log_entries=0"),
        "{line}"
    );
    ensure!(
        log.contains("sealgate: stopped, and could not write 3 usage rows"),
        "{log}"
    );
    for kind in ["usage", "receipts"] {
        assert_eq!(entered_as_lost(&place, kind).await?, 3, "{kind}");
    }
    // Nothing of it keeps the service from starting again.
    place.change_ledger(REPAIR).await?;
    place.service.start_again().await?;
    place.answered().await?;
    place.service.process().signal("TERM")?;
    assert_eq!(place.service.process().ended().await?.code(), Some(0));
    assert_eq!(place.count("ledger.sqlite", "usage").await?, 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_audit_log_is_reported_and_gets_every_receipt_after_recovery() -> Result<()> {
    let bounds = "[ledger]\nunready_after = \"1s\"\nstop_timeout = \"1s\"\n";
    let mut place = Place::new("failing-log", bounds).await?;
    let change_log = async |place: &Place, statements: &'static str| -> Result<()> {
        let mut connection = place.database("audit.sqlite").await?;
        sqlx::raw_sql(statements).execute(&mut connection).await?;
        Ok(())
    };
    place.answered().await?;
    eventually("the first receipt is entered", async || {
        matches!(place.count("audit.sqlite", "receipts").await, Ok(1))
    })
    .await;
    change_log(&place, "ALTER TABLE entries RENAME TO elsewhere").await?;
    for _ in 0..3 {
        place.answered().await?;
    }
    eventually("it is not ready any more, and names the log", async || {
        let readiness = place.readiness().await;
        matches!(readiness, Ok((503, said)) if said.contains("\"cause\":\"audit_log\""))
    })
    .await;
    ensure!(
        place.metric("sealgate_audit_entries_waiting ").await? >= 3.0,
        "receipts wait"
    );
    place.service.process().signal("TERM")?;
    let status = place.service.process().ended().await?;
    let log = place.service.log();
    assert_eq!(status.code(), Some(3), "{log}");
    ensure!(
        log.contains("ledger_failed what=audit cause=other sqlite_code=1"),
        "{log}"
    );
    // Three receipts, and that the epoch ended.
    ensure!(
        log.contains("stopped_unwritten usage=0 receipts=0 sessions=0 log_entries=4"),
        "{log}"
    );

    change_log(&place, "ALTER TABLE elsewhere RENAME TO entries").await?;
    place.service.start_again().await?;
    eventually("every receipt is entered", async || {
        matches!(place.count("audit.sqlite", "receipts").await, Ok(4))
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_waits_for_another_process_to_unlock_the_ledger() -> Result<()> {
    let mut place = Place::new("held-at-stop", "").await?;
    let mut other = place.database("ledger.sqlite").await?;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await?;
    for _ in 0..9 {
        place.answered().await?;
    }
    place.service.process().signal("TERM")?;
    eventually("it is stopping", async || {
        place.service.log().contains(" stopping")
    })
    .await;
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await?;
    let status = place.service.process().ended().await?;
    assert_eq!(status.code(), Some(0), "{}", place.service.log());
    assert_eq!(place.count("ledger.sqlite", "usage").await?, 9);
    assert_eq!(place.count("ledger.sqlite", "receipts").await?, 9);
    Ok(())
}

/// As a tool does that copies the file: ten seconds are longer than a statement of the service waits.
#[tokio::test(flavor = "multi_thread")]
async fn service_recovers_from_a_lock_held_longer_than_the_statement_timeout() -> Result<()> {
    let place = Place::new("held-long", "").await?;
    let mut other = place.database("ledger.sqlite").await?;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await?;
    for _ in 0..20 {
        place.answered().await?;
    }
    eventually("a statement gave up", async || {
        place
            .service
            .log()
            .contains("ledger_failed what=commit cause=busy")
    })
    .await;
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await?;
    eventually("every row is there", async || {
        matches!(place.count("ledger.sqlite", "usage").await, Ok(20))
            && matches!(place.count("ledger.sqlite", "receipts").await, Ok(20))
    })
    .await;
    place.answered().await?;
    Ok(())
}
