//! `sealgate-verify proxy`: verifies before it sends, verifies again after a change, and refuses unverified services.

use anyhow::{Context, Result};
use serde_json::Value;

use blackbox::World;
use blackbox::asking::{CHAT, chat, error, streamed};
use blackbox::world::{MODEL, proxy};
use testkit::client::Connection;
use testkit::config::Model;
use testkit::engine::{CHAT_MODEL, Engine};
use testkit::process::{Process, run, sibling};
use testkit::relay::Relay;
use testkit::service::free_address;

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_answers_like_the_service_and_stores_verified_receipts() -> Result<()> {
    let world = World::new("proxied").await?;
    let (_running, address) = world
        .proxy(&["--require-receipt", "--keep-receipts", "kept"])
        .await?;
    let mut connection = Connection::plain(address).await?;
    for request in [chat(MODEL, "whole"), streamed(MODEL, "in pieces")] {
        let answer = connection.post(&world.key, CHAT, &request).await?;
        assert_eq!(answer.status, 200);
        assert!(!answer.bytes().await?.is_empty());
    }
    let refused = error(connection.post("sk-wrong", CHAT, &chat(MODEL, "x")).await?).await?;
    assert_eq!(refused.status, 401);
    let kept = std::fs::read_dir(world.directory.path().join("kept"))?.count();
    assert!(kept >= 2, "{kept} kept");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_verifies_a_new_epoch_and_continues() -> Result<()> {
    let world = World::new("proxy-epochs").await?;
    let (_running, address) = world.proxy(&[]).await?;
    let mut connection = Connection::plain(address).await?;
    for _ in 0..3 {
        let answer = connection
            .post(&world.key, CHAT, &chat(MODEL, "still you?"))
            .await?;
        assert_eq!(answer.status, 200);
        answer.bytes().await?;
        world.gateway.reload().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_refuses_to_start_behind_a_relay() -> Result<()> {
    let world = World::new("proxy-relay").await?;
    let relay = Relay::start(world.gateway.address()).await?;
    let listen = free_address()?.to_string();
    let upstream = format!("https://{}", relay.address());
    let arguments = [
        "proxy",
        "--listen",
        &listen,
        "--upstream",
        &upstream,
        "--policy",
        "gateway-policy.toml",
        "--roots",
        "roots",
    ];
    let output = run(
        &sibling("sealgate-verify")?,
        arguments,
        world.directory.path(),
    )
    .await?;
    assert_eq!(output.status.code(), Some(10));
    let said = [output.stdout, output.stderr].concat();
    assert!(String::from_utf8_lossy(&said).contains("channel.spki"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_wait_the_proxy_refuses_every_request_behind_a_relay() -> Result<()> {
    let world = World::new("proxy-waits").await?;
    let relay = Relay::start(world.gateway.address()).await?;
    let upstream = format!("https://{}", relay.address());
    let (running, address): (Process, _) =
        proxy(world.directory.path(), &upstream, &["--wait"]).await?;
    let mut connection = Connection::plain(address).await?;
    let answer = connection
        .post(&world.key, CHAT, &chat(MODEL, "is this safe?"))
        .await?;
    let status = answer.status.as_u16();
    let body: Value = answer.json().await?;
    assert!((500..600).contains(&status), "{status} {body}");
    body["error"]["message"]
        .as_str()
        .context("not OpenAI's shape")?;
    assert_eq!(world.engine.stats().prompts, 0);
    drop(running);
    Ok(())
}

/// A gateway with a confidential model and one that it passes on to an engine without evidence.
async fn with_open_model(name: &str) -> Result<(World, Engine)> {
    let open = Engine::start().await?;
    let model = Model::plain("open", open.base_url()).known_upstream_as(CHAT_MODEL);
    let world = World::with(name, |config| config, |config, _, _| config.serving(model)).await?;
    Ok((world, open))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_sends_no_prompt_to_unverified_upstreams() -> Result<()> {
    let (world, open) = with_open_model("proxy-open").await?;
    let (_running, address) = world.proxy(&["--require-receipt"]).await?;
    let mut connection = Connection::plain(address).await?;
    let list: Value = connection
        .get_as(&world.key, "/v1/models")
        .await?
        .json()
        .await?;
    let confidential = |id: &str| {
        let models = list["data"].as_array().into_iter().flatten();
        let mut of_id = models.filter(|model| model["id"] == id);
        of_id.next().map(|model| model["confidential"].clone())
    };
    assert_eq!(confidential(MODEL), Some(Value::Bool(true)), "{list}");
    assert_eq!(confidential("open"), Some(Value::Bool(false)), "{list}");

    for request in [chat("open", "secret"), streamed("open", "secret")] {
        let answer = connection.post(&world.key, CHAT, &request).await?;
        assert_eq!(answer.status, 403);
        let body: Value = answer.json().await?;
        assert_eq!(body["error"]["code"], "upstream_not_verified", "{body}");
    }
    assert_eq!(open.stats().prompts, 0);
    let answer = connection
        .post(&world.key, CHAT, &chat(MODEL, "secret"))
        .await?;
    assert_eq!(answer.status, 200);
    answer.bytes().await?;
    assert_eq!(world.engine.stats().prompts, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_sends_to_unverified_upstreams_when_allowed_by_flag() -> Result<()> {
    let (world, open) = with_open_model("proxy-allowed").await?;
    let flags = ["--require-receipt", "--allow-unverified-upstreams"];
    let (_running, address) = world.proxy(&flags).await?;
    let mut connection = Connection::plain(address).await?;
    let answer = connection
        .post(&world.key, CHAT, &chat("open", "no secret"))
        .await?;
    assert_eq!(answer.status, 200);
    assert!(!answer.bytes().await?.is_empty());
    assert_eq!(open.stats().prompts, 1);
    Ok(())
}
