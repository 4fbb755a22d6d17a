//! Streams whose responses are sealed: the client gets the end of a response only once its record is on the disk.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::Response;
use tokio::time::{sleep, timeout};

use crate::support::engine::{Do, RawEngine};
use crate::support::{Bench, eventually, own_event, piece, receipt_id, whole};
use attest_core::retention::{Deletion, KeptMetadata, OnFailure, Recipient, Terms};
use gateway_base::request::Endpoint;

const BODY: &str =
    r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#;
const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
const FIRST: &str = "data: {\"id\":\"chatcmpl-1\",\"choices\":[]}\n\n";
/// Longer than a final event is held in a response that is not sealed.
const LONG: Duration = Duration::from_millis(300);

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn content(on_failure: OnFailure) -> Terms {
    Terms::Content {
        kept: KeptMetadata {
            ttl: Duration::from_secs(3600),
            fields: BTreeSet::new(),
            on_failure,
        },
        recipients: vec![Recipient::parse(RECIPIENT).expect("a recipient")],
        deletion: Deletion::Caller,
    }
}

async fn sealed(bench: &Bench, on_failure: OnFailure) -> Response<Body> {
    let Ok(mut request) = bench.request(Endpoint::Chat, BODY) else {
        panic!("the model is known")
    };
    request.context.retention = Arc::new(content(on_failure));
    bench.serve_admitted(request).await
}

fn file(bench: &Bench, id: &str, part: &str) -> PathBuf {
    let state = &bench.epoch.config.server.state_dir;
    state.join(format!("records/{id}.{part}.age"))
}

/// The length of the sealed response, if the file is complete. Up to one chunk of `age`, a file is longer than its
/// content by the same number of bytes.
fn sealed_length(bench: &Bench, id: &str) -> Option<u64> {
    let length = |part| {
        let found = std::fs::metadata(file(bench, id, part));
        found.map_or(0, |found| found.len())
    };
    let around = length("request") - BODY.len() as u64;
    length("response").checked_sub(around)
}

async fn state(bench: &Bench, id: &str) -> String {
    let url = format!("sqlite://{}?mode=ro", bench.back.ledger.path().display());
    let pool = sqlx::SqlitePool::connect(&url).await.expect("the database");
    sqlx::query_scalar("SELECT state FROM records WHERE receipt_id = ?")
        .bind(id)
        .fetch_one(&pool)
        .await
        .expect("a record")
}

#[tokio::test]
async fn a_final_event_in_any_form_is_held_until_the_record_is_closed() {
    let forms: [&[&str]; 9] = [
        &["data: [DONE]\n\n"],
        &["data: [DO", "NE]\n\n"],
        &["data: [DONE]", "\n", "\n"],
        &["data:[DONE]\n\n"],
        &["data:  [DONE] \r\n\r\n"],
        &["id: 1\rdata: [DONE]\r\r"],
        &["data: {\"choices\":[]}\n\ndata: [DONE]\n\n"],
        &["data: [DONE]\n\n", ": and a comment\n\n"],
        &["data: [DONE]\n\n: and a comment\n\n: and", " another\n\n"],
    ];
    let engine = RawEngine::start().await;
    let bench = Bench::plain("sealed-end", &engine.base()).await;
    for (index, form) in forms.into_iter().enumerate() {
        if index > 0 {
            engine.act(Do::Await(index + 1));
        }
        engine.write(HEAD);
        engine.write(chunk(FIRST));
        let response = sealed(&bench, OnFailure::Refuse).await;
        let id = receipt_id(&response);
        let mut body = response.into_body();
        assert_eq!(piece(&mut body).await, Some(Ok(FIRST.into())), "{form:?}");
        for part in form {
            engine.write(chunk(part));
            sleep(Duration::from_millis(20)).await;
        }
        let mut got = Vec::new();
        // Events before the final one may come; it and what follows it may not.
        while let Ok(next) = timeout(LONG, piece(&mut body)).await {
            got.extend_from_slice(&next.expect("a piece").expect("data"));
        }
        let early = String::from_utf8_lossy(&got);
        assert!(!early.contains("[DONE]"), "{form:?}: {early}");
        assert_eq!(sealed_length(&bench, &id), None, "{form:?}");
        engine.write(b"0\r\n\r\n");
        got.extend_from_slice(&piece(&mut body).await.expect("a piece").expect("data"));
        let length = (FIRST.len() + form.concat().len()) as u64;
        assert_eq!(sealed_length(&bench, &id), Some(length), "{form:?}");
        assert!(bench.has_receipt(&id).await, "{form:?}");
        let (rest, ended) = whole(body).await;
        got.extend_from_slice(&rest);
        assert!(ended, "{form:?}");
        assert_eq!(String::from_utf8_lossy(&got), form.concat(), "{form:?}");
        eventually("it is whole", async || state(&bench, &id).await == "whole").await;
    }
}

