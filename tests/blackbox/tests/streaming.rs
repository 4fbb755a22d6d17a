//! Streams: forwarded at once and unchanged, and cancelled at the engine when the client disconnects.

use std::net::SocketAddr;

use anyhow::Result;
use bytes::Bytes;
use serde_json::Value;
use tokio::time::timeout;

use blackbox::World;
use blackbox::asking::{CHAT, TIMEOUT, eventually, next_chunk, nothing_arrives, receipt, streamed};
use blackbox::world::{MODEL, engine_model};
use testkit::client::{Connection, TlsClient};
use testkit::config::Model;
use testkit::engine::{Engine, Script};

/// The three ways to the engine, each with its API key.
enum Way {
    Direct,
    Aggregator,
    Proxy,
}

impl Way {
    async fn open(&self, world: &World, proxy: SocketAddr) -> Result<(Connection, String)> {
        Ok(match self {
            Self::Direct => (world.enclave.connect().await?, world.enclave_key.clone()),
            Self::Aggregator => (world.gateway.connect().await?, world.key.clone()),
            Self::Proxy => (Connection::plain(proxy).await?, world.key.clone()),
        })
    }
}

const WAYS: [Way; 3] = [Way::Direct, Way::Aggregator, Way::Proxy];

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_reaches_the_client_before_the_next_one_leaves_the_engine() -> Result<()> {
    let world = World::new("stepping").await?;
    let (_running, proxy) = world.proxy(&[]).await?;
    for way in WAYS {
        let stepper = world.engine.stepping();
        let (mut connection, key) = way.open(&world, proxy).await?;
        let request = streamed(MODEL, "one at a time, please");
        let answer = connection.post(&key, CHAT, &request);
        let mut answer = timeout(TIMEOUT, answer)
            .await
            .expect("the head comes before any chunk")?;
        assert_eq!(answer.status, 200);
        let before = world.engine.stats().chunks_sent;
        for step in 1..=6 {
            nothing_arrives(&mut answer, "the engine has not sent it yet").await;
            stepper.release(1);
            let chunk = next_chunk(&mut answer, "the chunk that was just released")
                .await
                .unwrap();
            assert!(chunk.starts_with(b"data: ") && chunk.ends_with(b"\n\n"));
            assert_eq!(world.engine.stats().chunks_sent, before + step);
        }
        stepper.release(1000);
        let rest = timeout(TIMEOUT, answer.bytes()).await??;
        assert!(rest.ends_with(b"data: [DONE]\n\n"));
    }
    Ok(())
}

