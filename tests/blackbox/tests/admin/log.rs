//! The audit log as administrators see it.

use anyhow::{Context, Result};
use serde_json::Value;

use super::Administered;
use blackbox::asking::{CHAT, chat, error, eventually};
use blackbox::world::MODEL;

async fn log(admin: &Administered) -> Result<Value> {
    let path = "/admin/v1/log?count=500";
    admin.get(&admin.auditor, path).await?.json().await
}

fn entries<'a>(log: &'a Value, kind: &str) -> Vec<&'a Value> {
    let all = log["entries"].as_array().into_iter().flatten();
    all.filter(|row| row["entry"]["type"] == kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_auditors_see_the_subjects_of_log_entries() -> Result<()> {
    let admin = Administered::new("admin-log").await?;
    let body = br#"{"tenant":"acme-bank"}"#;
    let made = admin
        .send(&admin.operator, "POST", "/admin/v1/keys", body)
        .await?;
    assert_eq!(made.status, 201);
    let about_acme = |log: &Value| {
        let administered = entries(log, "admin");
        administered.iter().any(|row| {
            let subject = row["subject"].as_str().unwrap_or_default();
            subject.contains("acme-bank") && row["entry"]["action"] == "key.created"
        })
    };
    eventually("the entry", async || {
        log(&admin).await.is_ok_and(|log| about_acme(&log))
    })
    .await;
    let shown = log(&admin).await?;
    let roles: Vec<&str> = entries(&shown, "admin")
        .iter()
        .filter_map(|row| row["subject"].as_str())
        .collect();
    for role in ["read-only", "auditor", "operator"] {
        let named = roles.iter().any(|subject| subject.ends_with(role));
        assert!(named, "no administrator {role} in {roles:?}");
    }
    let checkpoint = shown["checkpoint"].as_str().context("a head")?;
    let mut public = admin.world.enclave.connect().await?;
    let published = public.get("/v1/aci/log/checkpoint").await?.bytes().await?;
    let (first, _) = checkpoint.split_once('\n').context("lines")?;
    assert!(published.starts_with(first.as_bytes()), "the same log");
    let path = format!("/v1/aci/log/tile/entries/000.p/{}", shown["size"]);
    let bundle = public.get(&path).await?.bytes().await?;
    assert!(!bundle.is_empty());
    let words = String::from_utf8_lossy(&bundle).into_owned();
    assert!(
        !words.contains("acme-bank"),
        "the public log names a tenant"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_the_receipts_of_a_batch() -> Result<()> {
    let admin = Administered::new("admin-batch").await?;
    let mut client = admin.world.enclave.connect().await?;
    let question = chat(MODEL, "hello");
    let answer = client.post(&admin.world.key, CHAT, &question).await?;
    assert_eq!(answer.status, 200);
    answer.bytes().await?;
    eventually("a batch", async || {
        log(&admin)
            .await
            .is_ok_and(|log| !entries(&log, "receipts").is_empty())
    })
    .await;
    let shown = log(&admin).await?;
    let index = &entries(&shown, "receipts")[0]["index"];
    let path = format!("/admin/v1/log/receipts/{index}");
    let batch = admin.get(&admin.auditor, &path).await?.json().await?;
    let digest = batch["receipts"][0].as_str().context("a digest")?;
    assert!(digest.starts_with("sha256:"), "{batch}");
    for none in ["/admin/v1/log/receipts/0", "/admin/v1/log/receipts/x"] {
        let refused = error(admin.get(&admin.auditor, none).await?).await?;
        assert_eq!(refused.status, 404, "{none}");
    }
    let refused = error(admin.get(&admin.auditor, "/admin/v1/log?count=501").await?).await?;
    assert_eq!(refused.status, 400);
    Ok(())
}
