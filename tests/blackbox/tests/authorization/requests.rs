//! Decisions about requests, and where they are shown.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use serde_json::json;

use super::support::{Gateway, NOT_US, find, policy, refused_by};
use blackbox::asking::{error, eventually};
use testkit::client::Connection;
use testkit::service::free_address;

const RULES: &str = r#"
[[rule]]
code = "tests-may-chat"
effect = "allow"
tenants = ["tests"]
endpoints = ["chat"]

[[rule]]
code = "other_is_retired"
effect = "deny"
models = ["oth*"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_served_or_refused_with_the_code_of_the_rule_in_answer_and_receipt()
-> Result<()> {
    let gateway = Gateway::start("authz-requests", RULES, "").await?;
    let answer = gateway.ask("open").await?;
    assert_eq!(answer.status, 200);
    let receipt = gateway.receipt(&answer).await?;
    let applied = find(&receipt, "sealgate.authorization.applied").expect("an event");
    assert_eq!(
        (&applied["decision"], &applied["code"]),
        (&json!("allow"), &json!("tests-may-chat"))
    );
    let digest = attest_core::Sha256Digest::hash(policy(RULES).as_bytes());
    assert_eq!(applied["policy"], digest.to_string());

    let answer = gateway.ask("other").await?;
    let receipt = gateway.receipt(&answer).await?;
    let refused = error(answer).await?;
    assert_eq!(
        (
            refused.status,
            refused.kind.as_str(),
            refused.code.as_deref()
        ),
        (403, "permission_error", Some("not_authorized"))
    );
    assert!(
        refused.message.contains("other_is_retired"),
        "{}",
        refused.message
    );
    let applied = find(&receipt, "sealgate.authorization.applied").expect("an event");
    assert_eq!(
        (&applied["decision"], &applied["code"]),
        (&json!("deny"), &json!("other_is_retired"))
    );
    assert!(find(&receipt, "request.forwarded").is_none(), "{receipt}");

    // Another tenant, and another endpoint.
    let key = gateway.service.create_key("others").await?;
    let mut connection = gateway.service.connect().await?;
    let question = blackbox::asking::chat("open", "may I?");
    let refused = error(
        connection
            .post(&key, blackbox::asking::CHAT, &question)
            .await?,
    )
    .await?;
    assert!(
        refused.message.contains("no-rule-matched"),
        "{}",
        refused.message
    );
    let embed = json!({"model": "open", "input": "may I?"});
    let answer = connection
        .post(&gateway.key, "/v1/embeddings", &embed)
        .await?;
    assert_eq!(error(answer).await?.code.as_deref(), Some("not_authorized"));
    assert_eq!(gateway.prompts(), (1, 0), "nothing refused was forwarded");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_are_counted_by_code_in_metrics_and_refusals_in_the_audit_log() -> Result<()> {
    let address = free_address()?;
    let listener = format!("[metrics]\nlisten = \"{address}\"");
    let gateway = Gateway::start("authz-counted", RULES, &listener).await?;
    assert_eq!(gateway.decision("open").await?, (200, None));
    for _ in 0..2 {
        let refused = refused_by("other_is_retired");
        assert_eq!(gateway.decision("other").await?, refused);
    }
    let mut connection = Connection::plain(address).await?;
    let metrics = connection.get("/metrics").await?.bytes().await?;
    let metrics = String::from_utf8(metrics)?;
    for line in [
        "sealgate_authorization_decisions_total{decision=\"allow\",code=\"tests-may-chat\"} 1",
        "sealgate_authorization_decisions_total{decision=\"deny\",code=\"other_is_retired\"} 2",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line}\n{metrics}"
        );
    }
    let number = AtomicUsize::new(0);
    eventually("the refusals are in the audit log", async || {
        let number = number.fetch_add(1, Ordering::Relaxed);
        let to = gateway.directory.path().join(format!("log-{number}"));
        let to = to.display().to_string();
        let exported = gateway.service.cli(&["log", "export", "--to", &to]).await;
        exported.is_ok() && names(&to, "not_authorized:other_is_retired")
    })
    .await;
    Ok(())
}

/// Whether any file below a directory has this text.
fn names(directory: impl AsRef<std::path::Path>, text: &str) -> bool {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return names(&path, text);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_a_rule_denies_is_passed_over_with_the_reason_in_the_receipt() -> Result<()>
{
    let gateway = Gateway::start("authz-regions", NOT_US, "").await?;
    let answer = gateway.ask("wide").await?;
    assert_eq!(answer.status, 200);
    let receipt = gateway.receipt(&answer).await?;
    let passed = find(&receipt, "sealgate.upstream.passed_over").expect("an event");
    assert_eq!(
        (&passed["upstream_name"], &passed["reason"]),
        (&json!("upstream-0-0"), &json!("not_authorized:not-us"))
    );
    let applied = find(&receipt, "sealgate.authorization.applied").expect("an event");
    assert_eq!(applied["code"], "everything");
    assert_eq!(gateway.prompts(), (0, 1));
    // No upstream is left.
    assert_eq!(gateway.decision("other").await?, refused_by("not-us"));
    assert_eq!(gateway.prompts(), (0, 1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_another_upstream_the_denied_one_is_not_tried_after_a_failure() -> Result<()> {
    let gateway = Gateway::start("authz-failure", NOT_US, "").await?;
    let Gateway {
        us,
        eu,
        service,
        key,
        ..
    } = gateway;
    drop(eu);
    let mut connection = service.connect().await?;
    let question = blackbox::asking::chat("open", "may I?");
    let answer = connection
        .post(&key, blackbox::asking::CHAT, &question)
        .await?;
    assert_eq!(answer.status, 502);
    assert_eq!(us.stats().prompts, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_models_shows_what_the_caller_is_authorized_for() -> Result<()> {
    let gateway = Gateway::start("authz-models", RULES, "").await?;
    assert_eq!(gateway.models(&gateway.key).await?, ["open", "wide"]);
    let others = gateway.service.create_key("others").await?;
    assert_eq!(gateway.models(&others).await?, Vec::<String>::new());
    let mut connection = gateway.service.connect().await?;
    for (key, path, status) in [
        (&gateway.key, "/v1/models/open", 200),
        (&gateway.key, "/v1/models/other", 404),
        (&others, "/v1/models/open", 404),
    ] {
        let answer = connection.get_as(key, path).await?;
        assert_eq!(answer.status, status, "{path}");
        answer.bytes().await?;
    }
    Ok(())
}