#[tokio::test]
async fn a_break_after_the_final_event_passes_it_on_with_its_record_and_then_aborts() {
    let engine = RawEngine::start().await;
    let bench = Bench::plain("sealed-break", &engine.base()).await;
    engine.write(HEAD);
    engine.write(chunk(FIRST));
    engine.write(chunk("data: [DONE]\n\n"));
    let response = sealed(&bench, OnFailure::Refuse).await;
    let id = receipt_id(&response);
    let mut body = response.into_body();
    assert_eq!(piece(&mut body).await, Some(Ok(FIRST.into())));
    // The message does not end: the idle timeout does it, after a second.
    let next = piece(&mut body).await;
    assert_eq!(next, Some(Ok("data: [DONE]\n\n".into())));
    let length = (FIRST.len() + "data: [DONE]\n\n".len()) as u64;
    assert_eq!(sealed_length(&bench, &id), Some(length));
    assert_eq!(piece(&mut body).await, Some(Err(())));
    let receipt = bench.receipt(&id).await;
    let incomplete = own_event(&receipt, "sealgate.response.incomplete").expect("the event");
    assert_eq!(incomplete["reason"], "upstream_stalled");
    eventually("it is cut", async || state(&bench, &id).await == "cut").await;
}

#[tokio::test]
async fn without_a_record_a_final_event_is_withheld_or_served_as_the_policy_requires() {
    for on_failure in [OnFailure::Refuse, OnFailure::Serve] {
        let engine = RawEngine::start().await;
        let bench = Bench::plain("sealed-failing", &engine.base()).await;
        // A file in the place of the first response's: it cannot be created.
        let in_the_way = file(&bench, "rcpt-0", "response");
        std::fs::create_dir(in_the_way.parent().expect("a folder")).expect("a folder");
        std::fs::write(in_the_way, "in the way").expect("written");
        engine.write(HEAD);
        engine.write(chunk(FIRST));
        engine.write(chunk("data: [DONE]\n\n"));
        engine.write(b"0\r\n\r\n");
        let response = sealed(&bench, on_failure).await;
        let id = receipt_id(&response);
        let (got, ended) = whole(response.into_body()).await;
        let receipt = bench.receipt(&id).await;
        let failed = own_event(&receipt, "sealgate.retention.failed");
        match on_failure {
            OnFailure::Refuse => {
                assert_eq!((got.len(), ended), (0, false));
                let cut = own_event(&receipt, "sealgate.response.incomplete").expect("the event");
                assert_eq!(cut["reason"], "retention_failed");
            }
            OnFailure::Serve => {
                assert!(ended && got.ends_with(b"data: [DONE]\n\n"));
                assert!(failed.is_some());
            }
        }
        eventually("it has failed", async || {
            state(&bench, &id).await == "failed"
        })
        .await;
    }
}

#[tokio::test]
async fn a_client_that_disconnects_leaves_a_cut_record_that_is_closed() {
    let engine = RawEngine::start().await;
    let bench = Bench::plain("sealed-cut", &engine.base()).await;
    engine.write(HEAD);
    engine.write(chunk(FIRST));
    let response = sealed(&bench, OnFailure::Refuse).await;
    let id = receipt_id(&response);
    let mut body = response.into_body();
    assert_eq!(piece(&mut body).await, Some(Ok(FIRST.into())));
    drop(body);
    eventually("it is cut", async || state(&bench, &id).await == "cut").await;
    eventually("it is closed", async || {
        sealed_length(&bench, &id) == Some(FIRST.len() as u64)
    })
    .await;
}

#[tokio::test]
async fn a_final_event_in_a_large_piece_is_sealed_as_any_other() {
    let engine = RawEngine::start().await;
    let bench = Bench::plain("sealed-large", &engine.base()).await;
    // In one read, and larger than what is held after a final event.
    let stream = format!(": {}\n\ndata: [DONE]\n\n", "x".repeat(70 << 10));
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    engine.write([head, &stream].concat());
    engine.act(Do::Close);
    let response = sealed(&bench, OnFailure::Refuse).await;
    let id = receipt_id(&response);
    let (got, ended) = whole(response.into_body()).await;
    assert!(ended && got == stream.into_bytes());
    eventually("it is whole", async || state(&bench, &id).await == "whole").await;
}

#[tokio::test]
async fn more_than_the_rest_of_a_message_after_its_final_event_is_not_held() {
    // Without a policy nothing is recorded.
    for on_failure in [None, Some(OnFailure::Refuse), Some(OnFailure::Serve)] {
        let engine = RawEngine::start().await;
        let bench = Bench::plain("sealed-more", &engine.base()).await;
        let more = format!(": {}\n\n", "x".repeat(70 << 10));
        let stream = [FIRST, "data: [DONE]\n\n", &more];
        engine.write(HEAD);
        stream.iter().for_each(|part| engine.write(chunk(part)));
        engine.write(b"0\r\n\r\n");
        let response = match on_failure {
            Some(on_failure) => sealed(&bench, on_failure).await,
            None => bench.chat(BODY).await,
        };
        let id = receipt_id(&response);
        let (got, ended) = whole(response.into_body()).await;
        let receipt = bench.receipt(&id).await;
        let failed = own_event(&receipt, "sealgate.retention.failed").is_some();
        if on_failure == Some(OnFailure::Refuse) {
            let got = String::from_utf8_lossy(&got);
            assert!(!ended && !got.contains("[DONE]"), "{got}");
        } else {
            assert!(ended && got == stream.concat().into_bytes());
        }
        assert_eq!(failed, on_failure.is_some(), "{on_failure:?}");
        if on_failure.is_some() {
            eventually("it has failed", async || {
                state(&bench, &id).await == "failed"
            })
            .await;
        }
    }
}
