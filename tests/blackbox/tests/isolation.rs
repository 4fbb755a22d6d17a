//! Nothing of one tenant's request reaches another's: not through the engine's prefix cache, not through a pooled
//! connection, not by making gateway and engine disagree about where a request ends.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::time::sleep;

use blackbox::asking::{CHAT, chat, error, eventually, next_chunk, streamed};
use blackbox::world::{Alone, MODEL, World};
use testkit::client::Connection;
use testkit::config::{Config, Model};
use testkit::engine::{Engine, Stats};

/// Makes every upstream of a configuration one that takes a salt.
fn salted(mut config: Config) -> Config {
    config.models = config.models.into_iter().map(Model::salted).collect();
    config
}

fn last_request(engine: &Engine) -> Result<Value> {
    let body = engine.last_body().context("no request arrived")?;
    Ok(serde_json::from_slice(&body)?)
}

fn salt(request: &Value) -> Result<String> {
    let salt = request["cache_salt"].as_str();
    Ok(salt
        .with_context(|| format!("no salt: {request}"))?
        .to_owned())
}

/// Sends a chat and returns the salt that the engine received.
async fn salt_of(world: &Alone, key: &str, own: Option<Value>) -> Result<String> {
    let mut request = chat(MODEL, "the same beginning");
    if let Some(own) = own {
        request["cache_salt"] = own;
    }
    let mut connection = world.enclave.connect().await?;
    let answer = connection.post(key, CHAT, &request).await?;
    assert_eq!(answer.status, 200, "{request}");
    answer.bytes().await?;
    salt(&last_request(&world.engine)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_tenant_has_its_own_cache_salt_and_cannot_choose_anothers() -> Result<()> {
    let world = Alone::new("salt", |config, _| salted(config)).await?;
    let again = world.enclave.create_key("tests").await?;
    let other = world.enclave.create_key("other").await?;
    let ours = salt_of(&world, &world.key, None).await?;
    assert_eq!(ours.len(), 43, "32 bytes in base64url: {ours}");
    assert_eq!(
        salt_of(&world, &again, None).await?,
        ours,
        "keys of one tenant share"
    );
    let theirs = salt_of(&world, &other, None).await?;
    assert_ne!(theirs, ours);
    for own in [json!(ours), json!(""), json!(null), json!({"a": 1})] {
        assert_eq!(salt_of(&world, &other, Some(own)).await?, theirs);
    }
    world.enclave.reload().await?;
    assert_ne!(
        salt_of(&world, &world.key, None).await?,
        ours,
        "an epoch has its own secret"
    );

    let mut expected = chat("m", "the same beginning");
    expected["model"] = last_request(&world.engine)?["model"].clone();
    let mut seen = last_request(&world.engine)?;
    seen.as_object_mut()
        .context("an object")?
        .remove("cache_salt");
    assert_eq!(seen, expected, "nothing but the salt was added");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_salt_is_removed_for_an_engine_without_salts() -> Result<()> {
    let world = Alone::new("unsalted", |config, _| config).await?;
    let mut request = chat(MODEL, "hello");
    request["cache_salt"] = json!("chosen by the caller");
    let mut connection = world.enclave.connect().await?;
    let answer = connection.post(&world.key, CHAT, &request).await?;
    assert_eq!(answer.status, 200);
    assert_eq!(last_request(&world.engine)?.get("cache_salt"), None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn client_salts_can_be_refused_and_two_salts_always_are() -> Result<()> {
    let world = Alone::new("salt-refused", |config, _| {
        salted(config).and("[limits]\nclient_cache_salt = \"refuse\"")
    })
    .await?;
    let mut connection = world.enclave.connect().await?;
    for members in [
        "\"cache_salt\":\"mine\"",
        "\"cache_salt\":\"a\",\"cache_salt\":\"b\"",
        "\"Cache_Salt\":\"mine\"",
    ] {
        let body = format!("{{\"model\":\"{MODEL}\",\"messages\":[],{members}}}");
        let refused = error(connection.post_bytes(&world.key, CHAT, body).await?).await?;
        assert_eq!(refused.status, 400, "{members}");
        assert!(refused.message.contains("cache_salt"), "{refused:?}");
    }
    assert_eq!(world.engine.stats().prompts, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enclave_isolates_the_tenants_of_an_aggregator() -> Result<()> {
    let bind = |config| salted(config).and("[limits]\nclient_cache_salt = \"bind\"");
    let world = World::with("salt-chain", bind, |config, _, _| salted(config)).await?;
    let other = world.gateway.create_key("other").await?;
    let mut connection = world.gateway.connect().await?;
    let mut salts = BTreeSet::new();
    for key in [&world.key, &other, &world.key, &other] {
        let answer = connection.post(key, CHAT, &chat(MODEL, "hello")).await?;
        assert_eq!(answer.status, 200);
        answer.bytes().await?;
        salts.insert(salt(&last_request(&world.engine)?)?);
    }
    assert_eq!(salts.len(), 2, "one for each tenant");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reused_connection_carries_nothing_from_one_tenant_to_the_next() -> Result<()> {
    let world = World::new("pool").await?;
    let other = world.gateway.create_key("other").await?;
    let mut tasks = Vec::new();
    for number in 0..24 {
        let key = if number % 2 == 0 { &world.key } else { &other }.clone();
        let mut connection = world.gateway.connect().await?;
        tasks.push(tokio::spawn(async move {
            for round in 0..4 {
                let question = format!("mark-{number}-{round}-ends");
                let mut answer = connection
                    .post(&key, CHAT, &streamed(MODEL, &question))
                    .await?;
                if (number + round) % 5 == 0 {
                    // Gone in the middle of it; what was in flight must not surface elsewhere.
                    next_chunk(&mut answer, "a first chunk").await;
                    return anyhow::Ok(());
                }
                let text = String::from_utf8(answer.bytes().await?)?.replace("\"}", "");
                let foreign = text
                    .match_indices("mark-")
                    .filter(|(at, _)| !text[*at..].starts_with(&format!("mark-{number}-{round}")));
                assert_eq!(foreign.count(), 0, "{question} was answered {text}");
            }
            Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    let Stats { prompts, .. } = world.engine.stats();
    assert!(prompts >= 24, "only {prompts} prompts arrived");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn names_with_header_syntax_do_not_inject_headers() -> Result<()> {
    let world = Alone::new("injection", |config, _| config).await?;
    let mut connection = world.enclave.connect().await?;
    for name in [
        "m\r\nx-injected: 1",
        "sealed-model\r\n\r\nPOST / HTTP/1.1",
        "sealed-model\u{0}",
        "sealed-model\n",
    ] {
        let answer = connection
            .post(&world.key, CHAT, &chat(name, "hello"))
            .await?;
        assert_eq!(answer.header("x-injected"), None);
        assert_eq!(error(answer).await?.status, 404, "{name:?}");
    }
    assert_eq!(world.engine.stats().prompts, 0);

    // A client's own headers stay where they are.
    let request = testkit::client::post(CHAT, &world.key)
        .header("x-tenant", "another tenant")
        .header("x-forwarded-for", "192.0.2.1")
        .header("cookie", "a=b");
    let body = chat(MODEL, "hello").to_string();
    assert_eq!(connection.send(request, body.into()).await?.status, 200);
    let seen = world.engine.last_headers().context("no headers")?;
    for name in ["x-tenant", "x-forwarded-for", "cookie"] {
        assert!(!seen.contains_key(name), "{name}");
    }
    let all = format!("{seen:?}");
    assert!(!all.contains(&world.key), "the caller's key was passed on");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_connections_are_served_and_requests_beyond_the_limit_are_refused() -> Result<()> {
    let world = Alone::new("many", |config, _| {
        config.and("[limits]\nmax_connections = 64")
    })
    .await?;
    let mut held = Vec::new();
    let ask = async |connection: &mut Connection| {
        connection.post(&world.key, CHAT, &chat(MODEL, "hi")).await
    };
    while held.len() < 64 {
        let mut connection = world.enclave.connect().await?;
        let answer = ask(&mut connection).await?;
        if answer.status == 200 {
            answer.bytes().await?;
            held.push(connection);
        } else {
            // A connection of the preparations is not closed yet.
            sleep(Duration::from_millis(20)).await;
        }
    }
    let mut beyond = world.enclave.connect().await?;
    let refused = ask(&mut beyond).await?;
    assert_eq!(refused.header("retry-after"), Some("1"));
    let refused = error(refused).await?;
    assert_eq!(
        (refused.status, refused.code.as_deref()),
        (503, Some("service_overloaded"))
    );
    // Without a key there is nothing to take away from anybody.
    let mut stranger = world.enclave.connect().await?;
    assert_eq!(stranger.get("/readyz").await?.status, 200);
    for connection in &mut held {
        let answer = ask(connection).await?;
        assert_eq!(answer.status, 200);
        answer.bytes().await?;
    }
    held.truncate(32);
    eventually("there is room again", async || {
        let Ok(mut connection) = world.enclave.connect().await else {
            return false;
        };
        ask(&mut connection)
            .await
            .is_ok_and(|answer| answer.status == 200)
    })
    .await;
    Ok(())
}
