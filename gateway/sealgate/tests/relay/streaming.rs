//! Responses are forwarded byte for byte as they arrive, metered, and get a receipt.

use std::time::Duration;

use tokio::time::timeout;

use crate::support::engine::{Do, RawEngine};
use crate::support::*;

const BODY: &str = r#"{"model":"served","messages":[],"stream":true}"#;
const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const LAST: &str = "0\r\n\r\n";

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// A model that needs no rewriting.
async fn bench(name: &str, engine: &RawEngine) -> Bench {
    let sections = format!(
        "[tee]\nkind = \"none\"\n{TIMEOUTS}[[model]]\nid = \"served\"\nconfidential = false\n[[model.upstream]]\nname = \"up-0\"\nurl = \"{}\"\n",
        engine.base()
    );
    Bench::start(name, "aggregator", &sections).await
}

#[tokio::test]
async fn each_event_reaches_the_client_before_the_next_leaves_the_engine() {
    let engine = RawEngine::start().await;
    let bench = bench("step", &engine).await;
    engine.write(HEAD);
    let response = bench.chat(BODY).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let id = receipt_id(&response);
    let mut body = response.into_body();
    let text =
        "data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"delta\":{\"content\":\"日本語 🦀\"}}]}\n\n";
    let mut expected = Vec::new();
    for cut in [3, 5, 7, 500] {
        // Multi-byte characters are cut wherever the engine cuts them.
        for piece_out in text.as_bytes().chunks(cut) {
            engine.write(chunk(piece_out));
        }
        let got = timeout(Duration::from_secs(5), piece(&mut body))
            .await
            .expect("no event waits for the next");
        assert_eq!(
            got,
            Some(Ok(bytes::Bytes::copy_from_slice(text.as_bytes())))
        );
        expected.extend_from_slice(text.as_bytes());
    }
    let usage =
        b"data: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":9}}\n\ndata: [DONE]\n\n";
    engine.write(chunk(usage));
    engine.write(LAST);
    expected.extend_from_slice(usage);
    assert!(!bench.has_receipt(&id).await);
    let last = timeout(Duration::from_secs(5), piece(&mut body))
        .await
        .expect("the end");
    assert_eq!(last, Some(Ok(bytes::Bytes::from_static(usage))));

    // A client that stops at [DONE] already finds its receipt, under either id.
    for id in [id.as_str(), "chatcmpl-1"] {
        let receipt = bench.receipt(id).await;
        assert_eq!(
            receipt.matches_request(attest_core::Sha256Digest::hash(BODY.as_bytes())),
            Ok(())
        );
        assert_eq!(
            receipt.matches_response(attest_core::Sha256Digest::hash(&expected)),
            Ok(())
        );
        assert_eq!(receipt.body().chat_id.as_deref(), Some("chatcmpl-1"));
    }
    assert_eq!(piece(&mut body).await, None);
    assert_eq!(
        bench.usage(&id).await,
        ("completed".to_owned(), 200, Some(3), Some(9))
    );
}

#[tokio::test]
async fn the_body_is_forwarded_unchanged_except_for_the_rewrites() {
    let engine = RawEngine::start().await;
    let bench = Bench::plain("rewrite", &engine.base()).await;
    engine.answer(
        "200 OK",
        "content-type: application/json\r\n",
        r#"{"id":"x"}"#,
    );
    let sent = "{ \"messages\" : [ 1.0 ],\"provider\":{\"aci_verified\":false,\"order\":[]} , \"model\" : \"alias\" }";
    let response = bench.chat(sent).await;
    let id = receipt_id(&response);
    assert!(whole(response.into_body()).await.1);
    let request = engine.requests().remove(0);
    let (head, body) = request.split_once("\r\n\r\n").expect("a request");
    assert_eq!(
        body,
        "{ \"messages\" : [ 1.0 ],\"provider\":{\"order\":[]} , \"model\" : \"served\" }"
    );
    assert!(
        head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"),
        "{head}"
    );
    assert!(
        !head.to_ascii_lowercase().contains("authorization"),
        "{head}"
    );
    let receipt = bench.receipt(&id).await;
    assert_eq!(receipt.body().model.as_deref(), Some("alias"));
    assert_eq!(
        forwarded(&receipt),
        Some(attest_core::Sha256Digest::hash(body.as_bytes()))
    );
    assert_eq!(
        event_types(&receipt),
        [
            "request.received",
            "policy.applied",
            "upstream.verified",
            "sealgate.request.rewritten",
            "request.forwarded",
            "response.returned"
        ]
    );
    let rewritten = own_event(&receipt, "sealgate.request.rewritten").expect("the event");
    assert_eq!(
        rewritten["members"],
        serde_json::json!(["model", "provider"])
    );
}

