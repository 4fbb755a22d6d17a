//! The error and the receipt that a client gets when an upstream fails.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use crate::support::engine::{Do, RawEngine};
use crate::support::*;
use attest_core::{Sha256Digest, Upstream};
use gateway_base::request::Endpoint;

const BODY: &str = r#"{"model":"m","messages":[]}"#;
const CANARY: &str = "canary-7f3a";

/// An address where nothing listens.
async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    format!("http://{}/v1", listener.local_addr().expect("an address"))
}

#[tokio::test]
async fn each_class_of_upstream_error_is_mapped_to_our_own_text() {
    let context = format!(
        r#"{{"error":{{"message":"{CANARY}","type":"{CANARY}","param":"{CANARY}","code":"context_length_exceeded"}}}}"#
    );
    let opaque = format!(
        r#"{{"error":{{"message":"{CANARY}","type":"x","param":null,"code":"{CANARY}"}}}}"#
    );
    let cases = [
        (
            "400 Bad Request",
            &opaque,
            400,
            "invalid_request_error",
            "upstream_rejected",
        ),
        (
            "400 Bad Request",
            &context,
            400,
            "invalid_request_error",
            "context_length_exceeded",
        ),
        (
            "422 Unprocessable",
            &opaque,
            400,
            "invalid_request_error",
            "upstream_rejected",
        ),
        (
            "413 Too Large",
            &opaque,
            413,
            "invalid_request_error",
            "request_too_large",
        ),
        (
            "401 Unauthorized",
            &opaque,
            424,
            "server_error",
            "upstream_credentials_refused",
        ),
        (
            "402 Pay",
            &opaque,
            424,
            "server_error",
            "upstream_quota_exhausted",
        ),
        (
            "403 Forbidden",
            &opaque,
            424,
            "server_error",
            "upstream_credentials_refused",
        ),
        (
            "404 Not Found",
            &opaque,
            424,
            "server_error",
            "upstream_model_not_found",
        ),
        (
            "302 Found",
            &opaque,
            424,
            "server_error",
            "upstream_refused",
        ),
        (
            "429 Too Many",
            &opaque,
            429,
            "rate_limit_error",
            "rate_limit_exceeded",
        ),
        ("500 Oops", &opaque, 502, "server_error", "upstream_failed"),
        (
            "503 Busy",
            &opaque,
            503,
            "server_error",
            "upstream_overloaded",
        ),
        ("504 Slow", &opaque, 504, "server_error", "upstream_timeout"),
    ];
    let engine = RawEngine::start().await;
    let bench = Bench::plain("classes", &engine.base()).await;
    for (upstream_status, upstream_body, status, kind, code) in cases {
        let headers =
            format!("content-type: application/json\r\nretry-after: 7\r\nx-upstream: {CANARY}\r\n");
        engine.answer(upstream_status, &headers, upstream_body);
        let response = bench.chat(BODY).await;
        let id = receipt_id(&response);
        let shown = format!("{:?}", response.headers());
        assert!(!shown.contains(CANARY), "{shown}");
        let retry_after = response
            .headers()
            .get("retry-after")
            .map(|value| value.to_str().expect("ASCII").to_owned());
        assert_eq!(
            retry_after.is_some(),
            matches!(status, 429 | 503),
            "{upstream_status}"
        );
        let repeated = response
            .headers()
            .get("x-should-retry")
            .is_none_or(|value| value != "false");
        assert_eq!(
            repeated,
            matches!(status, 429 | 500..),
            "{upstream_status}: only what may have another fate is repeated"
        );
        let (got, error, bytes) = error_of(response).await;
        assert_eq!(
            (got, &error["type"], &error["code"]),
            (status, &kind.into(), &code.into()),
            "{upstream_status}"
        );
        assert!(!String::from_utf8_lossy(&bytes).contains(CANARY));
        let receipt = bench.receipt(&id).await;
        assert_eq!(
            receipt.matches_response(Sha256Digest::hash(&bytes)),
            Ok(()),
            "{upstream_status}"
        );
        assert!(forwarded(&receipt).is_some(), "{upstream_status}");
        let (outcome, row_status, ..) = bench.usage(&id).await;
        assert_eq!(
            (outcome.as_str(), row_status),
            ("upstream_rejected", i64::from(status))
        );
        let failed = own_event(&receipt, "sealgate.upstream.failed").expect("the event");
        let given = upstream_status.split(' ').next().expect("a status");
        assert_eq!(failed["cause"], format!("status:{given}"));
    }
}

