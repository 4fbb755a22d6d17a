//! Policy changes during streams: a receipt names the policy that was attested to its client before the request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;

use crate::support::platform::{Counting, CountingPlatform};
use crate::support::policies::{CONTENT, METADATA, ZERO, beginning_with};
use crate::support::{CHAT, Gateway, Setup, TIMEOUT, error, streamed};
use attest_core::retention::RetentionPolicy;
use attest_core::{Event, Receipt, Report, Sha256Digest, SpkiDigest, Subject};
use testkit::client::Connection;
use testkit::engine::CHAT_MODEL;

/// Streams at once.
const CLIENTS: usize = 200;
const TOGGLES: usize = 6;

/// The report of the connection's epoch and the policy in it, bound as a verifier binds them. The hardware's part is
/// another suite's.
pub async fn attested(connection: &mut Connection) -> Result<(Report, RetentionPolicy)> {
    let answer = connection.get("/v1/aci/attestation").await?;
    ensure!(answer.status == 200, "report: {}", answer.status);
    let report = Report::parse(&answer.bytes().await?)?;
    report.verify_signature()?;
    report.check_keyset_digest()?;
    let key = SpkiDigest::from_bytes(connection.spki_sha256().context("TLS")?);
    report.keyset().lists_tls_key(&key, "localhost")?;
    let subject = Subject::parse(report.keyset().subject.as_deref().context("a subject")?)?;
    let policy = RetentionPolicy::from_stored(&report.evidence().documents["retention"])?;
    ensure!(
        policy.digest() == subject.retention,
        "another policy than the subject's"
    );
    Ok((report, policy))
}

/// A receipt of the gateway's own key, once it is there.
pub async fn receipt(gateway: &Gateway, id: &str) -> Receipt {
    let deadline = tokio::time::Instant::now() + TIMEOUT;
    loop {
        if let Ok(bytes) = try_receipt(gateway, id).await {
            return Receipt::parse(&bytes).expect("a receipt");
        }
        assert!(tokio::time::Instant::now() < deadline, "no receipt {id}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn try_receipt(gateway: &Gateway, id: &str) -> Result<Vec<u8>> {
    let mut connection = testkit::client::TlsClient::observing()
        .connect(gateway.address)
        .await?;
    let path = format!("/v1/aci/receipts/{id}");
    let answer = connection.get_as(&gateway.key, &path).await?;
    ensure!(answer.status == 200, "{}", answer.status);
    answer.bytes().await
}

/// Digest and mode that a receipt says were applied.
pub fn applied(receipt: &Receipt) -> (Sha256Digest, String) {
    let events = &receipt.body().events;
    let applied = events.iter().find_map(|event| match event {
        Event::PolicyApplied {
            retention, mode, ..
        } => Some((*retention, mode.clone())),
        _ => None,
    });
    applied.expect("policy.applied")
}

/// One stream, from the report to the receipt. `None` where the epoch ended before the request was accepted.
async fn one_client(gateway: &Gateway) -> Result<Option<RetentionPolicy>> {
    let client = testkit::client::TlsClient::observing();
    let Ok(mut connection) = client.connect(gateway.address).await else {
        return Ok(None);
    };
    let Ok((report, policy)) = attested(&mut connection).await else {
        return Ok(None);
    };
    let Ok(answer) = connection.post(&gateway.key, CHAT, &streamed("race")).await else {
        return Ok(None);
    };
    if answer.status == 421 {
        let (_, _, code, _) = error(answer).await;
        ensure!(code == "epoch_ended", "{code}");
        return Ok(None);
    }
    ensure!(answer.status == 200, "status {}", answer.status);
    let id = answer
        .header("x-receipt-id")
        .context("a receipt id")?
        .to_owned();
    let body = answer
        .bytes()
        .await
        .context("a stream that was begun is finished")?;
    ensure!(body.ends_with(b"data: [DONE]\n\n"), "a stream was cut");
    let receipt = receipt(gateway, &id).await;
    let (digest, mode) = applied(&receipt);
    ensure!(
        digest == policy.digest(),
        "the receipt names another policy than the report"
    );
    let terms = policy.effective("acme", Some(CHAT_MODEL));
    ensure!(mode == terms.mode().as_str(), "mode {mode} under {terms}");
    receipt
        .verify(report.keyset())
        .context("signed by the epoch that was attested")?;
    Ok(Some(policy))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_receipt_names_the_policy_attested_to_its_client_during_policy_changes() {
    let setup = beginning_with(METADATA, Setup::attested(""));
    let platform = Arc::new(CountingPlatform(Arc::new(Counting::default())));
    let gateway = Arc::new(Gateway::start(setup, platform).await);
    let over = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (gateway, over, served) = (gateway.clone(), over.clone(), served.clone());
        clients.spawn(async move {
            let mut seen = Vec::new();
            while !over.load(Ordering::SeqCst) || seen.is_empty() {
                if let Some(policy) = one_client(&gateway).await? {
                    served.fetch_add(1, Ordering::SeqCst);
                    seen.push(policy.epoch());
                }
            }
            anyhow::Ok(seen)
        });
    }
    for toggle in 0..TOGGLES {
        // Each toggle lands among streams: a number of them has to have come through since the last.
        let before = served.load(Ordering::SeqCst);
        let deadline = tokio::time::Instant::now() + 3 * TIMEOUT;
        while served.load(Ordering::SeqCst) < before + CLIENTS / 8 {
            assert!(
                tokio::time::Instant::now() < deadline,
                "the clients stand still"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        gateway.toggle([ZERO, CONTENT, METADATA][toggle % 3]).await;
    }
    over.store(true, Ordering::SeqCst);
    let mut epochs = Vec::new();
    while let Some(client) = clients.join_next().await {
        epochs.extend(
            client
                .expect("no panic")
                .expect("the attested policy, without exception"),
        );
    }
    epochs.sort_unstable();
    epochs.dedup();
    assert!(
        epochs.len() > TOGGLES / 2,
        "streams were served under {epochs:?} only"
    );
}
