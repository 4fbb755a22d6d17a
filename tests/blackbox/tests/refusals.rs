//! Confidential models are served only by verified enclaves, and a refusal has a receipt.

use anyhow::{Context, Result};
use serde_json::json;

use attest_core::{Event, Nonce, Receipt, Sha256Digest};
use blackbox::asking::{CHAT, chat, error, receipt};
use blackbox::world::{
    MODEL, World, appraise, engine_model, gateway_trusting, start, trusting_directory,
};
use testkit::client::Connection;
use testkit::config::{Config, Model};
use testkit::engine::Engine;
use testkit::relay::Relay;
use testkit::service::{Service, free_address};

/// Asks for a completion that must be refused for want of a verified upstream; gives the events of
/// the refusal's receipt after checking signature and hashes.
async fn refusal(gateway: &Service, key: &str, model: &str) -> Result<Vec<Event>> {
    let mut connection = gateway.connect().await?;
    let peer = appraise(&mut connection, "gateway", Nonce::from_bytes([3; 32])).await?;
    let peer = peer
        .trusted()
        .map_err(|verdict| anyhow::anyhow!("{:#}", verdict.to_json()))?;
    let request = chat(model, "not for impostors").to_string();
    let answer = connection.post_bytes(key, CHAT, request.clone()).await?;
    assert_eq!(answer.status, 503);
    let id = answer
        .header("x-receipt-id")
        .context("no receipt id")?
        .to_owned();
    let response = answer.bytes().await?;
    let shown: serde_json::Value = serde_json::from_slice(&response)?;
    assert_eq!(shown["error"]["type"], "upstream_verification_failed");

    let stored = Receipt::parse(&receipt(&mut connection, key, &id).await?)?;
    let verified = stored.verify(peer.keyset())?;
    verified.matches_request(Sha256Digest::hash(request.as_bytes()))?;
    verified.matches_response(Sha256Digest::hash(&response))?;
    Ok(stored.body().events.clone())
}

