//! The names in a retention policy: published as commitments, each opened only to its tenant.

use std::sync::Arc;

use http::StatusCode;
use serde_json::Value;

use crate::support::platform::{Counting, CountingPlatform};
use crate::support::policies::{CONTENT, METADATA, beginning_with, policy, signed, text};
use crate::support::{Gateway, Setup, error};
use attest_core::retention::RetentionMode;
use attest_core::retention::{
    Format, NameKind, NameOpening, PublishedPolicy, RetentionPolicy, Unopened,
};
use attest_core::{Report, Sha256Digest, parse_hex};
use gateway_store::ledger::inspect;

const SALT: &str = "salt = \"5f1d0c3b7a9e8d6c4b2a190f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c5b\"\n";
const OPENING: &str = "/v1/sealgate/retention/opening";
const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

/// The terms in format 2.
fn two(epoch: u64, predecessor: Option<Sha256Digest>, terms: &str) -> String {
    let text = text(epoch, predecessor, terms);
    let text = text.replacen("retention/1", "retention/2", 1);
    text.replacen("[default]", &format!("{SALT}[default]"), 1)
}

async fn started(terms: &str) -> Gateway {
    Gateway::start(
        beginning_with(terms, Setup::attested("")),
        Arc::new(CountingPlatform(Arc::new(Counting::default()))),
    )
    .await
}

async fn shown(gateway: &Gateway) -> PublishedPolicy {
    let answer = loop {
        let mut connection = gateway.connect().await;
        let answer = connection.get("/v1/aci/attestation").await;
        let answer = answer.expect("an answer").keeping(connection);
        // The epoch may end between the handshake and the request.
        if !answer.is_from_ended_epoch() {
            break answer;
        }
    };
    let bytes = answer.bytes().await.expect("a body");
    let report = Report::parse(&bytes).expect("a report");
    PublishedPolicy::parse(&report.evidence().documents["retention"]).expect("a policy")
}

async fn opening(gateway: &Gateway, key: &str) -> Value {
    let mut connection = gateway.connect().await;
    let answer = connection.get_as(key, OPENING).await.expect("an answer");
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer.json().await.expect("JSON")
}

/// Sets a policy text, signed, and waits until it is served.
async fn set(gateway: &Gateway, text: &str) -> RetentionPolicy {
    let next = policy(text);
    let done = gateway.try_to_set(text, signed(&next)).await;
    done.expect("set");
    crate::support::eventually("an epoch under the new policy", async || {
        shown(gateway).await.digest() == next.digest()
    })
    .await;
    next
}

#[tokio::test(flavor = "multi_thread")]
async fn openings_of_format_two_survive_a_policy_change_and_a_restart() {
    let mut gateway = started(CONTENT).await;
    let first = shown(&gateway).await;
    assert_eq!(first.format(), Format::One);
    assert!(first.text().contains("acme"), "format 1 shows names");
    let before = opening(&gateway, &gateway.key).await;
    assert_eq!(before["salt"], Value::Null);
    assert_eq!(before["named"], true);

    let second = set(&gateway, &two(2, Some(first.digest()), CONTENT)).await;
    let published = shown(&gateway).await;
    for hidden in ["acme", RECIPIENT, &SALT[8..72]] {
        assert!(!published.text().contains(hidden), "{hidden}");
    }
    let own = opening(&gateway, &gateway.key).await;
    assert_eq!(own["policy"], second.digest().to_string());
    let salt = own["salt"].as_str().and_then(|salt| parse_hex(salt).ok());
    let acme = published.tenant("acme", salt.as_ref()).expect("opens");
    assert_eq!(published.most_for(&acme, None), RetentionMode::Content);
    assert_eq!(published.tenant("acme", None), Err(Unopened::NoOpening));
    let recipient = &own["recipients"][0];
    assert_eq!(recipient["recipient"], RECIPIENT);
    let salt = recipient["salt"]
        .as_str()
        .and_then(|salt| parse_hex(salt).ok());
    let opens = NameOpening {
        kind: NameKind::Recipient,
        name: RECIPIENT.to_owned(),
        salt: salt.expect("a salt"),
    };
    let commitment = opens.commitment().digest().to_string();
    assert_eq!(recipient["commitment"], commitment);
    assert!(published.text().contains(&commitment));

    let third = set(&gateway, &two(3, Some(second.digest()), CONTENT)).await;
    assert_eq!(opening(&gateway, &gateway.key).await["salt"], own["salt"]);

    gateway.stopped().await;
    let (key, directory) = (gateway.key, gateway.directory);
    let setup = beginning_with(CONTENT, Setup::attested(""));
    let again = Gateway::start_in(
        directory,
        setup,
        Arc::new(CountingPlatform(Arc::new(Counting::default()))),
    )
    .await;
    assert_eq!(shown(&again).await.digest(), third.digest());
    assert_eq!(opening(&again, &key).await["salt"], own["salt"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_gets_only_its_opening_and_a_client_without_a_key_gets_none() {
    let terms = format!("{CONTENT}[[rule]]\ntenants = [\"clinic\"]\nmode = \"zero\"\n");
    let gateway = started(METADATA).await;
    let clinic = gateway.create_key("clinic").await;
    let other = gateway.create_key("elsewhere").await;
    let first = shown(&gateway).await;
    set(&gateway, &two(2, Some(first.digest()), &terms)).await;

    let mut connection = gateway.connect().await;
    let refused = connection.get(OPENING).await.expect("an answer");
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(error(refused).await.1, "invalid_request_error");
    let refused = connection.get_as("sg-nothing", OPENING).await;
    assert_eq!(refused.expect("an answer").status, StatusCode::UNAUTHORIZED);

    for (key, tenant, named, recipients) in [
        (&gateway.key, "acme", true, 1),
        (&clinic, "clinic", true, 0),
        (&other, "elsewhere", false, 0),
    ] {
        let answer = opening(&gateway, key).await;
        assert_eq!(answer["tenant"], tenant);
        assert_eq!(answer["named"], named);
        assert_eq!(
            answer["recipients"].as_array().map(Vec::len),
            Some(recipients)
        );
        let text = answer.to_string();
        for name in ["acme", "clinic", "elsewhere", "age1"] {
            let own = name == tenant || (name == "age1" && recipients > 0);
            assert_eq!(text.contains(name), own, "{tenant}: {text}");
        }
        let shown = shown(&gateway).await;
        let commitment = answer["commitment"].as_str().expect("a commitment");
        assert_eq!(shown.text().contains(commitment), named);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_stores_the_names_and_the_digest_covers_the_published_form() {
    let mut gateway = started(METADATA).await;
    let first = shown(&gateway).await;
    let second = set(&gateway, &two(2, Some(first.digest()), CONTENT)).await;
    gateway.stopped().await;
    let seen = inspect(&gateway.directory.path().join("state"))
        .await
        .expect("a state");
    let row = seen.policies.last().expect("a row");
    assert_eq!(row.policy, second.stored_text());
    assert_eq!(
        row.digest,
        Sha256Digest::hash(second.published().text().as_bytes())
    );
}
