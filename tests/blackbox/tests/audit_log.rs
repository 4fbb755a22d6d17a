//! The audit log from outside: how a client, an auditor and the operator use it with the shipped programs.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use attest_core::log::SignedHead;
use blackbox::asking::{CHAT, TIMEOUT, chat, error, receipt};
use blackbox::world::{Alone, MODEL};

/// Asks the live service for a report, has it judged and kept.
async fn keep_report(world: &Alone, name: &str) -> Result<()> {
    let url = world.enclave.url();
    let arguments = [
        "endpoint",
        &url,
        "--policy",
        "enclave-policy.toml",
        "--roots",
        "roots",
        "--save-report",
        name,
        "--json",
    ];
    let (code, verdict) = world.verify(&arguments).await?;
    ensure!(code == 0, "{verdict:#}");
    for id in ["log.checkpoint", "log.epoch"] {
        let checks = verdict["checks"].as_array().context("no checks")?;
        let check = checks.iter().find(|check| check["id"] == id);
        ensure!(
            check.is_some_and(|check| check["outcome"] == "pass"),
            "{id}: {check:?}"
        );
    }
    Ok(())
}

async fn get(world: &Alone, path: &str) -> Result<Vec<u8>> {
    let answer = world.enclave.connect().await?.get(path).await?;
    ensure!(answer.status == 200, "{path}: {}", answer.status);
    answer.bytes().await
}

async fn head(world: &Alone) -> Result<SignedHead> {
    Ok(SignedHead::parse(
        &get(world, "/v1/aci/log/checkpoint").await?,
    )?)
}

