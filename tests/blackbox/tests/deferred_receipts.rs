//! `[receipts] sign = "on_fetch"`: receipts are signed when they are fetched, and proven by the audit log afterwards.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use attest_core::{Receipt, ReceiptDocument};
use blackbox::asking::{CHAT, TIMEOUT, chat, receipt};
use blackbox::world::{Alone, MODEL};

const JUDGE: [&str; 5] = [
    "--policy",
    "enclave-policy.toml",
    "--roots",
    "roots",
    "--json",
];
const ON_FETCH: &str = "[receipts]\nsign = \"on_fetch\"";

/// Saves the report of the active epoch.
async fn save_report(world: &Alone, name: &str) -> Result<()> {
    let url = world.enclave.url();
    let ask = ["endpoint", &url, "--save-report", name];
    let (code, verdict) = world.verify(&[&ask[..], &JUDGE].concat()).await?;
    ensure!(code == 0, "{verdict:#}");
    Ok(())
}

/// Checks a receipt under a saved report: the exit code, and the outcome of `receipt.log`.
async fn judged(world: &Alone, document: &Value, report: &str) -> Result<(i32, Option<String>)> {
    world
        .directory
        .write("receipt.json", document.to_string())?;
    let nonce = format!("@{report}.nonce");
    let ask = [
        "receipt",
        "receipt.json",
        "--report",
        report,
        "--nonce",
        &nonce,
    ];
    let (code, result) = world.verify(&[&ask[..], &JUDGE].concat()).await?;
    let findings = result["findings"].as_array().context("no findings")?;
    let log = findings.iter().find(|check| check["id"] == "receipt.log");
    let outcome = log.and_then(|check| check["outcome"].as_str());
    Ok((code, outcome.map(str::to_owned)))
}

/// One request, whose receipt is not fetched.
async fn ask(world: &Alone, question: &str) -> Result<String> {
    let mut connection = world.enclave.connect().await?;
    let answer = connection
        .post(&world.key, CHAT, &chat(MODEL, question))
        .await?;
    ensure!(answer.status == 200, "{}", answer.status);
    let id = answer.header("x-receipt-id").context("no receipt id")?;
    let id = id.to_owned();
    answer.bytes().await?;
    Ok(id)
}

/// Waits until the audit log has the receipt. Returns the proof under the newest head.
async fn logged(world: &Alone, id: &str) -> Result<String> {
    let path = format!("/v1/aci/receipts/{id}/proof");
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let mut connection = world.enclave.connect().await?;
        let answer = connection.get_as(&world.key, &path).await?;
        if answer.status == 200 {
            return Ok(String::from_utf8(answer.bytes().await?)?);
        }
        ensure!(Instant::now() < deadline, "never entered");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn fetched(world: &Alone, id: &str) -> Result<Value> {
    let mut connection = world.enclave.connect().await?;
    let bytes = receipt(&mut connection, &world.key, id).await?;
    ReceiptDocument::parse(&bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_is_signed_when_it_is_fetched_and_proven_by_the_log_after_a_kill() -> Result<()> {
    let mut world = Alone::new("deferred-kill", |config, _| config.and(ON_FETCH)).await?;
    save_report(&world, "first.json").await?;

    // Fetched while the key exists: a signature like any other, the same at each time, and the log has the receipt.
    let id = ask(&world, "fetched").await?;
    let signed = fetched(&world, &id).await?;
    ensure!(signed["signature"].is_string() && signed["log_proof"].is_null());
    assert_eq!(fetched(&world, &id).await?, signed);
    assert_eq!(judged(&world, &signed, "first.json").await?, (0, None));
    world
        .directory
        .write("proof.txt", logged(&world, &id).await?)?;
    let ask_log = ["log", "receipt", "receipt.json", "--proof", "proof.txt"];
    let head = ["--head", "first.json"];
    let (code, result) = world
        .verify(&[&ask_log[..], &head, &JUDGE].concat())
        .await?;
    assert_eq!(code, 0, "{result:#}");

    // Never fetched, and the key is erased by a kill.
    let other = ask(&world, "another").await?;
    let id = ask(&world, "not fetched").await?;
    logged(&world, &other).await?;
    logged(&world, &id).await?;
    world.enclave.end("KILL").await?;
    world.enclave.start_again().await?;
    save_report(&world, "later.json").await?;
    let proven = fetched(&world, &id).await?;
    ensure!(proven["signature"].is_null(), "{proven:#}");
    let accepted = Some("pass".to_owned());
    assert_eq!(judged(&world, &proven, "first.json").await?, (0, accepted));
    ensure!(Receipt::parse(proven.to_string().as_bytes()).is_err());
    // A keyset alone does not say that the service signs on fetch.
    let report = std::fs::read(world.directory.path().join("first.json"))?;
    let keyset = serde_json::from_slice::<Value>(&report)?["attestation"]["workload_keyset"].take();
    world.directory.write("keyset.json", keyset.to_string())?;
    let by_keyset = [
        "receipt",
        "receipt.json",
        "--keyset",
        "keyset.json",
        "--json",
    ];
    let (code, result) = world.verify(&by_keyset).await?;
    assert_eq!(code, 10);
    assert_eq!(result["findings"][2]["outcome"], "missing", "{result:#}");

    // Another body, the proof of another receipt, the head of another key, another keyset.
    let refused = Some("fail".to_owned());
    let mut altered = proven.clone();
    altered["model"] = "another".into();
    assert_eq!(
        judged(&world, &altered, "first.json").await?,
        (10, refused.clone())
    );
    let mut altered = proven.clone();
    altered["log_proof"] = fetched(&world, &other).await?["log_proof"].clone();
    assert_eq!(
        judged(&world, &altered, "first.json").await?,
        (10, refused.clone())
    );
    let mut altered = proven.clone();
    altered["log_proof"] = logged(&world, &id).await?.into();
    assert_eq!(judged(&world, &altered, "first.json").await?, (10, refused));
    assert_eq!(judged(&world, &proven, "later.json").await?, (10, None));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receipts_of_an_ended_epoch_are_proven_under_its_last_head() -> Result<()> {
    let mut world = Alone::new("deferred-reload", |config, _| config.and(ON_FETCH)).await?;
    save_report(&world, "first.json").await?;
    // The epoch ends at once: the log enters the receipt before.
    let ids = [ask(&world, "one").await?, ask(&world, "two").await?];
    world.enclave.reload().await?;
    world.enclave.restart().await?;
    for id in ids {
        let proven = fetched(&world, &id).await?;
        let accepted = Some("pass".to_owned());
        assert_eq!(judged(&world, &proven, "first.json").await?, (0, accepted));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_setting_receipts_are_signed_and_no_proof_replaces_a_signature() -> Result<()> {
    let mut world = Alone::new("deferred-eager", |config, _| config).await?;
    save_report(&world, "first.json").await?;
    let id = ask(&world, "signed at once").await?;
    let proof = logged(&world, &id).await?;
    world.enclave.restart().await?;
    let mut receipt = fetched(&world, &id).await?;
    assert_eq!(judged(&world, &receipt, "first.json").await?, (0, None));
    let members = receipt.as_object_mut().context("an object")?;
    members.remove("signature");
    members.insert("log_proof".to_owned(), proof.into());
    let refused = Some("fail".to_owned());
    assert_eq!(judged(&world, &receipt, "first.json").await?, (10, refused));
    Ok(())
}
