//! The report: which verifiers accept it, and that requests for it do not starve other clients.

#[path = "attestation/flood.rs"]
mod flood;
#[path = "attestation/machines.rs"]
mod machines;
#[path = "attestation/upstreams.rs"]
mod upstreams;

use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;
use tokio::time::timeout;

use attest_core::{Decision, Freshness, Nonce};
use blackbox::asking::{CHAT, TIMEOUT, chat, error};
use blackbox::identity;
use blackbox::world::{
    Alone, MODEL, World, appraise, gateway_trusting, judge, start, trusting_directory,
};
use testkit::client::{Connection, TlsClient};
use testkit::config::Model;
use testkit::engine::{CHAT_MODEL, Engine};
use testkit::relay::Relay;

#[tokio::test(flavor = "multi_thread")]
async fn gateway_and_enclave_are_accepted_only_under_their_own_policies() -> Result<()> {
    let world = World::new("identities").await?;
    for (service, own, other) in [
        (&world.gateway, "gateway", "enclave"),
        (&world.enclave, "enclave", "gateway"),
    ] {
        let mut connection = service.connect().await?;
        let nonce = Nonce::from_bytes([4; 32]);
        let accepted = appraise(&mut connection, own, nonce).await?;
        assert_eq!(accepted.verdict().decision(), Decision::Accepted);
        let rejected = appraise(&mut connection, other, nonce).await?;
        let failures: Vec<_> = rejected
            .verdict()
            .failures()
            .map(|(id, _)| id.as_str())
            .collect();
        assert!(failures.contains(&"tdx.measurement.mrtd"), "{failures:?}");
        assert!(rejected.trusted().is_err());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_accepted_only_with_its_nonce_and_on_its_connection() -> Result<()> {
    let world = Alone::new("binding", |config, _| config).await?;
    let mut connection = world.enclave.connect().await?;
    let nonce = Nonce::from_bytes([5; 32]);
    let path = format!("/v1/aci/attestation?nonce={nonce}&collateral=1");
    let report = connection.get(&path).await?.bytes().await?;
    let failures = |appraisal: attest_core::Appraisal| -> Vec<&'static str> {
        appraisal
            .verdict()
            .failures()
            .map(|(id, _)| id.as_str())
            .collect()
    };
    let own = judge(
        &report,
        "enclave",
        Freshness::Challenged(nonce),
        &connection,
    )?;
    assert!(own.trusted().is_ok());

    let replayed = Freshness::Challenged(Nonce::from_bytes([6; 32]));
    let replayed = failures(judge(&report, "enclave", replayed, &connection)?);
    assert!(!replayed.is_empty());
    assert!(
        replayed
            .iter()
            .all(|id| ["freshness.nonce", "binding.report_data"].contains(id)),
        "{replayed:?}"
    );

    let relay = Relay::start(world.enclave.address()).await?;
    let relayed = TlsClient::observing().connect(relay.address()).await?;
    let relayed = failures(judge(
        &report,
        "enclave",
        Freshness::Challenged(nonce),
        &relayed,
    )?);
    assert_eq!(relayed, ["channel.spki"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_nonce_is_refused() -> Result<()> {
    let world = Alone::new("nonces", |config, _| config).await?;
    let mut connection = world.enclave.connect().await?;
    let good = "ab".repeat(32);
    for query in [
        "nonce=".to_owned(),
        "nonce=ab".to_owned(),
        format!("nonce={}", good.to_uppercase()),
        format!("nonce={good}00"),
        format!("nonce={good}&nonce={good}"),
        format!("nonce={}", "zz".repeat(32)),
    ] {
        let answer = connection
            .get(&format!("/v1/aci/attestation?{query}"))
            .await?;
        let refused = error(answer).await?;
        assert_eq!(
            (refused.status, refused.kind.as_str()),
            (400, "invalid_request_error"),
            "{query}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_nonces_is_rejected_while_other_clients_are_served() -> Result<()> {
    let mut slow = identity("enclave");
    slow.quote_delay = Duration::from_millis(400);
    let world = Alone::as_identity("flood", slow, |config, _| {
        config.and("[limits]\nattest_queue = 2")
    })
    .await?;
    let mut flood = JoinSet::new();
    for number in 0..30u8 {
        let address = world.enclave.address();
        flood.spawn(async move {
            let mut connection = TlsClient::observing().connect(address).await?;
            let nonce = Nonce::from_bytes([number; 32]);
            let answer = connection
                .get(&format!("/v1/aci/attestation?nonce={nonce}"))
                .await?;
            let retry_after = answer.header("retry-after").map(str::to_owned);
            let status = answer.status.as_u16();
            answer.bytes().await?;
            anyhow::Ok((status, retry_after))
        });
    }
    let mut connection = world.enclave.connect().await?;
    let question = chat(MODEL, "is anyone starved?");
    let served = connection.post(&world.key, CHAT, &question);
    assert_eq!(timeout(TIMEOUT, served).await??.status, 200);
    let unchallenged = timeout(TIMEOUT, connection.get("/v1/aci/attestation")).await??;
    assert_eq!(
        unchallenged.status, 200,
        "the unchallenged report is served from the epoch"
    );
    unchallenged.bytes().await?;

    let (mut answered, mut turned_away) = (0, 0);
    while let Some(result) = flood.join_next().await {
        match result?? {
            (200, _) => answered += 1,
            (429, Some(after)) => {
                assert!(after.parse::<u64>()? >= 1);
                turned_away += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(answered >= 1, "at least one request is answered");
    assert!(
        turned_away >= 10,
        "only {turned_away} of 30 were turned away"
    );
    let mut connection = world.enclave.connect().await?;
    let nonce = Nonce::from_bytes([99; 32]);
    assert!(
        appraise(&mut connection, "enclave", nonce)
            .await?
            .trusted()
            .is_ok()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_names_the_protocol_and_the_keyset() -> Result<()> {
    let world = Alone::new("headers", |config, _| config).await?;
    let mut connection: Connection = world.enclave.connect().await?;
    let mut keysets = std::collections::BTreeSet::new();
    for path in [
        "/healthz",
        "/readyz",
        "/v1/models",
        "/v1/nothing",
        "/v1/aci/attestation",
        "/v1/aci/sessions",
        "/v1/aci/receipts/none",
        "/v1/chat/completions",
    ] {
        let answer = connection.get(path).await?;
        assert_eq!(answer.header("x-aci-version"), Some("aci/1"), "{path}");
        keysets.insert(
            answer
                .header("x-aci-keyset-digest")
                .unwrap_or(path)
                .to_owned(),
        );
        answer.bytes().await?;
    }
    assert_eq!(keysets.len(), 1, "{keysets:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_without_a_tee_serves_plain_models_and_publishes_no_report() -> Result<()> {
    let directory = trusting_directory("no-tee")?;
    let engine = Engine::start().await?;
    let plain = Model::plain("plain", engine.base_url()).known_upstream_as(CHAT_MODEL);
    let mut config = gateway_trusting(&directory, "enclave")?.serving(plain);
    config.tee = "none";
    let gateway = start(&directory, "gateway", config).await?;
    let key = gateway.create_key("tests").await?;
    let mut connection = gateway.connect().await?;
    let answer = connection
        .post(&key, CHAT, &chat("plain", "nothing to hide"))
        .await?;
    assert_eq!(answer.status, 200);
    answer.bytes().await?;
    let path = format!("/v1/aci/attestation?nonce={}", "ab".repeat(32));
    let none = error(connection.get(&path).await?).await?;
    assert_eq!((none.status, none.kind.as_str()), (404, "not_found"));
    Ok(())
}
