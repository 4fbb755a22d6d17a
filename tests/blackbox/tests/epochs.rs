//! Epochs: each has new keys, and no session or connection continues in the next.

#[path = "epochs/clock.rs"]
mod clock;

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use attest_core::Nonce;
use blackbox::asking::{CHAT, TIMEOUT, chat, error, eventually, next_chunk, streamed};
use blackbox::world::{Alone, MODEL, World, appraise};
use testkit::client::{Connection, TlsClient, post, send_in_any_epoch};

async fn keyset_of(connection: &mut Connection) -> Result<String> {
    let answer = connection.get("/healthz").await?;
    Ok(answer
        .header("x-aci-keyset-digest")
        .context("no X-ACI-Keyset-Digest")?
        .to_owned())
}

async fn alone(name: &str) -> Result<Alone> {
    Alone::new(name, |config, _| config).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_begins_an_epoch_with_new_keys_throughout() -> Result<()> {
    let world = alone("reload").await?;
    let mut before = world.enclave.connect().await?;
    let old = appraise(&mut before, "enclave", Nonce::from_bytes([1; 32])).await?;
    let old = old
        .trusted()
        .map_err(|verdict| anyhow::anyhow!("{:#}", verdict.to_json()))?;
    world.enclave.reload().await?;
    let mut after = world.enclave.connect().await?;
    let new = appraise(&mut after, "enclave", Nonce::from_bytes([2; 32])).await?;
    let new = new
        .trusted()
        .map_err(|verdict| anyhow::anyhow!("{:#}", verdict.to_json()))?;
    assert_ne!(old.spki(), new.spki());
    assert_ne!(old.keyset_digest(), new.keyset_digest());
    let signing =
        |peer: &attest_core::TrustedPeer| peer.keyset().receipt_signing_keys[0].public_key.clone();
    assert_ne!(signing(&old), signing(&new));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_in_flight_finishes_under_its_own_epoch_and_then_its_connection_closes()
-> Result<()> {
    let world = alone("drain").await?;
    let stepper = world.engine.stepping();
    let mut old = world.enclave.connect().await?;
    let keyset = keyset_of(&mut old).await?;
    let mut answer = old
        .post(&world.key, CHAT, &streamed(MODEL, "finish what you began"))
        .await?;
    stepper.release(1);
    next_chunk(&mut answer, "the first chunk")
        .await
        .expect("a chunk");

    world.enclave.reload().await?;
    let mut new = world.enclave.connect().await?;
    assert_ne!(keyset_of(&mut new).await?, keyset);

    assert_eq!(answer.header("x-aci-keyset-digest"), Some(keyset.as_str()));
    stepper.release(1000);
    let rest = timeout(TIMEOUT, answer.bytes()).await??;
    assert!(rest.ends_with(b"data: [DONE]\n\n"));
    eventually("the old connection closes", async || old.is_closed()).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_on_a_connection_whose_epoch_has_ended_is_refused_unread_and_may_be_sent_again()
-> Result<()> {
    let world = alone("ended").await?;
    let mut old = world.enclave.connect().await?;
    let answer = old.post(&world.key, CHAT, &chat(MODEL, "before")).await?;
    assert_eq!(answer.status, 200);
    answer.bytes().await?;
    let mut another = Some(world.enclave.connect().await?);
    world.enclave.reload().await?;

    let answer = old.post(&world.key, CHAT, &chat(MODEL, "after")).await?;
    assert_eq!(answer.status, 421);
    assert_eq!(answer.header("x-should-retry"), Some("true"));
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(error(answer).await?.code.as_deref(), Some("epoch_ended"));
    let last = world
        .engine
        .last_body()
        .context("the engine was asked before")?;
    assert!(!last.windows(5).any(|window| window == b"after"));
    eventually("the old connection closes", async || old.is_closed()).await;

    let body = Bytes::from(chat(MODEL, "after").to_string());
    let request = || (post(CHAT, &world.key), body.clone());
    let answer = send_in_any_epoch(&mut another, || world.enclave.connect(), request).await?;
    assert_eq!(answer.status, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_of_the_old_epoch_is_closed() -> Result<()> {
    let world = alone("idle").await?;
    let mut old = world.enclave.connect().await?;
    keyset_of(&mut old).await?;
    world.enclave.reload().await?;
    eventually("the old connection closes", async || old.is_closed()).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_the_old_epoch_cannot_be_resumed() -> Result<()> {
    let world = alone("resumption").await?;
    let client = TlsClient::observing();
    let mut first = client.connect(world.enclave.address()).await?;
    // Tickets arrive with the first application data.
    keyset_of(&mut first).await?;
    let second = client.connect(world.enclave.address()).await?;
    assert!(second.was_resumed(), "within an epoch sessions are resumed");
    assert!(!client.would_send_early_data(), "a replayable prompt");
    let key = first.spki_sha256();

    world.enclave.reload().await?;
    let mut third = client.connect(world.enclave.address()).await?;
    assert!(!third.was_resumed(), "a ticket crossed into another epoch");
    assert_ne!(third.spki_sha256(), key);
    keyset_of(&mut third).await?;
    let fourth = client.connect(world.enclave.address()).await?;
    assert!(fourth.was_resumed(), "the new epoch's own tickets are good");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_pins_the_key_of_a_past_epoch_gets_no_answer() -> Result<()> {
    let world = alone("pinned").await?;
    let key = world
        .enclave
        .connect()
        .await?
        .spki_sha256()
        .context("no key")?;
    let pinned = TlsClient::pinning(key);
    pinned.connect(world.enclave.address()).await?;
    world.enclave.reload().await?;
    assert!(pinned.connect(world.enclave.address()).await.is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyset_precondition_holds_within_an_epoch_and_fails_after_it() -> Result<()> {
    let world = alone("precondition").await?;
    let mut connection = world.enclave.connect().await?;
    let keyset = keyset_of(&mut connection).await?;
    let ask = async |connection: &mut Connection| {
        let request = post(CHAT, &world.key).header("x-aci-keyset-digest", &keyset);
        connection
            .send(request, chat(MODEL, "as agreed").to_string().into())
            .await
    };
    assert_eq!(ask(&mut connection).await?.status, 200);
    world.enclave.reload().await?;
    let prompts = world.engine.stats().prompts;
    let mut connection = world.enclave.connect().await?;
    let refused = error(ask(&mut connection).await?).await?;
    assert_eq!(refused.status, 412);
    assert_eq!(refused.code.as_deref(), Some("keyset_changed"));
    assert_eq!(world.engine.stats().prompts, prompts);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn preconditions_are_answered_before_the_body_is_sent() -> Result<()> {
    let world = alone("before-the-body").await?;
    for header in [
        format!("X-ACI-Keyset-Digest: sha256:{}", "00".repeat(32)),
        "X-Sealgate-Retention: zero".to_owned(),
    ] {
        let mut raw = TlsClient::observing().raw(world.enclave.address()).await?;
        let head = format!(
            "POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: 100000\r\n{header}\r\n\r\n",
            world.key
        );
        raw.write_all(head.as_bytes()).await?;
        let mut status = [0; 12];
        timeout(Duration::from_secs(5), raw.read_exact(&mut status))
            .await
            .context(header)??;
        assert_eq!(&status, b"HTTP/1.1 412");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_retention_precondition_only_tightens() -> Result<()> {
    let world = alone("retention").await?;
    let mut connection = world.enclave.connect().await?;
    let mut ask = async |allowed: &str| {
        let request = post(CHAT, &world.key).header("x-sealgate-retention", allowed);
        connection
            .send(request, chat(MODEL, "how much is kept?").to_string().into())
            .await
    };
    assert_eq!(ask("metadata").await?.status, 200);
    let refused = error(ask("zero").await?).await?;
    assert_eq!(
        (refused.status, refused.code.as_deref()),
        (412, Some("retention_not_allowed"))
    );
    assert_eq!(error(ask("everything").await?).await?.status, 400);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_follows_its_enclave_into_a_new_epoch_without_losing_a_request() -> Result<()> {
    let world = World::new("upstream-epoch").await?;
    let mut connection = world.gateway.connect().await?;
    assert_eq!(
        connection
            .post(&world.key, CHAT, &chat(MODEL, "one"))
            .await?
            .status,
        200
    );
    world.enclave.reload().await?;
    for _ in 0..5 {
        let answer = connection
            .post(&world.key, CHAT, &chat(MODEL, "two"))
            .await?;
        assert_eq!(answer.status, 200);
        answer.bytes().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_configuration_leaves_the_epoch_as_it_is() -> Result<()> {
    let mut world = alone("broken-reload").await?;
    let key = world.enclave.connect().await?.spki_sha256();
    world
        .enclave
        .write_config("[server]\nlisten = \"nowhere\"\n")?;
    world.enclave.process().signal("HUP")?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(
        world.enclave.process().is_running(),
        "{}",
        world.enclave.log()
    );
    let mut connection = world.enclave.connect().await?;
    assert_eq!(connection.spki_sha256(), key);
    assert_eq!(
        connection
            .post(&world.key, CHAT, &chat(MODEL, "still there?"))
            .await?
            .status,
        200
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_ends_by_itself_when_its_time_is_over() -> Result<()> {
    let world = Alone::new("expiry", |config, _| config.and("epoch_lifetime = \"5s\"")).await?;
    let key = world.enclave.connect().await?.spki_sha256();
    eventually(
        "a new epoch",
        async || matches!(world.enclave.connect().await, Ok(new) if new.spki_sha256() != key),
    )
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_older_than_tls_1_3_is_spoken() -> Result<()> {
    let world = alone("tls12").await?;
    let refused = TlsClient::of_yesterday()
        .connect(world.enclave.address())
        .await;
    let refused = format!("{:#}", refused.err().context("TLS 1.2 was spoken")?);
    assert!(refused.contains("ProtocolVersion"), "{refused}");
    Ok(())
}