#[tokio::test]
async fn an_endless_error_body_is_not_read_to_its_end() {
    let engine = RawEngine::start().await;
    let bench = Bench::plain("endless", &engine.base()).await;
    engine.write("HTTP/1.1 400 Bad\r\ncontent-length: 1000000000\r\n\r\n");
    engine.write(vec![b' '; 100_000]);
    let (status, error, _) = error_of(bench.chat(BODY).await).await;
    assert_eq!((status, &error["code"]), (400, &"upstream_rejected".into()));
    eventually("the connection is closed", async || engine.hang_ups() == 1).await;
}

#[tokio::test]
async fn an_upstream_that_sends_no_head_times_out() {
    let engine = RawEngine::start().await;
    let bench = Bench::plain("silence", &engine.base()).await;
    let begun = Instant::now();
    let response = bench.chat(BODY).await;
    assert!(begun.elapsed() >= Duration::from_millis(900));
    let id = receipt_id(&response);
    let (status, error, _) = error_of(response).await;
    assert_eq!((status, &error["code"]), (504, &"upstream_timeout".into()));
    assert!(forwarded(&bench.receipt(&id).await).is_some());
    assert_eq!(bench.usage(&id).await.0, "upstream_timeout");
    eventually("the engine is let go", async || engine.hang_ups() == 1).await;
}

#[tokio::test]
async fn does_not_retry_after_a_connection_closed_before_the_head() {
    let (first, second) = (RawEngine::start().await, RawEngine::start().await);
    let bench = Bench::start(
        "closed",
        "aggregator",
        &plain_model(&[&first.base(), &second.base()]),
    )
    .await;
    first.act(Do::Close);
    let response = bench.chat(BODY).await;
    let id = receipt_id(&response);
    let (status, error, _) = error_of(response).await;
    assert_eq!(
        (status, &error["code"]),
        (502, &"upstream_unavailable".into())
    );
    assert!(forwarded(&bench.receipt(&id).await).is_some());
    assert_eq!((first.requests().len(), second.requests().len()), (1, 0));
}

