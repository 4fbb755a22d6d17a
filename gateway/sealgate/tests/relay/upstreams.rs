//! The variety of real upstreams: errors inside a 200, every engine's text for an overflow, usage only on request,
//! compressed bodies, missing media types, unreachable candidates.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::support::engine::{Do, RawEngine};
use crate::support::*;

const BODY: &str = r#"{"model":"m","messages":[]}"#;
const STREAMED: &str = r#"{"model":"m","messages":[],"stream":true}"#;
const ASKING: &str =
    r#"{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}"#;
const CANARY: &str = "canary-7f3a";

const JSON: &str = "content-type: application/json\r\n";
const EVENTS: &str = "content-type: text/event-stream\r\n";
const CHUNK: &str = "data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":null}]}\n\n";
const LAST: &str =
    "data: {\"id\":\"c\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":4}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).expect("in memory");
    encoder.finish().expect("in memory")
}

fn cause(receipt: &attest_core::VerifiedReceipt) -> Option<String> {
    let event = own_event(receipt, "sealgate.upstream.failed")?;
    event["cause"].as_str().map(str::to_owned)
}

/// What a client reads of an answer, as text.
async fn read(response: http::Response<axum::body::Body>) -> (String, bool) {
    let (bytes, ended) = whole(response.into_body()).await;
    (String::from_utf8(bytes).expect("UTF-8"), ended)
}

