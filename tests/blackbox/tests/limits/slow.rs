//! Clients that do not read, clients that write slowly, and bodies that are larger together than they may be.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use attest_core::{Event, Receipt};
use blackbox::asking::{CHAT, TIMEOUT, chat, error, eventually, receipt, streamed};
use blackbox::world::{Alone, MODEL, World};
use testkit::client::{Connection, TlsClient};
use testkit::engine::{CHAT_MODEL, Script};

/// What is written of a chat with a body of this length.
fn head(key: &str, length: usize) -> String {
    format!(
        "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// Sends a chat and reads no more than the head of its answer.
async fn asks_and_stops_reading(
    address: SocketAddr,
    key: &str,
) -> Result<(impl AsyncRead + AsyncWrite + Unpin, String)> {
    let mut stream = TlsClient::observing().raw(address).await?;
    let body = streamed(MODEL, "at length").to_string();
    stream
        .write_all((head(key, body.len()) + &body).as_bytes())
        .await?;
    let mut said = String::new();
    while !said.contains("\r\n\r\n") {
        let byte = timeout(TIMEOUT, stream.read_u8()).await??;
        said.push(char::from(byte));
    }
    let id = said
        .to_ascii_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("x-receipt-id: ").map(str::to_owned));
    Ok((stream, id.with_context(|| format!("no receipt in {said}"))?))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_loses_its_slot_after_the_timeout() -> Result<()> {
    let world = Alone::new("unread", |config, _| {
        config.and("[limits]\nmax_concurrent_per_key = 1\n[timeouts]\nclient_write = \"1s\"")
    })
    .await?;
    let event = format!("data: {{\"x\":\"{}\"}}\n\n", "x".repeat(60_000));
    let much = vec![event; 1000];
    world.engine.script(CHAT_MODEL, Script::event_stream(much));
    let (unread, id) = asks_and_stops_reading(world.enclave.address(), &world.key).await?;
    let mut connection = world.enclave.connect().await?;
    let busy = connection
        .post(&world.key, CHAT, &chat(MODEL, "hello"))
        .await?;
    assert_eq!(busy.status, 429);
    busy.bytes().await?;
    world.engine.script(CHAT_MODEL, Script::json(200, "{}"));
    eventually("the slot is free", async || {
        let asked = async {
            let mut connection = world.enclave.connect().await?;
            let question = chat(MODEL, "hello");
            connection.post(&world.key, CHAT, &question).await
        };
        asked.await.is_ok_and(|answer| answer.status == 200)
    })
    .await;
    // It is still there, and still not reading. What became of its request is written down.
    let receipt = Receipt::parse(&receipt(&mut connection, &world.key, &id).await?)?;
    let events = &receipt.body().events;
    let incomplete = events.iter().any(|event| match event {
        Event::Other(other) => other.value()["type"] == "sealgate.response.incomplete",
        _ => false,
    });
    assert!(incomplete, "{events:?}");
    eventually("the log says so", async || {
        world.enclave.log().contains("outcome=client_gone")
    })
    .await;
    drop(unread);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_keeps_arriving_may_take_longer_than_its_timeout() -> Result<()> {
    let world = Alone::new("steady", |config, _| {
        config.and("[timeouts]\nclient_body = \"2s\"")
    })
    .await?;
    let body = chat(MODEL, &"x".repeat(400 << 10)).to_string();
    let mut stream = TlsClient::observing().raw(world.enclave.address()).await?;
    stream
        .write_all(head(&world.key, body.len()).as_bytes())
        .await?;
    for piece in body.as_bytes().chunks(8 << 10) {
        stream.write_all(piece).await?;
        stream.flush().await?;
        sleep(Duration::from_millis(60)).await;
    }
    let mut status = [0; 12];
    timeout(TIMEOUT, stream.read_exact(&mut status)).await??;
    assert_eq!(std::str::from_utf8(&status)?, "HTTP/1.1 200");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn all_bodies_together_have_a_limit_and_so_have_those_of_one_key() -> Result<()> {
    let world = Alone::new("bodies-total", |config, _| {
        config.and("[limits]\nmax_body = \"1MiB\"\nmax_body_total = \"2MiB\"")
    })
    .await?;
    let others = [
        world.enclave.create_key("second").await?,
        world.enclave.create_key("third").await?,
    ];
    // Announced, and not sent: the memory is reserved before it is filled.
    let mut held = Vec::new();
    for key in [&world.key, &others[0]] {
        let mut stream = TlsClient::observing().raw(world.enclave.address()).await?;
        stream.write_all(head(key, 1 << 20).as_bytes()).await?;
        held.push(stream);
    }
    let refused = async |key: &str| -> Result<(u16, Option<String>, Option<String>)> {
        let mut connection = world.enclave.connect().await?;
        let answer = connection.post(key, CHAT, &chat(MODEL, "hello")).await?;
        if answer.status == 200 {
            return Ok((200, None, None));
        }
        let after = answer.header("retry-after").map(str::to_owned);
        let error = error(answer).await?;
        Ok((error.status, error.code, after))
    };
    let one = Some("1".to_owned());
    for (key, status, code) in [
        (&others[1], 503, "service_overloaded"),
        (&world.key, 429, "rate_limit_exceeded"),
    ] {
        eventually(&format!("{status}"), async || {
            let expected = (status, Some(code.to_owned()), one.clone());
            refused(key).await.is_ok_and(|found| found == expected)
        })
        .await;
    }
    assert_eq!(world.engine.stats().prompts, 0);
    held.clear();
    eventually("the memory is free again", async || {
        refused(&others[1]).await.is_ok_and(|found| found.0 == 200)
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_some_megabytes_reaches_the_engine_through_proxy_and_gateways() -> Result<()> {
    let world = World::new("image").await?;
    let (_proxy, address) = world.proxy(&[]).await?;
    let url = format!("data:image/png;base64,{}", "iVBORw0K".repeat(3 << 17));
    let request = serde_json::json!({
        "model": MODEL,
        "messages": [{"role": "user", "content": [
            {"type": "text", "text": "what is this?"},
            {"type": "image_url", "image_url": {"url": url}},
        ]}],
    });
    let mut through_proxy = Connection::plain(address).await?;
    let mut direct = world.gateway.connect().await?;
    for connection in [&mut through_proxy, &mut direct] {
        let answer = connection.post(&world.key, CHAT, &request).await?;
        assert_eq!(answer.status, 200);
        answer.bytes().await?;
        let body = world.engine.last_body().context("a body")?;
        let arrived: serde_json::Value = serde_json::from_slice(&body)?;
        assert!(arrived["messages"] == request["messages"]);
    }
    Ok(())
}
