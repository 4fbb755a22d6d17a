//! Receipts: signed by the attested key, over the exact bytes, and returned only to their owner.

use anyhow::{Context, Result};
use serde_json::Value;

use attest_core::{Event, Nonce, Receipt, Sha256Digest, TrustedPeer};
use blackbox::World;
use blackbox::asking::{CHAT, chat, error, receipt, streamed};
use blackbox::world::{MODEL, appraise};
use testkit::client::Connection;

async fn trusted_gateway(connection: &mut Connection) -> Result<TrustedPeer> {
    appraise(connection, "gateway", Nonce::from_bytes([7; 32]))
        .await?
        .trusted()
        .map_err(|verdict| anyhow::anyhow!("{:#}", verdict.to_json()))
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_of_whole_and_streamed_answers_match_the_bytes_exchanged() -> Result<()> {
    let world = World::new("receipts").await?;
    let mut connection = world.gateway.connect().await?;
    let peer = trusted_gateway(&mut connection).await?;
    for request in [chat(MODEL, "whole"), streamed(MODEL, "in pieces")] {
        let request = request.to_string();
        let answer = connection
            .post_bytes(&world.key, CHAT, request.clone())
            .await?;
        assert_eq!(answer.status, 200);
        let id = answer
            .header("x-receipt-id")
            .context("no receipt id")?
            .to_owned();
        let response = answer.bytes().await?;
        let stored = Receipt::parse(&receipt(&mut connection, &world.key, &id).await?)?;
        let verified = stored.verify(peer.keyset())?;
        verified.matches_request(Sha256Digest::hash(request.as_bytes()))?;
        verified.matches_response(Sha256Digest::hash(&response))?;
        assert!(
            verified
                .matches_request(Sha256Digest::hash(b"something else"))
                .is_err()
        );
        assert_eq!(stored.body().keyset_digest, peer.keyset_digest());

        let forwarded = world
            .engine
            .last_body()
            .context("no body reached the engine")?;
        let engine_saw: Value = serde_json::from_slice(&forwarded)?;
        assert_eq!(
            engine_saw["messages"],
            serde_json::from_str::<Value>(&request)?["messages"]
        );
        let events = &stored.body().events;
        assert!(
            events
                .iter()
                .any(|e| matches!(e, Event::UpstreamVerified { required: true, .. }))
        );
        assert!(
            events
                .iter()
                .any(|e| matches!(e, Event::PolicyApplied { mode, .. } if mode == "metadata"))
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_is_shown_to_the_key_that_made_the_request_and_to_no_other() -> Result<()> {
    let world = World::new("ownership").await?;
    let other = world.gateway.create_key("someone-else").await?;
    let mut connection = world.gateway.connect().await?;
    let answer = connection
        .post(&world.key, CHAT, &chat(MODEL, "mine"))
        .await?;
    let id = answer
        .header("x-receipt-id")
        .context("no receipt id")?
        .to_owned();
    answer.bytes().await?;
    receipt(&mut connection, &world.key, &id).await?;
    let path = format!("/v1/aci/receipts/{id}");
    assert_eq!(
        error(connection.get_as(&other, &path).await?).await?.status,
        404
    );
    assert_eq!(error(connection.get(&path).await?).await?.status, 401);
    let unknown = connection
        .get_as(&world.key, "/v1/aci/receipts/rcpt-unknown")
        .await?;
    assert_eq!(error(unknown).await?.status, 404);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_outlives_the_epoch_that_signed_it() -> Result<()> {
    let world = World::new("durable").await?;
    let mut connection = world.gateway.connect().await?;
    let peer = trusted_gateway(&mut connection).await?;
    let answer = connection
        .post(&world.key, CHAT, &chat(MODEL, "keep this"))
        .await?;
    let id = answer
        .header("x-receipt-id")
        .context("no receipt id")?
        .to_owned();
    answer.bytes().await?;
    receipt(&mut connection, &world.key, &id).await?;
    world.gateway.reload().await?;
    let mut connection = world.gateway.connect().await?;
    let stored = Receipt::parse(&receipt(&mut connection, &world.key, &id).await?)?;
    stored.verify(peer.keyset())?;
    let new = trusted_gateway(&mut connection).await?;
    assert!(
        stored.verify(new.keyset()).is_err(),
        "the new epoch did not sign it"
    );
    Ok(())
}

/// One completion, its receipt and the receipt's id.
async fn ask(connection: &mut Connection, key: &str) -> Result<(String, Receipt)> {
    let answer = connection.post(key, CHAT, &chat(MODEL, "one more")).await?;
    assert_eq!(answer.status, 200);
    let id = answer
        .header("x-receipt-id")
        .context("no receipt id")?
        .to_owned();
    answer.bytes().await?;
    let stored = Receipt::parse(&receipt(connection, key, &id).await?)?;
    Ok((id, stored))
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_receipts_survive_a_restart_and_epochs_go_on_counting() -> Result<()> {
    let mut world = World::new("restart").await?;
    let mut connection = world.gateway.connect().await?;
    let peer = trusted_gateway(&mut connection).await?;
    let epoch = |receipt: &Receipt| {
        receipt.body().events.iter().find_map(|event| match event {
            Event::PolicyApplied { epoch, .. } => Some(*epoch),
            _ => None,
        })
    };
    let (id, before) = ask(&mut connection, &world.key).await?;
    world.gateway.restart().await?;
    let mut connection = world.gateway.connect().await?;
    let again = Receipt::parse(&receipt(&mut connection, &world.key, &id).await?)?;
    again.verify(peer.keyset())?;
    let (_, after) = ask(&mut connection, &world.key).await?;
    assert!(
        epoch(&after) > epoch(&before),
        "{:?} after {:?}",
        epoch(&after),
        epoch(&before)
    );
    Ok(())
}
