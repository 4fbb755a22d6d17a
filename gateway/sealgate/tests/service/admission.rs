//! Requests that admission refuses, none of which reaches the engine.

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use crate::support::{CHAT, Gateway, chat, error};
use testkit::client::post;

const INVALID: &str = "invalid_request_error";

#[tokio::test(flavor = "multi_thread")]
async fn every_response_carries_the_aci_headers() {
    let gateway = Gateway::plain().await;
    let mut connection = gateway.connect().await;
    let mut digests = Vec::new();
    for (path, status) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/v1/models", 401),
        ("/v1/chat/completions", 405),
        ("/v1/nothing", 404),
        ("/metrics", 404),
        ("/v1/aci/attestation", 404),
        ("/v1/aci/receipts/x", 401),
        ("/v1/aci/sessions", 200),
        ("/v1/aci/sessions/x", 404),
    ] {
        let answer = connection.get(path).await.expect(path);
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("x-aci-version"), Some("aci/1"), "{path}");
        digests.push(answer.header("x-aci-keyset-digest").expect(path).to_owned());
        answer.bytes().await.expect(path);
    }
    digests.dedup();
    assert_eq!(digests.len(), 1);
    assert!(digests[0].starts_with("sha256:") && digests[0].len() == 71);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_methods_are_refused_in_openais_shape() {
    let gateway = Gateway::plain().await;
    let mut connection = gateway.connect().await;
    let refused = error(connection.get("/v1/nothing").await.expect("an answer")).await;
    assert_eq!(
        refused,
        (404, INVALID.into(), "unknown_url".into(), Value::Null)
    );
    let answer = connection.get(CHAT).await.expect("an answer");
    assert_eq!(answer.header("allow"), Some("POST"));
    assert_eq!(
        error(answer).await,
        (
            405,
            INVALID.into(),
            "method_not_supported".into(),
            Value::Null
        )
    );
    let answer = connection
        .send(Request::delete("/v1/models"), Bytes::new())
        .await
        .expect("an answer");
    assert_eq!(
        (answer.status.as_u16(), answer.header("allow")),
        (405, Some("GET, HEAD"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_listed_for_every_holder_of_a_key() {
    let gateway = Gateway::plain().await;
    let mut connection = gateway.connect().await;
    let list = connection
        .get_as(&gateway.key, "/v1/models")
        .await
        .expect("a list")
        .json()
        .await
        .expect("JSON");
    let ids: Vec<_> = list["data"]
        .as_array()
        .expect("models")
        .iter()
        .map(|model| model["id"].clone())
        .collect();
    assert_eq!(ids, ["demo-model", "alias/of-it"]);
    let models = list["data"].as_array().expect("models");
    assert!(models.iter().all(|model| model["confidential"] == false));
    for (path, status) in [
        ("/v1/models/demo-model", 200),
        ("/v1/models/alias/of-it", 200),
        ("/v1/models/alias%2Fof-it", 200),
        ("/v1/models/other", 404),
    ] {
        let answer = connection.get_as(&gateway.key, path).await.expect(path);
        assert_eq!(answer.status, status, "{path}");
        answer.bytes().await.expect(path);
    }
    let refused = error(
        connection
            .get("/v1/models/demo-model")
            .await
            .expect("an answer"),
    )
    .await;
    assert_eq!(refused, (401, INVALID.into(), Value::Null, Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_malformed_bodies_with_their_reason() {
    let gateway = Gateway::plain().await;
    let mut connection = gateway.connect().await;
    for (body, code, param) in [
        ("", Value::Null, Value::Null),
        ("[1]", Value::Null, Value::Null),
        ("{\"model\":", Value::Null, Value::Null),
        ("{}", Value::Null, json!("model")),
        ("{\"model\":1}", Value::Null, json!("model")),
        (
            "{\"model\":\"demo-model\",\"Model\":\"x\"}",
            Value::Null,
            json!("model"),
        ),
        (
            "{\"model\":\"demo-model\",\"stream\":1}",
            Value::Null,
            json!("stream"),
        ),
        (
            "{\"model\":\"demo-model\",\"provider\":{\"aci_new\":1}}",
            Value::Null,
            json!("provider"),
        ),
        (
            "{\"model\":\"demo-model\",\"provider\":{\"aci_session_ids\":[]}}",
            Value::Null,
            json!("provider"),
        ),
    ] {
        let answer = connection
            .post_bytes(&gateway.key, CHAT, body)
            .await
            .expect(body);
        assert_eq!(
            error(answer).await,
            (400, INVALID.into(), code, param),
            "{body}"
        );
    }
    for (name, value, status, code) in [
        (
            "content-type",
            "text/plain",
            415,
            "unsupported_content_type",
        ),
        (
            "content-encoding",
            "gzip",
            415,
            "unsupported_content_encoding",
        ),
    ] {
        let request = Request::post(CHAT)
            .header("authorization", format!("Bearer {}", gateway.key))
            .header(name, value);
        let answer = connection
            .send(request, chat("x").to_string().into())
            .await
            .expect(name);
        assert_eq!(
            error(answer).await,
            (status, INVALID.into(), code.into(), Value::Null),
            "{name}"
        );
        connection = gateway.connect().await;
    }
    assert_eq!(gateway.engine.stats().prompts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_content_type_is_read_as_json() {
    let gateway = Gateway::plain().await;
    let request = Request::post(CHAT).header("authorization", format!("Bearer {}", gateway.key));
    let answer = gateway
        .connect()
        .await
        .send(request, chat("x").to_string().into())
        .await
        .expect("an answer");
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_preconditions_are_refused_before_the_body_is_read() {
    let gateway = Gateway::plain().await;
    let mut connection = gateway.connect().await;
    let answer = connection.get("/healthz").await.expect("an answer");
    let keyset = answer
        .header("x-aci-keyset-digest")
        .expect("a digest")
        .to_owned();
    answer.bytes().await.expect("a body");
    let other = format!("sha256:{}", "00".repeat(32));
    for (name, value, status, kind) in [
        (
            "x-aci-keyset-digest",
            other.as_str(),
            412,
            "precondition_failed",
        ),
        ("x-aci-keyset-digest", "latest", 400, INVALID),
        ("x-sealgate-retention", "zero", 412, "precondition_failed"),
        ("x-sealgate-retention", "some", 400, INVALID),
    ] {
        let request = post(CHAT, &gateway.key).header(name, value);
        let answer = gateway
            .connect()
            .await
            .send(request, chat("x").to_string().into())
            .await
            .expect(name);
        let (got_status, got_kind, ..) = error(answer).await;
        assert_eq!(
            (got_status, got_kind.as_str()),
            (status, kind),
            "{name}: {value}"
        );
    }
    assert_eq!(gateway.engine.stats().prompts, 0);
    let request = post(CHAT, &gateway.key)
        .header("x-aci-keyset-digest", keyset)
        .header("x-sealgate-retention", "metadata");
    let answer = connection
        .send(request, chat("x").to_string().into())
        .await
        .expect("an answer");
    assert_eq!(answer.status, 200);
}