#[tokio::test]
async fn a_body_keeps_its_length_and_its_receipt_exists_with_the_last_byte() {
    let engine = RawEngine::start().await;
    let bench = bench("length", &engine).await;
    let json = r#"{"id":"chatcmpl-2","usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
    let headers = "content-type: application/json\r\nopenai-processing-ms: 12\r\nx-request-id: secret\r\nset-cookie: a=b\r\n";
    engine.answer("200 OK", headers, json);
    let response = bench.chat(BODY).await;
    assert_eq!(
        http_body::Body::size_hint(response.body()).exact(),
        Some(json.len() as u64)
    );
    let mut names: Vec<&str> = response
        .headers()
        .keys()
        .map(|name| name.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["content-type", "openai-processing-ms", "x-receipt-id"]
    );
    let id = receipt_id(&response);
    let mut body = response.into_body();
    assert_eq!(piece(&mut body).await, Some(Ok(json.into())));
    let receipt = bench.receipt(&id).await;
    assert_eq!(
        receipt.matches_response(attest_core::Sha256Digest::hash(json.as_bytes())),
        Ok(())
    );
    assert_eq!(
        bench.usage(&id).await,
        ("completed".to_owned(), 200, Some(1), Some(2))
    );
}

#[tokio::test]
async fn the_final_event_is_forwarded_before_the_engine_closes() {
    let engine = RawEngine::start().await;
    let bench = bench("dally", &engine).await;
    engine.write(HEAD);
    engine.write(chunk(b"data: [DONE]\n"));
    engine.write(chunk(b"\n"));
    let response = bench.chat(BODY).await;
    let id = receipt_id(&response);
    let mut body = response.into_body();
    let got = timeout(Duration::from_secs(5), piece(&mut body))
        .await
        .expect("it is let go");
    assert_eq!(got, Some(Ok("data: [DONE]\n\n".into())));
    // The client leaves, having had everything.
    drop(body);
    let receipt = bench.receipt(&id).await;
    assert!(own_event(&receipt, "sealgate.response.incomplete").is_none());
    assert_eq!(bench.usage(&id).await.0, "completed");
}

#[tokio::test]
async fn a_client_that_disconnects_stops_the_engine_and_leaves_a_receipt() {
    let engine = RawEngine::start().await;
    let bench = bench("hangup", &engine).await;
    engine.write(HEAD);
    engine.write(chunk(b"data: {\"id\":\"chatcmpl-3\"}\n\n"));
    let response = bench.chat(BODY).await;
    let id = receipt_id(&response);
    let mut body = response.into_body();
    let first = piece(&mut body).await.expect("a piece").expect("data");
    drop(body);
    eventually("the engine sees it", async || engine.hang_ups() == 1).await;
    let receipt = bench.receipt(&id).await;
    assert_eq!(
        receipt.matches_response(attest_core::Sha256Digest::hash(&first)),
        Ok(())
    );
    let incomplete = own_event(&receipt, "sealgate.response.incomplete").expect("the event");
    assert_eq!(incomplete["reason"], "connection_closed");
    assert_eq!(bench.usage(&id).await.0, "client_gone");
}

#[tokio::test]
async fn a_client_that_disconnects_before_the_head_leaves_a_receipt() {
    let engine = RawEngine::start().await;
    let bench = bench("early", &engine).await;
    let arrives = eventually("the request arrives", async || {
        !engine.requests().is_empty()
    });
    tokio::select! {
        _ = bench.chat(BODY) => panic!("the engine never answers"),
        () = arrives => {}
    }
    eventually("the engine sees it", async || engine.hang_ups() == 1).await;
    let receipt = bench.receipt("rcpt-0").await;
    assert!(forwarded(&receipt).is_some());
    assert_eq!(
        receipt.matches_response(attest_core::Sha256Digest::hash(b"")),
        Ok(())
    );
    assert_eq!(bench.usage("rcpt-0").await.0, "client_gone");
}