fn assert_nothing_was_forwarded(events: &[Event]) {
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::UpstreamFailed { required: true, .. })),
        "{events:?}"
    );
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, Event::RequestForwarded { .. })),
        "{events:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_with_another_measurement_gets_no_prompt() -> Result<()> {
    let directory = trusting_directory("measurement")?;
    let engine = Engine::start().await?;
    let config = Config::direct(free_address()?).serving(engine_model(&engine, MODEL));
    let impostor = start(&directory, "other", config).await?;
    let key_file = directory.write("other.key", impostor.create_key("gateway").await?)?;
    let config = gateway_trusting(&directory, "enclave")?
        .serving(Model::confidential(MODEL, impostor.url()).with_key_from(&key_file));
    let gateway = start(&directory, "gateway", config).await?;
    let key = gateway.create_key("tests").await?;
    assert_nothing_was_forwarded(&refusal(&gateway, &key, MODEL).await?);
    assert_eq!(engine.stats().prompts, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_in_front_of_the_enclave_gets_no_prompt() -> Result<()> {
    let directory = trusting_directory("relay")?;
    let engine = Engine::start().await?;
    let config = Config::direct(free_address()?).serving(engine_model(&engine, MODEL));
    let enclave = start(&directory, "enclave", config).await?;
    let key_file = directory.write("enclave.key", enclave.create_key("gateway").await?)?;
    let relay = Relay::start(enclave.address()).await?;
    let url = format!("https://{}", relay.address());
    let config = gateway_trusting(&directory, "enclave")?
        .serving(Model::confidential(MODEL, url).with_key_from(&key_file));
    let gateway = start(&directory, "gateway", config).await?;
    let key = gateway.create_key("tests").await?;
    assert_nothing_was_forwarded(&refusal(&gateway, &key, MODEL).await?);
    assert_eq!(engine.stats().prompts, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn does_not_fail_over_to_an_unverified_upstream_when_the_enclave_stops() -> Result<()> {
    let mut world = World::new("gone").await?;
    world.enclave.process().signal("KILL")?;
    world.enclave.process().ended().await?;
    let mut connection = world.gateway.connect().await?;
    let answer = connection
        .post(&world.key, CHAT, &chat(MODEL, "hello?"))
        .await?;
    assert!(
        [502, 503].contains(&answer.status.as_u16()),
        "{}",
        answer.status
    );
    assert!(answer.header("x-receipt-id").is_some());
    assert_eq!(world.engine.stats().prompts, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_requires_verified_upstreams_is_not_served_by_a_plain_one() -> Result<()> {
    let directory = trusting_directory("insisting")?;
    let engine = Engine::start().await?;
    let plain =
        Model::plain("plain", engine.base_url()).known_upstream_as(testkit::engine::CHAT_MODEL);
    let config = gateway_trusting(&directory, "enclave")?.serving(plain);
    let gateway = start(&directory, "gateway", config).await?;
    let key = gateway.create_key("tests").await?;
    let mut connection = gateway.connect().await?;
    assert_eq!(
        connection
            .post(&key, CHAT, &chat("plain", "either way"))
            .await?
            .status,
        200
    );
    assert_eq!(engine.stats().prompts, 1);

    let mut request = chat("plain", "verified only");
    request["provider"] = json!({"aci_verified": true});
    let refused = error(connection.post(&key, CHAT, &request).await?).await?;
    assert_eq!(
        (refused.status, refused.kind.as_str()),
        (503, "upstream_verification_failed")
    );
    assert_eq!(engine.stats().prompts, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_pins_a_session_is_served_only_by_that_session() -> Result<()> {
    let world = World::new("sessions").await?;
    let mut connection = world.gateway.connect().await?;
    let answer = connection
        .post(&world.key, CHAT, &chat(MODEL, "who serves this?"))
        .await?;
    let id = answer
        .header("x-receipt-id")
        .context("no receipt id")?
        .to_owned();
    answer.bytes().await?;
    let stored = Receipt::parse(&receipt(&mut connection, &world.key, &id).await?)?;
    let session = stored
        .body()
        .events
        .iter()
        .find_map(|event| match event {
            Event::UpstreamVerified { session_id, .. } => Some(session_id.to_string()),
            _ => None,
        })
        .context("no verified upstream in the receipt")?;
    let pinned = async |connection: &mut Connection, session: &str| {
        let mut request = chat(MODEL, "only with this one");
        request["provider"] = json!({"aci_session_ids": [session]});
        connection.post(&world.key, CHAT, &request).await
    };
    let answer = pinned(&mut connection, &session).await?;
    assert_eq!(answer.status, 200);
    answer.bytes().await?;
    let prompts = world.engine.stats().prompts;
    let refused = error(pinned(&mut connection, &"ab".repeat(32)).await?).await?;
    assert_eq!(
        (refused.status, refused.kind.as_str()),
        (412, "session_not_accepted")
    );
    assert_eq!(world.engine.stats().prompts, prompts);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_upstream_serves_when_the_first_cannot_be_verified() -> Result<()> {
    let directory = trusting_directory("failover")?;
    let (impostors_engine, engine) = (Engine::start().await?, Engine::start().await?);
    let mut upstreams = Vec::new();
    for (image, engine) in [("other", &impostors_engine), ("enclave", &engine)] {
        let config = Config::direct(free_address()?).serving(engine_model(engine, MODEL));
        let service = start(&directory, image, config).await?;
        let key = directory.write(
            &format!("{image}.key"),
            service.create_key("gateway").await?,
        )?;
        let model = Model::confidential(MODEL, service.url()).with_key_from(&key);
        upstreams.push((service, model));
    }
    let [(_impostor, first), (_enclave, second)] = upstreams.try_into().ok().context("two")?;
    let config = gateway_trusting(&directory, "enclave")?.serving(first.or_else(second));
    let gateway = start(&directory, "gateway", config).await?;
    let key = gateway.create_key("tests").await?;
    let mut connection = gateway.connect().await?;
    let answer = connection
        .post(&key, CHAT, &chat(MODEL, "any trusted upstream"))
        .await?;
    assert_eq!(answer.status, 200);
    answer.bytes().await?;
    assert_eq!(
        (impostors_engine.stats().prompts, engine.stats().prompts),
        (0, 1)
    );
    Ok(())
}
