//! The relay through the listener, as a client on a TLS connection sees it.

use std::time::Duration;

use tokio::time::timeout;

use crate::support::engine::{Do, RawEngine};
use crate::support::eventually;
use crate::support::platform::{Enclave, running};
use attest_core::{Receipt, Sha256Digest};
use testkit::client::TlsClient;

const BODY: &str = r#"{"model":"served","stream":true}"#;
const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const PATH: &str = "/v1/chat/completions";

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

async fn receipt(enclave: &Enclave, id: &str) -> Option<Receipt> {
    let mut connection = TlsClient::observing()
        .connect(enclave.address)
        .await
        .expect("connected");
    let path = format!("/v1/aci/receipts/{id}");
    let answer = connection
        .get_as(&enclave.key, &path)
        .await
        .expect("an answer");
    match answer.status.as_u16() {
        200 => Some(Receipt::parse(&answer.bytes().await.expect("a body")).expect("a receipt")),
        404 => None,
        other => panic!("{other}"),
    }
}

fn says_incomplete(receipt: &Receipt) -> bool {
    let mut events = receipt.body().events.iter();
    events.any(|event| event.type_name() == "sealgate.response.incomplete")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_arrives_chunk_by_chunk_and_its_receipt_exists_at_done() {
    let engine = RawEngine::start().await;
    let enclave = Enclave::start(running("enclave"), &engine.base()).await;
    let mut connection = TlsClient::observing()
        .connect(enclave.address)
        .await
        .expect("connected");
    engine.act(Do::Await(1));
    engine.write(HEAD);
    let mut answer = connection
        .post_bytes(&enclave.key, PATH, BODY)
        .await
        .expect("an answer");
    let id = answer.header("x-receipt-id").expect("an id").to_owned();
    let mut all = String::new();
    for number in 0..5 {
        let event = format!("data: {{\"n\":{number}}}\n\n");
        engine.write(chunk(&event));
        let got = timeout(Duration::from_secs(5), answer.chunk())
            .await
            .expect("no buffering");
        assert_eq!(got.expect("data").as_deref(), Some(event.as_bytes()));
        all.push_str(&event);
    }
    assert_eq!(receipt(&enclave, &id).await, None);
    let done = "data: [DONE]\n\n";
    engine.write(chunk(done) + "0\r\n\r\n");
    assert_eq!(
        answer.chunk().await.expect("data").as_deref(),
        Some(done.as_bytes())
    );
    all.push_str(done);
    let found = receipt(&enclave, &id).await.expect("a receipt");
    assert!(!says_incomplete(&found));
    let returned = attest_core::Event::ResponseReturned {
        body_hash: Sha256Digest::hash(all.as_bytes()),
    };
    assert!(found.body().events.contains(&returned));
    assert_eq!(answer.chunk().await.expect("the end"), None);
    // The connection goes on.
    engine.act(Do::Await(2));
    engine
        .write("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}");
    let again = connection
        .post_bytes(&enclave.key, PATH, BODY)
        .await
        .expect("an answer");
    assert_eq!(again.bytes().await.expect("a body"), b"{}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnect_stops_the_engine_at_once() {
    let engine = RawEngine::start().await;
    let enclave = Enclave::start(running("enclave"), &engine.base()).await;
    for before_the_head in [false, true] {
        let mut connection = TlsClient::observing()
            .connect(enclave.address)
            .await
            .expect("connected");
        let hung_up = engine.hang_ups();
        let mut id = None;
        if before_the_head {
            let sending = connection.post_bytes(&enclave.key, PATH, BODY);
            let seen = engine.requests().len();
            let arrives = eventually("the request arrives", async || {
                engine.requests().len() > seen
            });
            tokio::select! {
                _ = sending => panic!("the engine never answers"),
                () = arrives => {}
            }
        } else {
            engine.write(format!("{HEAD}{}", chunk("data: {}\n\n")));
            let mut answer = connection
                .post_bytes(&enclave.key, PATH, BODY)
                .await
                .expect("an answer");
            id = answer.header("x-receipt-id").map(str::to_owned);
            assert!(answer.chunk().await.expect("data").is_some());
        }
        drop(connection);
        eventually("the engine sees it", async || {
            engine.hang_ups() == hung_up + 1
        })
        .await;
        if let Some(id) = id {
            eventually("a receipt", async || receipt(&enclave, &id).await.is_some()).await;
            assert!(says_incomplete(
                &receipt(&enclave, &id).await.expect("a receipt")
            ));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_truncated_upstream_ends_with_an_error_for_the_client() {
    let engine = RawEngine::start().await;
    let enclave = Enclave::start(running("enclave"), &engine.base()).await;
    let mut connection = TlsClient::observing()
        .connect(enclave.address)
        .await
        .expect("connected");
    engine.write(format!("{HEAD}{}", chunk("data: {}\n\n")));
    let mut answer = connection
        .post_bytes(&enclave.key, PATH, BODY)
        .await
        .expect("an answer");
    assert!(answer.chunk().await.expect("data").is_some());
    engine.act(Do::Close);
    let end = timeout(Duration::from_secs(5), answer.chunk())
        .await
        .expect("an end");
    assert!(end.is_err(), "{end:?}");
}