#[tokio::test]
async fn an_error_inside_a_200_becomes_an_error_with_our_text() {
    let engine = RawEngine::start().await;
    let bench = Bench::plain("in-band", &engine.base()).await;
    for (body, status, code) in [
        (
            format!(r#"{{"error":{{"message":"{CANARY}","type":"server_error","code":500}}}}"#),
            502,
            "upstream_failed",
        ),
        (
            format!(r#"{{"object":"error","message":"{CANARY}","code":429}}"#),
            429,
            "rate_limit_exceeded",
        ),
        (
            format!(
                r#"{{"error":{{"message":"This model's maximum context length is 8 tokens. {CANARY}","code":400}}}}"#
            ),
            400,
            "context_length_exceeded",
        ),
    ] {
        engine.answer("200 OK", JSON, &body);
        let response = bench.chat(BODY).await;
        let id = receipt_id(&response);
        let (got, error, bytes) = error_of(response).await;
        assert_eq!((got, &error["code"]), (status, &code.into()), "{body}");
        assert!(!String::from_utf8_lossy(&bytes).contains(CANARY));
        assert_eq!(bench.usage(&id).await.0, "upstream_rejected");
        let receipt = bench.receipt(&id).await;
        assert_eq!(cause(&receipt).as_deref(), Some("reported_error"));
    }
    // One that says that there is no error is no error.
    engine.answer("200 OK", JSON, r#"{"id":"x","error":null,"choices":[]}"#);
    let response = bench.chat(BODY).await;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn an_error_event_in_a_stream_is_replaced_and_not_counted_as_success() {
    let engine = RawEngine::start().await;
    let bench = Bench::plain("in-stream", &engine.base()).await;
    let failure = format!("data: {{\"error\":{{\"message\":\"{CANARY}\",\"code\":500}}}}\n\n");
    for before in ["", CHUNK] {
        engine.answer("200 OK", EVENTS, format!("{before}{failure}{DONE}"));
        let response = bench.chat(STREAMED).await;
        let id = receipt_id(&response);
        let (got, ended) = read(response).await;
        assert!(
            ended && got.starts_with(before) && got.ends_with(DONE),
            "{got}"
        );
        assert!(got.contains("\"code\":\"upstream_failed\"") && !got.contains(CANARY));
        assert_eq!(bench.usage(&id).await.0, "upstream_rejected");
        let receipt = bench.receipt(&id).await;
        assert_eq!(cause(&receipt).as_deref(), Some("reported_error"));
        assert_eq!(
            receipt.matches_response(attest_core::Sha256Digest::hash(got.as_bytes())),
            Ok(())
        );
    }
}

#[tokio::test]
async fn a_stream_that_ends_without_a_finish_is_not_counted_as_complete() {
    let engine = RawEngine::start().await;
    let bench = Bench::plain("unfinished", &engine.base()).await;
    for (body, outcome) in [
        (CHUNK.to_owned(), "upstream_unfinished"),
        (format!("{CHUNK}{LAST}"), "completed"),
        (format!("{CHUNK}{DONE}"), "completed"),
    ] {
        engine.answer("200 OK", EVENTS, &body);
        let response = bench.chat(STREAMED).await;
        let id = receipt_id(&response);
        assert_eq!(read(response).await, (body.clone(), true));
        assert_eq!(bench.usage(&id).await.0, outcome, "{body}");
    }
}

#[tokio::test]
async fn an_empty_answer_is_complete() {
    let engine = RawEngine::start().await;
    let bench = Bench::plain("no-content", &engine.base()).await;
    engine.write("HTTP/1.1 204 No Content\r\n\r\n");
    let response = bench.chat(BODY).await;
    assert_eq!(response.status(), 204);
    let id = receipt_id(&response);
    drop(response);
    assert_eq!(bench.usage(&id).await.0, "completed");
}

#[tokio::test]
async fn a_full_context_window_is_recognised_in_long_cut_and_compressed_bodies() {
    let engine = RawEngine::start().await;
    let bench = Bench::plain("overflow", &engine.base()).await;
    let said = |filler: usize| {
        format!(
            r#"{{"object":"error","message":"This model's maximum context length is 8192 tokens. {}","code":400}}"#,
            "x".repeat(filler)
        )
    };
    let zipped = "content-type: application/json\r\ncontent-encoding: gzip\r\n";
    let cases: [(&str, &str, Vec<u8>); 5] = [
        ("400 Bad", JSON, said(0).into()),
        ("400 Bad", JSON, said(100_000).into()),
        ("400 Bad", JSON, said(1_000_000).into()),
        ("400 Bad", zipped, gzip(&said(50_000))),
        (
            "422 Unprocessable",
            JSON,
            br#"{"error":"Input validation error: `inputs` must have less than 4 tokens. Given: 5"}"#.to_vec(),
        ),
    ];
    for (status, headers, body) in cases {
        let length = body.len();
        engine.answer(status, headers, body);
        let (got, error, _) = error_of(bench.chat(BODY).await).await;
        assert_eq!(
            (got, &error["code"]),
            (400, &"context_length_exceeded".into()),
            "{headers} {length}"
        );
        if length > 200_000 {
            // It was not read to its end, so that the connection is closed and another taken.
            eventually("the connection is closed", async || engine.hang_ups() >= 1).await;
        }
    }
}

#[tokio::test]
async fn retry_after_is_forwarded_in_seconds_and_long_waits_are_not_retried() {
    let engine = RawEngine::start().await;
    let bench = Bench::plain("waits", &engine.base()).await;
    for (given, seconds, millis, repeated) in [
        ("retry-after: 7\r\n", "7", None, true),
        ("retry-after: 2.5\r\n", "3", Some("2500"), true),
        ("retry-after-ms: 1500\r\n", "2", Some("1500"), true),
        ("retry-after: 287441\r\n", "86400", None, false),
        (
            "date: Wed, 21 Oct 2015 07:27:40 GMT\r\nretry-after: Wed, 21 Oct 2015 07:28:00 GMT\r\n",
            "20",
            None,
            true,
        ),
    ] {
        engine.answer("429 Too Many", given, "{}");
        let response = bench.chat(BODY).await;
        let field = |name: &str| {
            let value = response.headers().get(name)?;
            value.to_str().ok()
        };
        assert_eq!(field("retry-after"), Some(seconds), "{given}");
        assert_eq!(field("retry-after-ms"), millis, "{given}");
        assert_eq!(field("x-should-retry").is_none(), repeated, "{given}");
        let _ = read(response).await;
    }
    let quota =
        r#"{"error":{"message":"x","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    engine.answer("429 Too Many", JSON, quota);
    let response = bench.chat(BODY).await;
    assert_eq!(response.headers()["x-should-retry"], "false");
    let (status, error, _) = error_of(response).await;
    assert_eq!(
        (status, &error["code"]),
        (424, &"upstream_quota_exhausted".into())
    );
}

#[tokio::test]
async fn usage_is_read_from_every_form_an_upstream_sends() {
    let engine = RawEngine::start().await;
    let bench = Bench::plain("usage", &engine.base()).await;
    let zip = |kind: &str| format!("{kind}content-encoding: gzip\r\n");
    let json = r#"{"id":"x","choices":[],"usage":{"prompt_tokens":7.0,"completion_tokens":4}}"#;
    let stream = format!("{CHUNK}{LAST}{USAGE}{DONE}");
    let lines = format!(
        "{CHUNK}data: {{\"choices\":[],\ndata: \"usage\":{{\"prompt_tokens\":7,\ndata: \"completion_tokens\":4}}}}\n\n{DONE}"
    );
    let cases: [(&str, String, Vec<u8>, &str); 8] = [
        (BODY, JSON.to_owned(), json.into(), "application/json"),
        (BODY, zip(JSON), gzip(json), "application/json"),
        (BODY, String::new(), json.into(), "application/json"),
        (
            ASKING,
            EVENTS.to_owned(),
            stream.clone().into(),
            "text/event-stream",
        ),
        (ASKING, zip(EVENTS), gzip(&stream), "text/event-stream"),
        (ASKING, EVENTS.to_owned(), lines.into(), "text/event-stream"),
        (
            ASKING,
            String::new(),
            stream.clone().into(),
            "text/event-stream",
        ),
        (
            ASKING,
            "content-type: application/octet-stream\r\n".to_owned(),
            stream.into(),
            "text/event-stream",
        ),
    ];
    for (request, headers, body, media) in cases {
        engine.answer("200 OK", &headers, body);
        let response = bench.chat(request).await;
        assert_eq!(response.headers()["content-type"], media, "{headers}");
        assert!(!response.headers().contains_key("content-encoding"));
        let id = receipt_id(&response);
        let (got, ended) = read(response).await;
        assert!(ended && got.contains("\"prompt_tokens\":7"), "{headers}");
        let (outcome, _, prompt, completion) = bench.usage(&id).await;
        assert_eq!(
            (outcome.as_str(), prompt, completion),
            ("completed", Some(7), Some(4)),
            "{headers}"
        );
    }
    let heads = engine.requests();
    assert!(heads.iter().all(|head| {
        head.to_ascii_lowercase()
            .contains("accept-encoding: identity")
    }));
}

#[tokio::test]
async fn a_truncated_compressed_answer_is_truncated_for_the_client() {
    let engine = RawEngine::start().await;
    let bench = Bench::plain("cut-gzip", &engine.base()).await;
    let zipped = gzip(&format!("{CHUNK}{LAST}"));
    engine.answer(
        "200 OK",
        "content-type: text/event-stream\r\ncontent-encoding: gzip\r\n",
        &zipped[..zipped.len() - 6],
    );
    let response = bench.chat(STREAMED).await;
    let id = receipt_id(&response);
    let (_, ended) = read(response).await;
    assert!(!ended);
    assert_eq!(bench.usage(&id).await.0, "upstream_broke_off");
}

#[tokio::test]
async fn a_stream_without_requested_usage_is_metered_and_the_usage_removed() {
    let engine = RawEngine::start().await;
    let bench = Bench::plain("asked", &engine.base()).await;
    let with_null = CHUNK.replace("null}]}", "null}],\"usage\":null}");
    engine.answer("200 OK", EVENTS, format!("{with_null}{LAST}{USAGE}{DONE}"));
    let response = bench.chat(STREAMED).await;
    let id = receipt_id(&response);
    let (got, _) = read(response).await;
    assert_eq!(got, format!("{CHUNK}{LAST}{DONE}"));
    assert_eq!(bench.usage(&id).await.2, Some(7));
    let sent = engine.requests().remove(0);
    let (_, body) = sent.split_once("\r\n\r\n").expect("a request");
    let sent: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(sent["stream_options"]["include_usage"], true);
    let receipt = bench.receipt(&id).await;
    let rewritten = own_event(&receipt, "sealgate.request.rewritten").expect("the event");
    assert_eq!(
        rewritten["members"],
        serde_json::json!(["model", "stream_options"])
    );
    assert_eq!(
        forwarded(&receipt),
        Some(attest_core::Sha256Digest::hash(body.as_bytes()))
    );
    // What is no stream is not asked, and neither is an upstream that is not to be.
    engine.answer("200 OK", JSON, "{}");
    let _ = read(bench.chat(BODY).await).await;
    assert!(!engine.requests()[1].contains("stream_options"));
    let quiet = RawEngine::start().await;
    let sections = plain_model(&[&quiet.base()]) + "stream_usage = false\n";
    let bench = Bench::start("not-asked", "aggregator", &sections).await;
    quiet.answer("200 OK", EVENTS, format!("{CHUNK}{LAST}{USAGE}{DONE}"));
    let (got, _) = read(bench.chat(STREAMED).await).await;
    assert!(
        got.contains(USAGE),
        "what was not asked for is not taken out"
    );
    assert!(!quiet.requests()[0].contains("stream_options"));
}

#[tokio::test]
async fn retries_without_the_usage_option_when_an_engine_rejects_it() {
    let engine = RawEngine::start().await;
    let bench = Bench::plain("refuses", &engine.base()).await;
    let refusal = r#"{"error":{"message":"[{'type': 'extra_forbidden', 'loc': ('body', 'stream_options')}]","code":400}}"#;
    engine.answer("400 Bad", JSON, refusal);
    engine.answer("200 OK", EVENTS, format!("{CHUNK}{CHUNK}{LAST}{DONE}"));
    let response = bench.chat(STREAMED).await;
    assert_eq!(response.status(), 200);
    let id = receipt_id(&response);
    let _ = read(response).await;
    // Without usage, what carried text is counted.
    assert_eq!(
        bench.usage(&id).await,
        ("completed".to_owned(), 200, None, Some(2))
    );
    let sent = engine.requests();
    assert!(sent[0].contains("stream_options") && !sent[1].contains("stream_options"));
    let receipt = bench.receipt(&id).await;
    let repeated = own_event(&receipt, "sealgate.request.repeated").expect("the event");
    let (_, first) = sent[0].split_once("\r\n\r\n").expect("a request");
    assert_eq!(
        repeated["body_hash"],
        attest_core::Sha256Digest::hash(first.as_bytes()).to_string()
    );
    // It is not asked again.
    engine.answer("200 OK", EVENTS, format!("{CHUNK}{LAST}{DONE}"));
    let _ = read(bench.chat(STREAMED).await).await;
    assert_eq!(engine.requests().len(), 3);
    assert!(!engine.requests()[2].contains("stream_options"));
    // A caller that asks itself is answered what the engine answers.
    engine.answer("400 Bad", JSON, refusal);
    assert_eq!(bench.chat(ASKING).await.status(), 400);
}

#[tokio::test]
async fn an_unreachable_upstream_is_tried_last_for_a_while() {
    let engine = RawEngine::start().await;
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        format!("http://{}/v1", listener.local_addr().expect("an address"))
    };
    let models = plain_model(&[&gone, &engine.base()]);
    let bench = Bench::start("dead-first", "aggregator", &models).await;
    for passed_over in [1, 0, 0] {
        engine.answer("200 OK", JSON, "{}");
        let response = bench.chat(BODY).await;
        assert_eq!(response.status(), 200);
        let id = receipt_id(&response);
        let _ = read(response).await;
        let receipt = bench.receipt(&id).await;
        let passed = event_types(&receipt)
            .iter()
            .filter(|kind| *kind == "sealgate.upstream.passed_over")
            .count();
        assert_eq!(passed, passed_over, "the first request alone tries it");
    }
    // Alone, it is tried all the same.
    let bench = Bench::start("dead-alone", "aggregator", &plain_model(&[&gone])).await;
    for _ in 0..2 {
        let response = bench.chat(BODY).await;
        let id = receipt_id(&response);
        let (status, error, _) = error_of(response).await;
        assert_eq!(
            (status, &error["code"]),
            (502, &"upstream_unavailable".into())
        );
        assert_eq!(cause(&bench.receipt(&id).await).as_deref(), Some("refused"));
    }
}

#[tokio::test]
async fn names_why_an_upstream_did_not_answer() {
    let silent = RawEngine::start().await;
    let closing = RawEngine::start().await;
    let garbled = RawEngine::start().await;
    closing.act(Do::Close);
    garbled.write("HTTP/1.1 200 OK\r\nx y: z\r\n\r\n");
    for (base, status, expected) in [
        ("http://name.invalid/v1".to_owned(), 502, "dns"),
        (silent.base(), 504, "timeout"),
        (closing.base(), 502, "closed"),
        (garbled.base(), 502, "head"),
    ] {
        let bench = Bench::plain("named", &base).await;
        let response = bench.chat(BODY).await;
        let id = receipt_id(&response);
        let (got, ..) = error_of(response).await;
        assert_eq!(got, status, "{expected}");
        let receipt = bench.receipt(&id).await;
        assert_eq!(cause(&receipt).as_deref(), Some(expected));
    }
}