#[tokio::test]
async fn fails_over_in_order_when_an_upstream_is_unreachable() {
    let engine = RawEngine::start().await;
    let unreachable = nowhere().await;
    let bench = Bench::start(
        "order",
        "aggregator",
        &plain_model(&[&unreachable, &engine.base(), &unreachable]),
    )
    .await;
    engine.answer("200 OK", "content-type: application/json\r\n", "{}");
    let response = bench.chat(BODY).await;
    assert_eq!(response.status(), 200);
    let id = receipt_id(&response);
    assert!(whole(response.into_body()).await.1);
    let receipt = bench.receipt(&id).await;
    let passed = own_event(&receipt, "sealgate.upstream.passed_over").expect("the event");
    assert_eq!(
        (&passed["upstream_name"], &passed["reason"]),
        (&"up-0".into(), &"connect_failed".into())
    );
    match receipt.upstream() {
        Upstream::Failed {
            required: false,
            reason,
            ..
        } => assert_eq!(reason, "not_attested"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn reports_not_forwarded_when_no_upstream_is_reachable() {
    let unreachable = nowhere().await;
    let bench = Bench::start(
        "unreachable",
        "aggregator",
        &plain_model(&[&unreachable, &unreachable]),
    )
    .await;
    let response = bench.chat(BODY).await;
    let id = receipt_id(&response);
    let (status, error, bytes) = error_of(response).await;
    assert_eq!(
        (status, &error["code"]),
        (502, &"upstream_unavailable".into())
    );
    let receipt = bench.receipt(&id).await;
    assert_eq!(forwarded(&receipt), None);
    assert_eq!(receipt.matches_response(Sha256Digest::hash(&bytes)), Ok(()));
    assert_eq!(bench.usage(&id).await.0, "upstream_unavailable");
}

#[tokio::test]
async fn an_unknown_model_is_refused_with_a_receipt_that_does_not_repeat_its_name() {
    let engine = RawEngine::start().await;
    let bench = Bench::plain("unknown", &engine.base()).await;
    let response = bench.chat(&format!(r#"{{"model":"{CANARY}"}}"#)).await;
    let id = receipt_id(&response);
    let (status, error, _) = error_of(response).await;
    assert_eq!((status, &error["code"]), (404, &"model_not_found".into()));
    let receipt = bench.receipt(&id).await;
    assert_eq!(
        (receipt.body().model.as_deref(), forwarded(&receipt)),
        (None, None)
    );
    let found = bench
        .back
        .receipts
        .get(&id, &KEY)
        .await
        .expect("a ledger")
        .expect("a receipt");
    assert!(!String::from_utf8_lossy(&found.stored).contains(CANARY));
    assert!(engine.requests().is_empty());
}

#[tokio::test]
async fn a_receipt_is_returned_only_to_the_key_of_its_request() {
    let engine = RawEngine::start().await;
    let bench = Bench::plain("owner", &engine.base()).await;
    engine.answer(
        "200 OK",
        "content-type: application/json\r\n",
        r#"{"id":"chatcmpl-9"}"#,
    );
    let response = bench.chat(BODY).await;
    let id = receipt_id(&response);
    assert!(whole(response.into_body()).await.1);
    for id in [id.as_str(), "chatcmpl-9"] {
        assert!(bench.has_receipt(id).await);
        assert_eq!(
            bench
                .back
                .receipts
                .get(id, &[8; 32])
                .await
                .expect("a ledger"),
            None
        );
    }
}

#[tokio::test]
async fn refuses_an_upstream_without_evidence_when_verification_is_required() {
    let engine = RawEngine::start().await;
    let bench = Bench::plain("constraint", &engine.base()).await;
    let pinned = "a".repeat(64);
    let cases = [
        (
            r#"{"model":"m","provider":{"aci_verified":true}}"#.to_owned(),
            503,
            "upstream_verification_failed",
            "not_attested",
        ),
        (
            format!(r#"{{"model":"m","provider":{{"aci_session_ids":["{pinned}"]}}}}"#),
            412,
            "session_not_accepted",
            "session_not_accepted",
        ),
    ];
    for (body, status, kind, why) in cases {
        let response = bench.chat(&body).await;
        let id = receipt_id(&response);
        let (got, error, bytes) = error_of(response).await;
        assert_eq!((got, &error["type"]), (status, &kind.into()));
        let receipt = bench.receipt(&id).await;
        assert_eq!(forwarded(&receipt), None);
        assert_eq!(receipt.matches_response(Sha256Digest::hash(&bytes)), Ok(()));
        match receipt.upstream() {
            Upstream::Failed {
                required: true,
                reason,
                ..
            } => assert_eq!(reason, why),
            other => panic!("{other:?}"),
        }
    }
    assert!(engine.requests().is_empty());
}

#[tokio::test]
async fn each_endpoint_has_its_own_path_upstream() {
    let engine = RawEngine::start().await;
    let bench = Bench::plain("paths", &engine.base()).await;
    for endpoint in Endpoint::ALL {
        engine.answer("200 OK", "content-type: application/json\r\n", "{}");
        let body = r#"{"model":"m","input":"x"}"#;
        let response = bench.serve(endpoint, body).await;
        let id = receipt_id(&response);
        assert!(whole(response.into_body()).await.1);
        assert_eq!(bench.receipt(&id).await.body().endpoint, endpoint.path());
        let sent = engine.requests().pop().expect("a request");
        assert!(
            sent.starts_with(&format!("POST {} HTTP/1.1\r\n", endpoint.path())),
            "{sent}"
        );
    }
}

#[tokio::test]
async fn the_upstream_receives_our_key_instead_of_the_clients() {
    let engine = RawEngine::start().await;
    let directory = testkit::scratch::ScratchDir::new("key").expect("a directory");
    directory
        .write("upstream.key", "sk-upstream\n")
        .expect("a file");
    let sections = format!(
        "{}api_key_file = \"upstream.key\"\n",
        plain_model(&[&engine.base()])
    );
    let bench = Bench::start_in(directory, "aggregator", &sections).await;
    engine.answer("200 OK", "content-type: application/json\r\n", "{}");
    assert_eq!(bench.chat(BODY).await.status(), 200);
    let sent = engine
        .requests()
        .pop()
        .expect("a request")
        .to_ascii_lowercase();
    assert!(
        sent.contains("\r\nauthorization: bearer sk-upstream\r\n"),
        "{sent}"
    );
    assert!(sent.contains("\r\nuser-agent: sealgate/"), "{sent}");
}
