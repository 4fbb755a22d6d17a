//! Policy keys for a deployment that began without any, with what the programs print on the way.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;
use sqlx::{Connection as _, Row, SqliteConnection};

use super::{cli, configuration, line_of};
use blackbox::asking::eventually;
use blackbox::world::Alone;
use testkit::process::{run, sibling};

/// Makes a policy key and returns its public half.
async fn keygen(alone: &Alone, file: &str) -> Result<String> {
    let output = alone
        .enclave
        .cli(&["retention", "keygen", "--out", file])
        .await?;
    assert!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn with_retention(alone: &Alone, section: &str) -> Result<String> {
    let text = configuration(alone)?;
    Ok(text.replace("[tee]", &format!("[retention]\n{section}\n[tee]")))
}

async fn documents(alone: &Alone) -> Result<Value> {
    let mut connection = alone.enclave.connect().await?;
    let report: Value = connection.get("/v1/aci/attestation").await?.json().await?;
    Ok(report["attestation"]["evidence"]["documents"].clone())
}

/// The changes of the retention policy that the audit log has, as their entries.
async fn changes(state: &Path) -> Result<Vec<Value>> {
    let file = state.join("audit.sqlite");
    let mut database = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await?;
    let rows = sqlx::query("SELECT entry FROM entries ORDER BY idx")
        .fetch_all(&mut database)
        .await?;
    let mut found = Vec::new();
    for row in rows {
        let entry: Value = serde_json::from_slice(&row.try_get::<Vec<u8>, _>(0)?)?;
        if entry["type"] == "retention.changed" || entry["fact"] == "retention.changed" {
            found.push(entry);
        }
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_keys_are_added_to_a_running_service_in_the_documented_steps() -> Result<()> {
    let mut alone = Alone::new("operator-keys-later", |config, _| config).await?;
    let before = alone.enclave.connect().await?.spki_sha256();
    let key = keygen(&alone, "policy.key").await?;
    let text = with_retention(&alone, &format!("keys = [{key:?}]"))?;
    alone.enclave.write_config(&text)?;

    // What is missing is said before anything happens, by all three, and where.
    let line = line_of(&text, "keys = ");
    let place = format!("sealgate.toml:{line}: retention.keys: ");
    for command in ["check", "reload"] {
        let (code, printed) = cli(&alone, &[command]).await?;
        assert_eq!(code, 2, "{printed}");
        for part in [
            &place[..],
            "sealgate retention show --document",
            "sealgate retention set",
        ] {
            assert!(
                printed.contains(part),
                "{command}: {part:?} is not in {printed}"
            );
        }
    }
    assert_eq!(
        alone.enclave.connect().await?.spki_sha256(),
        before,
        "the epoch goes on"
    );

    // The steps.
    let output = alone
        .enclave
        .cli(&["retention", "show", "--document"])
        .await?;
    assert!(output.status.success(), "{output:?}");
    std::fs::write(
        alone.enclave.directory().join("current.json"),
        output.stdout,
    )?;
    for step in [
        &["retention", "sign", "--key", "policy.key", "current.json"][..],
        &["retention", "set", "current.json"],
        &["check"],
        &["reload"],
    ] {
        let (code, printed) = cli(&alone, step).await?;
        assert_eq!(code, 0, "{step:?}: {printed}");
    }

    // Verifiers see a new epoch whose report shows the keys and their signature; a verifier that demands them accepts.
    assert_ne!(alone.enclave.connect().await?.spki_sha256(), before);
    let shown = documents(&alone).await?;
    let config = shown["config"].as_str().context("a configuration")?;
    assert!(config.contains(&key), "{config}");
    let signatures = shown["retention_signatures"].to_string();
    assert!(signatures.contains(&key), "{signatures}");
    let base = alone.directory.path();
    let policy = std::fs::read_to_string(base.join("enclave-policy.toml"))?;
    let demanding = format!("{policy}\n[retention]\nkeys = [{key:?}]\n");
    alone.directory.write("demanding.toml", demanding)?;
    let url = alone.enclave.url();
    let arguments = [
        "endpoint",
        &url,
        "--policy",
        "demanding.toml",
        "--roots",
        "roots",
    ];
    let output = run(&sibling("sealgate-verify")?, arguments, base).await?;
    assert!(output.status.success(), "{output:?}");

    // The audit log shows who stands for the policy now, once, and replays.
    let state = alone.enclave.directory().join("state");
    let logged = changes(&state).await?;
    assert_eq!(logged.len(), 2, "{logged:#?}");
    assert!(!logged[0].to_string().contains(&key));
    assert!(logged[1].to_string().contains(&key), "{logged:#?}");
    let (code, printed) = cli(&alone, &["reload"]).await?;
    assert_eq!(code, 0, "{printed}");
    assert_eq!(changes(&state).await?.len(), 2);
    let export = base.join("export").display().to_string();
    let (code, printed) = cli(&alone, &["log", "export", "--to", &export]).await?;
    assert_eq!(code, 0, "{printed}");
    let output = run(
        &sibling("sealgate-verify")?,
        ["log", "replay", "--export", "export"],
        base,
    )
    .await?;
    assert!(output.status.success(), "{output:?}");

    // A restart serves, and the keys decide from now on.
    alone.enclave.restart().await?;
    let (code, printed) = cli(&alone, &["retention", "show"]).await?;
    assert_eq!((code, printed.contains(&key)), (0, true), "{printed}");
    let digest = printed
        .lines()
        .find_map(|line| line.strip_prefix("digest"))
        .context("a digest")?
        .trim();
    let next = format!(
        "format = \"sealgate/retention/2\"\nepoch = 2\npredecessor = {digest:?}\n[default]\nmode = \"zero\"\n"
    );
    std::fs::write(alone.enclave.directory().join("next.toml"), next)?;
    let (code, printed) = cli(&alone, &["retention", "set", "next.toml"]).await?;
    assert_eq!(code, 2, "it is not signed: {printed}");
    for step in [
        &["retention", "sign", "--key", "policy.key", "next.toml"][..],
        &["retention", "set", "next.toml"],
    ] {
        let (code, printed) = cli(&alone, step).await?;
        assert_eq!(code, 0, "{step:?}: {printed}");
    }
    eventually("an epoch under the next policy", async || {
        let shown = documents(&alone).await;
        shown.is_ok_and(|shown| shown["retention"].to_string().contains("zero"))
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_beside_the_configured_policy_count_for_keys_that_come_later() -> Result<()> {
    let alone = Alone::new("operator-named-later", |config, _| config).await?;
    // The policy of this file is the active one from now on.
    let output = alone
        .enclave
        .cli(&["retention", "show", "--document"])
        .await?;
    std::fs::write(alone.enclave.directory().join("policy.json"), output.stdout)?;
    let key = keygen(&alone, "policy.key").await?;
    let stranger = keygen(&alone, "stranger.key").await?;
    let section = |key: &str| format!("policy = \"policy.json\"\nkeys = [{key:?}]");
    let (code, printed) = cli(
        &alone,
        &["retention", "sign", "--key", "policy.key", "policy.json"],
    )
    .await?;
    assert_eq!(code, 0, "{printed}");

    let text = configuration(&alone)?;
    alone
        .enclave
        .write_config(&with_retention(&alone, &section(&stranger))?)?;
    let (code, printed) = cli(&alone, &["reload"]).await?;
    assert_eq!(
        code, 2,
        "signed by another key than the configured one: {printed}"
    );

    alone.enclave.write_config(&text)?;
    alone
        .enclave
        .write_config(&with_retention(&alone, &section(&key))?)?;
    for command in ["check", "reload"] {
        let (code, printed) = cli(&alone, &[command]).await?;
        assert_eq!(code, 0, "{command}: {printed}");
    }
    let signatures = documents(&alone).await?["retention_signatures"].to_string();
    assert!(signatures.contains(&key), "{signatures}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_reload_adds_policy_keys_and_activates_the_signed_next_policy() -> Result<()> {
    let alone = Alone::new("operator-next-later", |config, _| config).await?;
    let key = keygen(&alone, "policy.key").await?;
    let (_, printed) = cli(&alone, &["retention", "show"]).await?;
    let digest = printed
        .lines()
        .find_map(|line| line.strip_prefix("digest"))
        .context("a digest")?
        .trim()
        .to_owned();
    let next = format!(
        "format = \"sealgate/retention/2\"\nepoch = 2\npredecessor = {digest:?}\n[default]\nmode = \"zero\"\n"
    );
    std::fs::write(alone.enclave.directory().join("next.toml"), next)?;
    let section = format!("policy = \"next.toml\"\nkeys = [{key:?}]");
    alone
        .enclave
        .write_config(&with_retention(&alone, &section)?)?;
    let (code, printed) = cli(&alone, &["reload"]).await?;
    assert_eq!(code, 2, "not signed yet: {printed}");
    let sign = ["retention", "sign", "--key", "policy.key", "next.toml"];
    assert_eq!(cli(&alone, &sign).await?.0, 0);
    let (code, printed) = cli(&alone, &["reload"]).await?;
    assert_eq!(code, 0, "{printed}");
    let shown = documents(&alone).await?;
    assert!(shown["retention"].to_string().contains("zero"), "{shown:#}");
    Ok(())
}
