//! Malformed requests, refused with errors in OpenAI's format before they reach an engine.

use anyhow::Result;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use blackbox::asking::{CHAT, TIMEOUT, chat, error, eventually};
use blackbox::world::{Alone, MODEL};
use testkit::client::TlsClient;
use testkit::config::Model;
use testkit::engine::Script;

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_request_is_refused_with_400() -> Result<()> {
    let world = Alone::new("bodies", |config, _| config).await?;
    let mut connection = world.enclave.connect().await?;
    for body in [
        "",
        "not json",
        "[]",
        "null",
        "\"text\"",
        "{}",
        "{\"model\":7,\"messages\":[]}",
        "{\"model\":\"sealed-model\",\"messages\":[]",
        "{\"model\":\"sealed-model\"} trailing",
        "{\"model\":\"sealed-model\",\"model\":\"other\"}",
        "{\"model\":\"sealed-model\",\"stream\":\"yes\"}",
        "{\"model\":\"sealed-model\",\"provider\":\"acme\"}",
        "{\"model\":\"sealed-model\",\"provider\":{\"aci_unheard_of\":1}}",
    ] {
        let answer = connection.post_bytes(&world.key, CHAT, body).await?;
        let refused = error(answer).await?;
        assert_eq!(
            (refused.status, refused.kind.as_str()),
            (400, "invalid_request_error"),
            "{body}"
        );
    }
    assert_eq!(world.engine.stats().prompts, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_model_and_an_unknown_path_are_404_and_a_wrong_method_405() -> Result<()> {
    let world = Alone::new("unknown", |config, _| config).await?;
    let mut connection = world.enclave.connect().await?;
    let unknown = connection
        .post(&world.key, CHAT, &chat("no-such-model", "hi"))
        .await?;
    let unknown = error(unknown).await?;
    assert_eq!(
        (unknown.status, unknown.code.as_deref()),
        (404, Some("model_not_found"))
    );
    assert!(
        !unknown.message.contains("no-such-model"),
        "it repeats what the caller said"
    );
    let nowhere = connection
        .post(&world.key, "/v1/nowhere", &json!({}))
        .await?;
    assert_eq!(error(nowhere).await?.status, 404);
    let wrong = connection.get_as(&world.key, CHAT).await?;
    assert_eq!(wrong.header("allow"), Some("POST"));
    assert_eq!(error(wrong).await?.status, 405);
    assert_eq!(world.engine.stats().prompts, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_413_whether_announced_or_not() -> Result<()> {
    let world = Alone::new("too-large", |config, _| {
        config.and("[limits]\nmax_body = \"64KiB\"")
    })
    .await?;
    let large = chat(MODEL, &"x".repeat(80 << 10)).to_string();
    let mut connection = world.enclave.connect().await?;
    let refused = error(
        connection
            .post_bytes(&world.key, CHAT, large.clone())
            .await?,
    )
    .await?;
    assert_eq!(refused.status, 413);

    let mut raw = TlsClient::observing().raw(world.enclave.address()).await?;
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        world.key
    );
    raw.write_all(head.as_bytes()).await?;
    let chunk = format!("{:x}\r\n{large}\r\n", large.len());
    // The gateway may answer and stop reading before all of it is written.
    let _ = raw.write_all(chunk.as_bytes()).await;
    let mut status = [0; 12];
    timeout(TIMEOUT, raw.read_exact(&mut status)).await??;
    assert_eq!(&status, b"HTTP/1.1 413");

    let mut connection = world.enclave.connect().await?;
    let fits = chat(MODEL, &"x".repeat(32 << 10));
    assert_eq!(connection.post(&world.key, CHAT, &fits).await?.status, 200);
    assert_eq!(world.engine.stats().prompts, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn engine_errors_are_mapped_without_their_text() -> Result<()> {
    let world = Alone::new("mapped", |config, engine| {
        [
            "fail-400", "fail-401", "fail-429", "fail-500", "fail-503", "garbage",
        ]
        .into_iter()
        .fold(config, |config, name| {
            config.serving(Model::confidential(name, engine.base_url()))
        })
    })
    .await?;
    world.engine.script(
        "garbage",
        Script::json(418, "<html>canary-in-the-error</html>"),
    );
    let mut connection = world.enclave.connect().await?;
    for (model, expected) in [
        ("fail-400", 400),
        ("fail-401", 424),
        ("fail-429", 429),
        ("fail-500", 502),
        ("fail-503", 503),
        ("garbage", 424),
    ] {
        let answer = connection
            .post(&world.key, CHAT, &chat(model, "canary-in-the-error"))
            .await?;
        assert!(answer.header("x-receipt-id").is_some(), "{model}");
        let refused = error(answer).await?;
        assert_eq!(refused.status, expected, "{model}");
        assert!(
            !refused.message.contains("canary-in-the-error"),
            "{model}: {}",
            refused.message
        );
        assert!(
            !refused.message.contains("demo-engine"),
            "{model}: {}",
            refused.message
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_embeddings_and_models_are_served_too() -> Result<()> {
    let world = Alone::new("endpoints", |config, engine| {
        config.serving(Model::confidential("demo-embed", engine.base_url()))
    })
    .await?;
    let mut connection = world.enclave.connect().await?;
    let request = json!({"model": MODEL, "prompt": "Once"});
    let completed = connection
        .post(&world.key, "/v1/completions", &request)
        .await?
        .json()
        .await?;
    assert_eq!(completed["object"], "text_completion");
    let request = json!({"model": "demo-embed", "input": "Once"});
    let embedded = connection
        .post(&world.key, "/v1/embeddings", &request)
        .await?
        .json()
        .await?;
    assert_eq!(
        embedded["data"][0]["embedding"].as_array().map(Vec::len),
        Some(64)
    );
    let models = connection
        .get_as(&world.key, "/v1/models")
        .await?
        .json()
        .await?;
    let ids: Vec<_> = models["data"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|m| &m["id"])
        .collect();
    assert!(
        ids.contains(&&json!(MODEL)) && ids.contains(&&json!("demo-embed")),
        "{models}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_never_answers_is_504() -> Result<()> {
    let world = Alone::new("timeouts", |config, engine| {
        config
            .serving(Model::confidential("hang", engine.base_url()))
            .and("[timeouts]\nfirst_byte = \"1s\"")
    })
    .await?;
    let mut connection = world.enclave.connect().await?;
    let answer = timeout(
        TIMEOUT,
        connection.post(&world.key, CHAT, &chat("hang", "hm")),
    )
    .await??;
    let refused = error(answer).await?;
    assert_eq!(
        (refused.status, refused.code.as_deref()),
        (504, Some("upstream_timeout"))
    );
    eventually("the engine sees the disconnect", async || {
        world.engine.stats().hang_ups == 1
    })
    .await;
    Ok(())
}