/// One request; its receipt, and the proof of it once there is one.
async fn proven(world: &Alone) -> Result<(Vec<u8>, Vec<u8>)> {
    let mut connection = world.enclave.connect().await?;
    let answer = connection
        .post(&world.key, CHAT, &chat(MODEL, "log me"))
        .await?;
    ensure!(answer.status == 200, "{}", answer.status);
    let id = answer
        .header("x-receipt-id")
        .context("no receipt id")?
        .to_owned();
    answer.bytes().await?;
    let receipt = receipt(&mut connection, &world.key, &id).await?;
    let path = format!("/v1/aci/receipts/{id}/proof");
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let answer = connection.get_as(&world.key, &path).await?;
        if answer.status == 200 {
            return Ok((receipt, answer.bytes().await?));
        }
        let refused = error(answer).await?;
        ensure!(
            refused.code.as_deref() == Some("receipt_not_logged"),
            "{refused:?}"
        );
        ensure!(Instant::now() < deadline, "never entered");
        sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_proves_its_receipt_and_an_auditor_follows_the_log_over_a_reload_and_a_restart()
-> Result<()> {
    let mut world = Alone::new("audit-log", |config, _| config).await?;
    keep_report(&world, "first.json").await?;
    let first = head(&world).await?;
    world.directory.write("first", first.note())?;

    let (receipt, proof) = proven(&world).await?;
    world.directory.write("receipt.json", &receipt)?;
    world.directory.write("proof.txt", &proof)?;
    let judge = [
        "--policy",
        "enclave-policy.toml",
        "--roots",
        "roots",
        "--json",
    ];
    let nonce = ["--nonce", "@first.json.nonce"];
    let ask = [
        "log",
        "receipt",
        "receipt.json",
        "--proof",
        "proof.txt",
        "--head",
        "first.json",
    ];
    let (code, audit) = world.verify(&[&ask[..], &nonce, &judge].concat()).await?;
    assert_eq!(code, 0, "{audit:#}");

    world.enclave.reload().await?;
    world.enclave.restart().await?;
    keep_report(&world, "later.json").await?;
    let later: Value =
        serde_json::from_slice(&std::fs::read(world.directory.path().join("later.json"))?)?;
    let shown = &later["attestation"]["evidence"]["documents"]["log"];
    assert!(
        shown
            .as_str()
            .context("no log")?
            .contains(&first.claimed().origin.to_string())
    );
    let size = attest_core::log::EpochProof::parse(shown.as_str().context("no log")?.as_bytes())?
        .claimed_head()
        .size;
    let old = report_size(&world, "first.json")?;
    let path = format!("/v1/aci/log/consistency?old={old}&new={size}");
    world
        .directory
        .write("between.json", get(&world, &path).await?)?;
    let ask = [
        "log",
        "consistency",
        "first.json",
        "later.json",
        "--proof",
        "between.json",
    ];
    let nonces = [
        "--old-nonce",
        "@first.json.nonce",
        "--new-nonce",
        "@later.json.nonce",
    ];
    let (code, audit) = world.verify(&[&ask[..], &nonces, &judge].concat()).await?;
    assert_eq!(code, 0, "{audit:#}");
    // The nonces that were saved beside the reports are found there.
    let (code, audit) = world.verify(&[&ask[..], &judge].concat()).await?;
    assert_eq!(code, 0, "{audit:#}");
    let (code, _) = world
        .verify(
            &[
                &["log", "consistency", "later.json", "first.json"][..],
                &judge,
            ]
            .concat(),
        )
        .await?;
    assert_eq!(code, 10, "the other way round the log has shrunk");

    // The operator's export and a copy of the database, against the head that was kept.
    let to = world.directory.path().join("export");
    let to = to.to_str().context("a path")?;
    let output = world
        .enclave
        .cli(&["log", "export", "--private", "--to", to])
        .await?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let replay = [
        "log", "replay", "--export", "export", "--head", "first", "--json",
    ];
    let (code, audit) = world.verify(&replay).await?;
    assert_eq!(code, 0, "{audit:#}");
    // Against a saved report, whose nonce lies beside it; without that nonce it is not accepted.
    let replay = [
        "log",
        "replay",
        "--export",
        "export",
        "--head",
        "first.json",
    ];
    let (code, audit) = world.verify(&[&replay[..], &judge].concat()).await?;
    assert_eq!(code, 0, "{audit:#}");
    std::fs::remove_file(world.directory.path().join("first.json.nonce"))?;
    let (code, _) = world.verify(&[&replay[..], &judge].concat()).await?;
    assert_eq!(code, 10, "the nonce is not there");
    let database = world.enclave.directory().join("state/audit.sqlite");
    let database = database.to_str().context("a path")?;
    let replay = [
        "log",
        "replay",
        "--database",
        database,
        "--head",
        "first",
        "--json",
    ];
    let (code, audit) = world.verify(&replay).await?;
    assert_eq!(code, 0, "{audit:#}");
    Ok(())
}

fn report_size(world: &Alone, name: &str) -> Result<u64> {
    let report: Value = serde_json::from_slice(&std::fs::read(world.directory.path().join(name))?)?;
    let text = report["attestation"]["evidence"]["documents"]["log"].as_str();
    let text = text.context("no log")?;
    Ok(attest_core::log::EpochProof::parse(text.as_bytes())?
        .claimed_head()
        .size)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_log_contains_no_names_and_only_the_key_holder_gets_proofs() -> Result<()> {
    let world = Alone::new("audit-public", |config, _| config).await?;
    let other = world.enclave.create_key("someone-else").await?;
    proven(&world).await?;
    let head = head(&world).await?;
    let size = head.claimed().size;
    for tile in
        attest_core::log::tile::bundles(size).chain(attest_core::log::tile::hash_tiles(size))
    {
        let bytes = get(&world, &format!("/v1/aci/log/{}", tile.path())).await?;
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            !text.contains("someone-else") && !text.contains("tests"),
            "{text}"
        );
    }
    let mut connection = world.enclave.connect().await?;
    for path in [
        "tile/0/001",
        "tile/entries/000.p/255",
        "tile/x/000",
        "tile/0/0",
    ] {
        let refused = error(connection.get(&format!("/v1/aci/log/{path}")).await?).await?;
        assert_eq!(refused.status, 404, "{path}");
    }
    for query in ["", "?old=1", "?old=2&new=1", "?old=1&new=x"] {
        let path = format!("/v1/aci/log/consistency{query}");
        let refused = error(connection.get(&path).await?).await?;
        assert_eq!(refused.status, 400, "{query}");
    }
    let answer = connection
        .post(&world.key, CHAT, &chat(MODEL, "mine"))
        .await?;
    let id = answer
        .header("x-receipt-id")
        .context("no receipt id")?
        .to_owned();
    answer.bytes().await?;
    let path = format!("/v1/aci/receipts/{id}/proof");
    assert_eq!(connection.get_as(&other, &path).await?.status, 404);
    assert_eq!(connection.get(&path).await?.status, 401);
    Ok(())
}