/// Every liberty that the event-stream format leaves, cut in awkward places.
fn odd_stream() -> Vec<Bytes> {
    [
        &b": a comment first\n\n"[..],
        b"data: {\"choices\":[{\"delta\":{\"content\":\"gr\xc3",
        b"\xbc\xc3\x9fe\"}}]}\r",
        b"\n\r\ndata:\"no space after the colon\"\n\ndata: [\"two\",\ndata: \"lines\"]\n\n",
        b"event: named\nid: 7\nretry: 10\ndata: {\"a\" : 1.0e3,\"a\":2}\n\n",
        b"data: [DONE]\n\n",
        b"data: \"after the end\"\n\n\n\n",
    ]
    .map(Bytes::from_static)
    .to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn event_streams_arrive_byte_for_byte() -> Result<()> {
    let world = World::with(
        "byte-exact",
        |config| {
            let url = config.models[0].url().to_owned();
            config.serving(Model::confidential("scripted", url))
        },
        |config, enclave, key| {
            config.serving(Model::confidential("scripted", enclave).with_key_from(key))
        },
    )
    .await?;
    let (_running, proxy) = world.proxy(&[]).await?;
    let script = odd_stream();
    world
        .engine
        .script("scripted", Script::event_stream(script.clone()));
    for way in WAYS {
        let (mut connection, key) = way.open(&world, proxy).await?;
        let answer = connection
            .post(&key, CHAT, &streamed("scripted", "x"))
            .await?;
        assert_eq!(answer.header("content-type"), Some("text/event-stream"));
        let bytes = timeout(TIMEOUT, answer.bytes()).await??;
        assert_eq!(
            String::from_utf8_lossy(&bytes),
            String::from_utf8_lossy(&script.concat())
        );
        assert_eq!(bytes, script.concat());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_during_a_stream_cancels_the_engine() -> Result<()> {
    let world = World::new("hang-up").await?;
    let (_running, proxy) = world.proxy(&[]).await?;
    for (index, way) in WAYS.iter().enumerate() {
        let stepper = world.engine.stepping();
        let (mut connection, key) = way.open(&world, proxy).await?;
        let mut answer = connection
            .post(&key, CHAT, &streamed(MODEL, "never mind"))
            .await?;
        let id = answer
            .header("x-receipt-id")
            .expect("a receipt id")
            .to_owned();
        stepper.release(1);
        next_chunk(&mut answer, "the first chunk")
            .await
            .expect("a chunk");
        drop((answer, connection));
        let expected = index as u64 + 1;
        eventually("the engine notices", async || {
            world.engine.stats().hang_ups == expected
        })
        .await;

        let (mut connection, _) = way.open(&world, proxy).await?;
        let stored = receipt(&mut connection, &key, &id).await?;
        let stored: Value = serde_json::from_slice(&stored)?;
        assert_eq!(stored["receipt_id"], id);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_before_the_answer_cancels_the_engine() -> Result<()> {
    let world = World::with(
        "early-hang-up",
        |config| {
            let url = config.models[0].url().to_owned();
            config.serving(Model::confidential("hang", url))
        },
        |config, enclave, key| {
            config.serving(Model::confidential("hang", enclave).with_key_from(key))
        },
    )
    .await?;
    let mut connection = world.gateway.connect().await?;
    let request = streamed("hang", "anyone there?");
    let waiting = connection.post(&world.key, CHAT, &request);
    assert!(
        timeout(TIMEOUT / 20, waiting).await.is_err(),
        "the engine never answers"
    );
    assert_eq!(world.engine.stats().hang_ups, 0);
    drop(connection);
    eventually("the engine notices", async || {
        world.engine.stats().hang_ups == 1
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_aborted_by_the_engine_is_aborted_for_the_client() -> Result<()> {
    let world = World::with(
        "break-off",
        |config| {
            let url = config.models[0].url().to_owned();
            config.serving(Model::confidential("reset-mid-stream", url))
        },
        |config, enclave, key| {
            config.serving(Model::confidential("reset-mid-stream", enclave).with_key_from(key))
        },
    )
    .await?;
    let (_running, proxy) = world.proxy(&[]).await?;
    for way in WAYS {
        let (mut connection, key) = way.open(&world, proxy).await?;
        let request = streamed("reset-mid-stream", "tell me everything");
        let answer = connection.post(&key, CHAT, &request).await?;
        assert_eq!(answer.status, 200);
        let ended = timeout(TIMEOUT, answer.bytes()).await?;
        assert!(ended.is_err(), "a broken stream ended as if it were whole");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_streams_at_once_do_not_mix() -> Result<()> {
    let world = World::new("mixing").await?;
    let tls = TlsClient::observing();
    let mut running = tokio::task::JoinSet::new();
    for number in 0..24 {
        let (tls, key, address) = (tls.clone(), world.key.clone(), world.gateway.address());
        running.spawn(async move {
            let mut connection = tls.connect(address).await?;
            let request = streamed(MODEL, &format!("number-{number}-only"));
            let answer = connection.post(&key, CHAT, &request).await?;
            anyhow::Ok((number, String::from_utf8(answer.bytes().await?)?))
        });
    }
    while let Some(finished) = running.join_next().await {
        let (number, text) = finished??;
        assert!(text.contains(&format!("number-{number}-only")), "{text}");
        assert_eq!(text.matches("-only").count(), 1);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_of_a_second_model_receives_that_models_name() -> Result<()> {
    let other = Engine::start().await?;
    let world = World::with(
        "two-engines",
        |config| config.serving(engine_model(&other, "second").also_called("alias-of-second")),
        |config, enclave, key| {
            config.serving(
                Model::confidential("public-name", enclave)
                    .known_upstream_as("alias-of-second")
                    .with_key_from(key),
            )
        },
    )
    .await?;
    let mut connection = world.gateway.connect().await?;
    let answer = connection
        .post(
            &world.key,
            CHAT,
            &blackbox::asking::chat("public-name", "hi"),
        )
        .await?;
    assert_eq!(answer.status, 200);
    assert_eq!(other.stats().prompts, 1);
    assert_eq!(world.engine.stats().prompts, 0);
    let body: Value = serde_json::from_slice(&other.last_body().expect("a body"))?;
    assert_eq!(body["model"], testkit::engine::CHAT_MODEL);
    let headers = other.last_headers().expect("headers");
    assert!(
        !format!("{headers:?}").contains(&world.key),
        "the caller's key went upstream"
    );
    assert!(!format!("{headers:?}").contains(&world.enclave_key));
    Ok(())
}
