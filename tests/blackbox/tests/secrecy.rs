//! A canary prompt takes every path, error paths included; afterwards no log, metric, file or receipt contains it.

use std::path::Path;

use anyhow::Result;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use blackbox::World;
use blackbox::asking::{CHAT, chat, eventually, receipt, streamed};
use blackbox::world::MODEL;
use testkit::client::TlsClient;
use testkit::config::Model;

const CANARY: &str = "canary-7c1f9a-prompt";
/// Models that fail, each in its own way.
const PATHS: [&str; 5] = [
    "fail-400",
    "fail-429",
    "fail-500",
    "reset-mid-stream",
    "nothing",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_log_metric_row_or_receipt_holds_a_prompt() -> Result<()> {
    let upstream_models = |config: testkit::config::Config, url: &str, key: Option<&Path>| {
        PATHS.iter().fold(config, |config, name| {
            let model = Model::confidential(name, url);
            config.serving(match key {
                Some(key) => model.with_key_from(key),
                None => model,
            })
        })
    };
    let metrics = testkit::service::free_address()?;
    let world = World::with(
        "secrecy",
        |config| {
            let url = config.models[0].url().to_owned();
            upstream_models(config, &url, None)
        },
        |config, enclave, key| {
            upstream_models(config, enclave, Some(key))
                .and(&format!("[metrics]\nlisten = \"{metrics}\""))
        },
    )
    .await?;
    let receipts = exercise(&world).await?;
    assert!(
        world.engine.stats().prompts >= 5,
        "the paths were not taken"
    );

    let mut connection = testkit::client::Connection::plain(metrics).await?;
    let scrape = connection.get("/metrics").await?.keeping(connection);
    assert_eq!(scrape.status, 200);
    assert_clean("metrics", &scrape.bytes().await?);
    for stored in receipts {
        assert_clean("a receipt", &stored);
    }
    assert_clean("the gateway's log", world.gateway.log().as_bytes());
    assert_clean("the enclave's log", world.enclave.log().as_bytes());
    for service in [&world.gateway, &world.enclave] {
        assert_no_file_holds_it(&service.directory().join("state"))?;
    }
    Ok(())
}

/// Sends the canary everywhere; gives the receipts that can be had.
async fn exercise(world: &World) -> Result<Vec<Vec<u8>>> {
    let mut receipts = Vec::new();
    for service in [&world.gateway, &world.enclave] {
        let key = if std::ptr::eq(service, &world.gateway) {
            &world.key
        } else {
            &world.enclave_key
        };
        let mut requests = vec![chat(MODEL, CANARY), streamed(MODEL, CANARY)];
        requests.extend(PATHS.iter().map(|name| chat(name, CANARY)));
        requests.extend(PATHS.iter().map(|name| streamed(name, CANARY)));
        // The model's name, an unknown member and a broken body carry it as well.
        requests.push(chat(CANARY, CANARY));
        requests.push(json!({"model": MODEL, "prompt": CANARY, CANARY: CANARY}));
        for request in requests {
            let mut connection = service.connect().await?;
            let answer = connection.post(key, CHAT, &request).await?;
            let id = answer.header("x-receipt-id").map(str::to_owned);
            // A stream that breaks off is among the paths.
            let _ = answer.bytes().await;
            if let Some(id) = id {
                let mut connection = service.connect().await?;
                receipts.push(receipt(&mut connection, key, &id).await?);
            }
        }
        let mut connection = service.connect().await?;
        connection
            .post_bytes(key, CHAT, format!("{{\"model\": \"{CANARY}"))
            .await?
            .bytes()
            .await?;
        connection
            .get_as(CANARY, &format!("/v1/{CANARY}?{CANARY}={CANARY}"))
            .await?
            .bytes()
            .await?;
        hang_up(world, service.address(), key).await?;
        raw_rubbish(service.address(), key).await?;
    }
    Ok(receipts)
}

async fn hang_up(world: &World, address: std::net::SocketAddr, key: &str) -> Result<()> {
    let before = world.engine.stats().hang_ups;
    let stepper = world.engine.stepping();
    let mut connection = TlsClient::observing().connect(address).await?;
    let mut answer = connection.post(key, CHAT, &streamed(MODEL, CANARY)).await?;
    stepper.release(1);
    answer.chunk().await?;
    drop((answer, connection));
    eventually("the engine notices", async || {
        world.engine.stats().hang_ups > before
    })
    .await;
    stepper.release(1000);
    Ok(())
}

/// A request whose body ends early, and bytes that are no HTTP at all.
async fn raw_rubbish(address: std::net::SocketAddr, key: &str) -> Result<()> {
    for bytes in [
        format!(
            "POST {CHAT} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{{\"x\":\"{CANARY}"
        ),
        format!("{CANARY} {CANARY} {CANARY}\r\n\r\n"),
    ] {
        let mut raw = TlsClient::observing().raw(address).await?;
        raw.write_all(bytes.as_bytes()).await?;
        raw.shutdown().await?;
        let mut answer = Vec::new();
        let _ = raw.read_to_end(&mut answer).await;
        assert_clean("an answer to rubbish", &answer);
    }
    Ok(())
}

fn assert_no_file_holds_it(directory: &Path) -> Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            assert_no_file_holds_it(&path)?;
        } else {
            assert_clean(&path.display().to_string(), &std::fs::read(&path)?);
        }
    }
    Ok(())
}

fn assert_clean(what: &str, bytes: &[u8]) {
    let found = bytes
        .windows(CANARY.len())
        .any(|window| window == CANARY.as_bytes());
    assert!(!found, "{what} holds the prompt");
}
