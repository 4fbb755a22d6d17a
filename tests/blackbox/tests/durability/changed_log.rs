//! An audit log that another process changes while the service runs.

use anyhow::{Context, Result, ensure};

use crate::place::Place;
use attest_core::log::{Entry, Fact, Frontier, SignedHead, receipts_root, tree};
use attest_core::{Sha256Digest, UnixTime, to_hex};
use blackbox::asking::eventually;

async fn head(place: &Place) -> Result<SignedHead> {
    let mut connection = place.service.connect().await?;
    let note = connection.get("/v1/aci/log/checkpoint").await?;
    SignedHead::parse(&note.bytes().await?).context("a head")
}

/// Enters a batch with one receipt and its hashes, as a program that knows the format does.
async fn enter_batch(place: &Place, receipt: Sha256Digest) -> Result<()> {
    let mut connection = place.database("audit.sqlite").await?;
    let entries: Vec<Vec<u8>> = sqlx::query_scalar("SELECT entry FROM entries ORDER BY idx")
        .fetch_all(&mut connection)
        .await?;
    let mut frontier = Frontier::default();
    for entry in &entries {
        frontier.push(tree::leaf(entry), |_, _| {});
    }
    let batch = Entry {
        at: UnixTime::from_secs(1_780_000_000),
        fact: Fact::Receipts {
            root: receipts_root(&[receipt]),
        },
    };
    let (size, bytes) = (entries.len(), batch.to_bytes());
    let mut statements = format!(
        "INSERT INTO entries VALUES ({size}, x'{}'); INSERT INTO batches VALUES ({size}, x'01{}');",
        to_hex(&bytes),
        to_hex(receipt.as_bytes())
    );
    frontier.push(tree::leaf(&bytes), |node, hash| {
        let position = node.completion();
        statements += &format!("INSERT INTO nodes VALUES ({position}, x'{hash}');");
    });
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements))
        .execute(&mut connection)
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_another_process_enters_is_signed_by_no_head_and_makes_the_service_unready()
-> Result<()> {
    let bounds = "[ledger]\nunready_after = \"1s\"\nstop_timeout = \"1s\"\n";
    let mut place = Place::new("changed-log", bounds).await?;
    place.answered().await?;
    eventually("the receipt is entered", async || {
        matches!(place.count("audit.sqlite", "receipts").await, Ok(1))
    })
    .await;
    // What a command enters beside the service is no change.
    let before = head(&place).await?.claimed().size;
    place.service.create_key("beside").await?;
    eventually("a head includes the command's entry", async || {
        let now = head(&place).await;
        now.is_ok_and(|now| now.claimed().size > before)
    })
    .await;
    assert_eq!(place.readiness().await?, (200, "ready\n".to_owned()));

    let before = head(&place).await?;
    enter_batch(&place, Sha256Digest::hash(b"forged")).await?;
    place.answered().await?;
    eventually(
        "it is not ready any more, and names the cause",
        async || {
            let readiness = place.readiness().await;
            matches!(readiness, Ok((503, said)) if said.contains("\"cause\":\"audit_log\"")
            && said.contains("\"failure\":\"altered\""))
        },
    )
    .await;
    assert_eq!(head(&place).await?, before, "nothing more is signed");
    place.service.process().signal("TERM")?;
    let status = place.service.process().ended().await?;
    let log = place.service.log();
    assert_eq!(status.code(), Some(3), "{log}");
    ensure!(
        log.contains("ledger_failed what=audit cause=altered"),
        "{log}"
    );

    // The next start removes the batch, and enters the receipt that could not be entered.
    place.service.start_again().await?;
    eventually("the service's receipts are entered", async || {
        matches!(place.count("audit.sqlite", "receipts").await, Ok(2))
    })
    .await;
    let log = place.service.log();
    ensure!(log.contains("audit_entries_removed count=1"), "{log}");
    assert_eq!(place.readiness().await?, (200, "ready\n".to_owned()));
    Ok(())
}