#[tokio::test]
async fn a_response_aborted_upstream_is_aborted_for_the_client() {
    let cases: [(&str, &[u8], Do); 5] = [
        ("chunked", b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\na\r\ndata: {}\n\n\r\n", Do::Close),
        ("length", b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\nabc", Do::Close),
        ("reset", b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\nabc", Do::Reset),
        ("close-json", b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"a\":", Do::Close),
        ("close-sse", b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {}\n\n", Do::Close),
    ];
    for (name, response_bytes, end) in cases {
        let engine = RawEngine::start().await;
        let bench = bench("break", &engine).await;
        engine.write(response_bytes);
        let response = bench.chat(BODY).await;
        assert_eq!(response.status(), 200, "{name}");
        let id = receipt_id(&response);
        let mut body = response.into_body();
        let first = piece(&mut body).await.expect("a piece").expect("data");
        engine.act(end);
        assert!(!whole(body).await.1, "{name}: it must not end politely");
        let receipt = bench.receipt(&id).await;
        assert_eq!(
            receipt.matches_response(attest_core::Sha256Digest::hash(&first)),
            Ok(()),
            "{name}"
        );
        let incomplete = own_event(&receipt, "sealgate.response.incomplete").expect("the event");
        assert_eq!(incomplete["reason"], "upstream_broke_off", "{name}");
        assert_eq!(bench.usage(&id).await.0, "upstream_broke_off", "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_before_its_head_is_passed_on_is_aborted_for_the_client() {
    let json = "content-type: application/json\r\n";
    for (framing, body) in [
        ("transfer-encoding: chunked\r\n", "5\r\n{\"a\":\r\n"),
        ("content-length: 9\r\n", "{\"a\":"),
        ("", "{\"a\":"),
    ] {
        let engine = RawEngine::start().await;
        let bench = bench("early-break", &engine).await;
        engine.write(format!("HTTP/1.1 200 OK\r\n{json}{framing}\r\n{body}"));
        engine.act(Do::Close);
        let response = bench.chat(BODY).await;
        let id = receipt_id(&response);
        let got = whole(response.into_body()).await;
        assert_eq!(got, (b"{\"a\":".to_vec(), false), "{framing}");
        assert_eq!(bench.usage(&id).await.0, "upstream_broke_off", "{framing}");
    }
}

#[tokio::test]
async fn a_response_ended_by_closing_is_complete_if_its_content_is() {
    for (kind, content) in [
        ("application/json", "{\"id\":\"chatcmpl-4\"}"),
        (
            "text/event-stream",
            "data: {\"id\":\"chatcmpl-4\"}\n\ndata: [DONE]\n\n",
        ),
    ] {
        let engine = RawEngine::start().await;
        let bench = bench("close", &engine).await;
        engine.write(format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n\r\n{content}"
        ));
        engine.act(Do::Close);
        let response = bench.chat(BODY).await;
        let id = receipt_id(&response);
        assert_eq!(
            whole(response.into_body()).await,
            (content.as_bytes().to_vec(), true),
            "{kind}"
        );
        assert_eq!(bench.usage(&id).await.0, "completed", "{kind}");
    }
}

#[tokio::test]
async fn an_idle_engine_is_cut_off() {
    let engine = RawEngine::start().await;
    let bench = bench("silent", &engine).await;
    engine.write(HEAD);
    engine.write(chunk(b"data: {}\n\n"));
    let response = bench.chat(BODY).await;
    let id = receipt_id(&response);
    let (_, politely) = timeout(Duration::from_secs(10), whole(response.into_body()))
        .await
        .expect("an end");
    assert!(!politely);
    eventually("the engine sees it", async || engine.hang_ups() == 1).await;
    let receipt = bench.receipt(&id).await;
    let incomplete = own_event(&receipt, "sealgate.response.incomplete").expect("the event");
    assert_eq!(incomplete["reason"], "upstream_stalled");
    assert_eq!(bench.usage(&id).await.0, "upstream_timeout");
}

#[tokio::test]
async fn a_large_response_is_relayed_with_backpressure() {
    let engine = RawEngine::start().await;
    let bench = bench("pace", &engine).await;
    let size = 64 << 20;
    engine.write(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {size}\r\n\r\n"
    ));
    for _ in 0..64 {
        engine.write(vec![b'x'; 1 << 20]);
    }
    let response = bench.chat(BODY).await;
    let mut body = response.into_body();
    let mut got = 0;
    while let Some(next) = piece(&mut body).await {
        let bytes = next.expect("data");
        assert!(bytes.len() <= 1 << 20);
        got += bytes.len();
        if got < 4 << 20 {
            // Longer than the idle limit in sum; a slow reader is not the engine's silence.
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    }
    assert_eq!(got, size);
}
