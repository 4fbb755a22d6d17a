//! Limits on sizes, times and concurrent requests, and the lifetime of keys.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::platform::NoTee;
use crate::support::{CHAT, Gateway, Setup, TIMEOUT, chat, error, eventually, streamed};
use testkit::client::TlsClient;

const INVALID: &str = "invalid_request_error";

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_refused_whether_announced_or_not() {
    let setup = Setup::new("", "[limits]\nmax_body = \"64KiB\"");
    let gateway = Gateway::start(setup, Arc::new(NoTee)).await;
    let too_large = (
        413,
        INVALID.to_owned(),
        "request_too_large".into(),
        Value::Null,
    );
    // Much more than the limit, and than what a socket buffers: the answer must survive what is still being sent.
    let body = vec![b' '; 16 << 20];
    let answer = gateway
        .connect()
        .await
        .post_bytes(&gateway.key, CHAT, body)
        .await
        .expect("an answer");
    assert_eq!(error(answer).await, too_large);

    let mut raw = TlsClient::observing()
        .raw(gateway.address)
        .await
        .expect("a connection");
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n",
        gateway.key
    );
    raw.write_all(head.as_bytes()).await.expect("written");
    let chunk = format!("8000\r\n{}\r\n", " ".repeat(0x8000));
    for _ in 0..3 {
        raw.write_all(chunk.as_bytes()).await.expect("written");
    }
    let mut status = [0; 12];
    raw.read_exact(&mut status).await.expect("an answer");
    assert_eq!(&status, b"HTTP/1.1 413");
    assert_eq!(gateway.engine.stats().prompts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_exceeds_its_timeout_is_abandoned() {
    let setup = Setup::new("", "[timeouts]\nclient_body = \"150ms\"");
    let gateway = Gateway::start(setup, Arc::new(NoTee)).await;
    let mut raw = TlsClient::observing()
        .raw(gateway.address)
        .await
        .expect("a connection");
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-length: 100\r\n\r\n{{\"model",
        gateway.key
    );
    raw.write_all(head.as_bytes()).await.expect("written");
    let mut answer = String::new();
    tokio::time::timeout(TIMEOUT, raw.read_to_string(&mut answer))
        .await
        .expect("in time")
        .expect("an answer");
    assert!(
        answer.starts_with("HTTP/1.1 408") && answer.contains("request_timeout"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_valid_from_creation_to_revocation_without_a_restart() {
    let gateway = Gateway::plain().await;
    let key = gateway.create_key("zeta").await;
    let status = async |key: &str| {
        let mut connection = gateway.connect().await;
        connection
            .post(key, CHAT, &chat("x"))
            .await
            .expect("an answer")
            .status
            .as_u16()
    };
    eventually("the new key is taken", async || status(&key).await == 200).await;
    assert!(gateway.revoke(&key).await);
    assert!(
        !gateway.revoke(&key).await,
        "there is nothing left to revoke"
    );
    eventually("the revoked key is refused", async || {
        status(&key).await == 401
    })
    .await;
    assert_eq!(status(&gateway.key).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_are_limited_per_key_and_per_service() {
    let setup = Setup::new(
        "",
        "[limits]\nmax_concurrent_per_key = 1\nmax_concurrent = 2",
    );
    let gateway = Gateway::start(setup, Arc::new(NoTee)).await;
    let (second, third) = (gateway.create_key("b").await, gateway.create_key("c").await);
    let stepper = gateway.engine.stepping();
    let mut streams = Vec::new();
    for key in [&gateway.key, &second] {
        let mut connection = gateway.connect().await;
        eventually("the key is taken", async || {
            let answer = connection
                .get_as(key, "/v1/models")
                .await
                .expect("an answer");
            let taken = answer.status == 200;
            answer.bytes().await.expect("a body");
            taken
        })
        .await;
        let answer = connection
            .post(key, CHAT, &streamed("x"))
            .await
            .expect("an answer");
        assert_eq!(answer.status, 200);
        streams.push((connection, answer));
    }
    let key_busy = (429, "rate_limit_error", "rate_limit_exceeded");
    let service_busy = (503, "server_error", "service_overloaded");
    for (key, (status, kind, code)) in [(&second, key_busy), (&third, service_busy)] {
        let busy = (status, kind.to_owned(), Value::from(code), Value::Null);
        let answer = gateway
            .connect()
            .await
            .post(key, CHAT, &chat("x"))
            .await
            .expect("an answer");
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(error(answer).await, busy);
    }
    stepper.release(1000);
    for (_, answer) in &mut streams {
        while answer.chunk().await.expect("a chunk").is_some() {}
    }
    eventually("the slots are free again", async || {
        gateway
            .connect()
            .await
            .post(&third, CHAT, &chat("x"))
            .await
            .expect("an answer")
            .status
            == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_is_available_at_once_and_only_to_its_owner() {
    let gateway = Gateway::plain().await;
    let other = gateway.create_key("zeta").await;
    let mut connection = gateway.connect().await;
    let answer = connection
        .post(&gateway.key, CHAT, &chat("x"))
        .await
        .expect("an answer");
    let path = format!(
        "/v1/aci/receipts/{}",
        answer.header("x-receipt-id").expect("a receipt id")
    );
    let body = answer.json().await.expect("JSON");
    let receipt = connection
        .get_as(&gateway.key, &path)
        .await
        .expect("an answer");
    assert_eq!(receipt.status, 200);
    let receipt = receipt.json().await.expect("JSON");
    let by_chat_id = format!("/v1/aci/receipts/{}", body["id"].as_str().expect("an id"));
    let again = connection
        .get_as(&gateway.key, &by_chat_id)
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    assert_eq!(again, receipt);
    let refused = error(connection.get(&path).await.expect("an answer")).await;
    assert_eq!(
        refused,
        (401, "unauthorized".into(), Value::Null, Value::Null)
    );
    for key in [other.as_str(), "sk-sealgate-none"] {
        let refused = error(connection.get_as(key, &path).await.expect("an answer")).await;
        assert_eq!(
            refused,
            (404, "not_found".into(), Value::Null, Value::Null),
            "{key}"
        );
    }
    assert!(gateway.revoke(&gateway.key).await);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let kept = connection
        .get_as(&gateway.key, &path)
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    assert_eq!(
        kept, receipt,
        "a revoked key still reads its own receipts, also once they are committed"
    );
}
