//! Rate limits that operators set: what they admit, what their refusals say, and how they are changed.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use blackbox::asking::{CHAT, chat, error, eventually, next_chunk, streamed};
use blackbox::world::{Alone, MODEL};
use testkit::client::{Answer, Connection, TlsClient};
use testkit::service::free_address;

/// Runs `sealgate limits` and returns its exit code and what it said.
async fn limits(world: &Alone, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let mut all = vec!["limits"];
    all.extend(arguments);
    let output = world.enclave.cli(&all).await?;
    let said = String::from_utf8(output.stderr)? + &String::from_utf8(output.stdout)?;
    Ok((output.status.code(), said))
}

async fn set(world: &Alone, arguments: &[&str]) -> Result<()> {
    let mut all = vec!["set"];
    all.extend(arguments);
    let (exit, said) = limits(world, &all).await?;
    anyhow::ensure!(exit == Some(0), "{said}");
    Ok(())
}

/// A service whose administrator can set limits over HTTP.
struct Administered {
    world: Alone,
    address: SocketAddr,
    operator: String,
}

impl Administered {
    async fn new(name: &str) -> Result<Self> {
        let address = free_address()?;
        let listener = format!("[admin]\nlisten = \"{address}\"\n");
        let world = Alone::new(name, |config, _| config.and(&listener)).await?;
        let created = ["admin", "create", "--role", "operator"];
        let output = world.enclave.cli(&created).await?;
        let operator = String::from_utf8(output.stdout)?.trim().to_owned();
        Ok(Self {
            world,
            address,
            operator,
        })
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> Result<Answer> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.operator))
            .header("content-type", "application/json");
        let mut connection = TlsClient::observing().connect(self.address).await?;
        let body = match body.is_null() {
            true => Bytes::new(),
            false => Bytes::from(body.to_string()),
        };
        connection.send(request, body).await
    }

    /// What the one limit of this id counts.
    async fn used(&self, id: &str) -> Result<Value> {
        let listed = self.send("GET", "/admin/v1/limits", &Value::Null).await?;
        let listed = listed.json().await?;
        let all = listed["limits"].as_array().context("limits")?;
        let found = all.iter().find(|limit| limit["id"] == id);
        Ok(found.context("the limit")?["used"].clone())
    }
}

async fn ask(connection: &mut Connection, key: &str) -> Result<Answer> {
    connection.post(key, CHAT, &chat(MODEL, "may I?")).await
}

async fn status(world: &Alone, key: &str) -> Result<u16> {
    let mut connection = world.enclave.connect().await?;
    Ok(ask(&mut connection, key).await?.status.as_u16())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_say_what_is_left_and_refusals_when_to_come_again() -> Result<()> {
    let world = Alone::new("rate-headers", |config, _| config).await?;
    let other = world.enclave.create_key("another").await?;
    let mut connection = world.enclave.connect().await?;
    let free = ask(&mut connection, &world.key).await?;
    assert_eq!(free.header("x-ratelimit-limit-requests"), None);
    free.bytes().await?;

    set(
        &world,
        &[
            "two",
            "--scope",
            "tenant:tests",
            "--requests-per-minute",
            "2",
        ],
    )
    .await?;
    for left in ["1", "0"] {
        let answer = ask(&mut connection, &world.key).await?;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("2"));
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some(left));
        assert_eq!(answer.header("x-ratelimit-limit-tokens"), None);
        answer.bytes().await?;
    }
    let refused = ask(&mut connection, &world.key).await?;
    let after: u64 = refused
        .header("retry-after")
        .context("retry-after")?
        .parse()?;
    assert!((50..=62).contains(&after), "{after}");
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), Some("0"));
    let reset = refused
        .header("x-ratelimit-reset-requests")
        .context("reset")?;
    assert!(reset.ends_with('s'), "{reset}");
    let refused = error(refused).await?;
    assert_eq!(
        (
            refused.status,
            refused.kind.as_str(),
            refused.code.as_deref()
        ),
        (429, "requests", Some("rate_limit_exceeded"))
    );
    assert_eq!(
        refused.message,
        "The limit two of requests per minute is reached. The request was not forwarded."
    );
    assert_eq!(status(&world, &other).await?, 200, "another tenant");
    assert_eq!(
        world.engine.stats().prompts,
        4,
        "what is refused is not forwarded"
    );

    set(
        &world,
        &[
            "two",
            "--scope",
            "tenant:tests",
            "--requests-per-minute",
            "3",
        ],
    )
    .await?;
    assert_eq!(
        status(&world, &world.key).await?,
        200,
        "a change is active at once"
    );
    assert_eq!(
        status(&world, &world.key).await?,
        429,
        "and keeps what was counted"
    );
    let (exit, said) = limits(&world, &["remove", "two"]).await?;
    assert_eq!((exit, said.as_str()), (Some(0), "Removed limit two.\n"));
    assert_eq!(status(&world, &world.key).await?, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_requests_that_race_get_exactly_what_the_limit_allows() -> Result<()> {
    const CONNECTIONS: usize = 50;
    const EACH: usize = 20;
    const ALLOWED: usize = 300;
    let world = Arc::new(Alone::new("rate-race", |config, _| config).await?);
    let count = ALLOWED.to_string();
    set(
        &world,
        &["race", "--scope", "total", "--requests-per-hour", &count],
    )
    .await?;
    // Collected, so that all of them run before one is awaited.
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                let mut connection = world.enclave.connect().await?;
                let mut admitted = 0;
                for _ in 0..EACH {
                    let answer = ask(&mut connection, &world.key).await?;
                    admitted += usize::from(answer.status == 200);
                    answer.bytes().await?;
                }
                anyhow::Ok(admitted)
            })
        })
        .collect();
    let mut admitted = 0;
    for client in clients {
        admitted += client.await??;
    }
    println!(
        "{} requests on {CONNECTIONS} connections, {ALLOWED} allowed, {admitted} admitted",
        CONNECTIONS * EACH
    );
    assert_eq!(admitted, ALLOWED);
    assert_eq!(world.engine.stats().prompts, ALLOWED as u64);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_reserved_before_a_request_and_corrected_after_it() -> Result<()> {
    let admin = Administered::new("rate-tokens").await?;
    let limit = json!({"scope": "tenant:tests", "tokens_per_hour": 2000});
    let path = "/admin/v1/limits/tokens";
    let answer = admin.send("PUT", path, &limit).await?;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json().await?,
        json!({"id": "tokens", "scope": "tenant:tests", "tokens_per_hour": 2000})
    );
    let world = &admin.world;
    let mut connection = world.enclave.connect().await?;
    let mut body = chat(MODEL, "count me");
    body["max_tokens"] = json!(1500);
    let answer = connection.post(&world.key, CHAT, &body).await?;
    assert_eq!(answer.header("x-ratelimit-limit-tokens"), Some("2000"));
    let left: u64 = answer
        .header("x-ratelimit-remaining-tokens")
        .context("what is left")?
        .parse()?;
    assert!(left < 500, "the estimate is taken: {left}");
    let usage = answer.json().await?["usage"]["total_tokens"].clone();
    // Settled with the usage row, at the end of the answer.
    eventually("the estimate is corrected", async || {
        admin
            .used("tokens")
            .await
            .is_ok_and(|used| used["tokens_per_hour"] == usage)
    })
    .await;

    // Without a limit of its output, the request may use more than there is.
    let refused = connection
        .post(&world.key, CHAT, &chat(MODEL, "and me"))
        .await?;
    let refused = error(refused).await?;
    assert_eq!((refused.status, refused.kind.as_str()), (429, "tokens"));
    body["max_tokens"] = json!("12");
    let refused = connection.post(&world.key, CHAT, &body).await?;
    let refused = error(refused).await?;
    assert_eq!(
        (refused.status, refused.param.as_deref()),
        (400, Some("max_completion_tokens"))
    );
    let used = admin.used("tokens").await?;
    assert_eq!(used["tokens_per_hour"], usage, "refusals cost no tokens");
    assert_eq!(used["concurrent"], 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_its_client_leaves_is_charged_what_was_relayed() -> Result<()> {
    let admin = Administered::new("rate-abort").await?;
    let limit = json!({"scope": "total", "tokens_per_day": 100_000, "concurrent": 1});
    admin.send("PUT", "/admin/v1/limits/day", &limit).await?;
    let world = &admin.world;
    let stepper = world.engine.stepping();
    let mut connection = world.enclave.connect().await?;
    let mut body = streamed(MODEL, "a long answer, please");
    body["max_tokens"] = json!(5000);
    let mut answer = connection.post(&world.key, CHAT, &body).await?;
    stepper.release(3);
    for _ in 0..2 {
        next_chunk(&mut answer, "a chunk")
            .await
            .context("a chunk")?;
    }
    assert_eq!(status(world, &world.key).await?, 429, "one at a time");
    let before = admin.used("day").await?["tokens_per_day"].as_u64();
    assert!(before.is_some_and(|used| used > 5000), "{before:?}");
    drop((answer, connection));
    eventually("the place and the tokens are given back", async || {
        let Ok(used) = admin.used("day").await else {
            return false;
        };
        let tokens = used["tokens_per_day"].as_u64();
        used["concurrent"] == 0 && tokens.is_some_and(|tokens| tokens > 0 && tokens < 100)
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_that_make_no_sense_are_refused_with_the_member_at_fault() -> Result<()> {
    let admin = Administered::new("rate-bad").await?;
    let path = "/admin/v1/limits/bad";
    for (limit, param) in [
        (json!({"scope": "total"}), None),
        (json!({"scope": "team:a", "concurrent": 1}), Some("scope")),
        (
            json!({"scope": "total", "concurrent": -1}),
            Some("concurrent"),
        ),
        (
            json!({"scope": "total", "tokens_per_day": 2_000_000_000_000u64}),
            Some("tokens_per_day"),
        ),
        (
            json!({"scope": "total", "requests_per_minute": 9, "requests_per_hour": 8}),
            Some("requests_per_hour"),
        ),
    ] {
        let refused = error(admin.send("PUT", path, &limit).await?).await?;
        assert_eq!(
            (refused.status, refused.param.as_deref()),
            (400, param),
            "{limit}"
        );
    }
    for limit in [
        json!({"scope": "total", "concurrent": 1.5}),
        json!({"scope": "total", "concurrent": 1, "burst": 5}),
        json!({"concurrent": 1}),
        json!([]),
    ] {
        assert_eq!(
            admin.send("PUT", path, &limit).await?.status,
            400,
            "{limit}"
        );
    }
    let unknown = json!({"scope": "total", "concurrent": 1, "burst": 5});
    let refused = error(admin.send("PUT", path, &unknown).await?).await?;
    assert!(refused.message.contains("\"burst\""), "{}", refused.message);
    let missing = admin.send("DELETE", path, &Value::Null).await?;
    assert_eq!(missing.status, 404);
    let world = &admin.world;
    for arguments in [
        &["set", "bad", "--scope", "total"][..],
        &["set", "bad", "--scope", "total", "--concurrent", "0"],
        &["remove", "bad"],
    ] {
        let (exit, said) = limits(world, arguments).await?;
        assert_eq!((exit, said.lines().count()), (Some(2), 1), "{said}");
    }
    let (_, listed) = limits(world, &["list"]).await?;
    assert!(!listed.contains("bad"), "{listed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_changed_member_by_member() -> Result<()> {
    let admin = Administered::new("rate-change").await?;
    let path = "/admin/v1/limits/all";
    let absent = admin.send("GET", path, &Value::Null).await?;
    assert_eq!(absent.status, 404);
    let change = json!({"concurrent": 3});
    assert_eq!(admin.send("PATCH", path, &change).await?.status, 404);
    let limit = json!({"scope": "total", "requests_per_day": 1, "requests_per_hour": 1});
    assert_eq!(admin.send("PUT", path, &limit).await?.status, 200);
    let world = &admin.world;
    assert_eq!(status(world, &world.key).await?, 200);
    assert_eq!(status(world, &world.key).await?, 429);
    let change = json!({"requests_per_day": 2, "requests_per_hour": null, "concurrent": 3});
    let changed = admin.send("PATCH", path, &change).await?;
    assert_eq!(changed.status, 200);
    assert_eq!(
        changed.json().await?,
        json!({"id": "all", "scope": "total", "requests_per_day": 2, "concurrent": 3})
    );
    assert_eq!(status(world, &world.key).await?, 200);
    let shown = admin.send("GET", path, &Value::Null).await?;
    let shown = shown.json().await?;
    assert_eq!(
        (&shown["used"]["requests_per_day"], &shown["refused"]),
        (&json!(2), &json!(1))
    );
    for bad in [
        json!({}),
        json!({"requests_per_day": 0}),
        json!({"burst": 1}),
    ] {
        let refused = admin.send("PATCH", path, &bad).await?;
        assert_eq!(refused.status, 400, "{bad}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_counted_by_scope_and_reason() -> Result<()> {
    let metrics = free_address()?;
    let listener = format!("[metrics]\nlisten = \"{metrics}\"\n");
    let world = Alone::new("rate-metric", |config, _| config.and(&listener)).await?;
    let two = ["two", "--scope", "tenant:tests", "--requests-per-hour", "2"];
    set(&world, &two).await?;
    for expected in [200, 200, 429, 429] {
        assert_eq!(status(&world, &world.key).await?, expected);
    }
    let mut connection = Connection::plain(metrics).await?;
    let text = connection.get("/metrics").await?.bytes().await?;
    let text = String::from_utf8(text)?;
    let sample = "sealgate_limit_refusals_total{scope=\"tenant\",reason=\"requests\"} 2";
    assert!(text.lines().any(|line| line == sample), "{text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_survives_a_restart_and_its_change_is_in_the_audit_log() -> Result<()> {
    let mut admin = Administered::new("rate-restart").await?;
    let limit =
        json!({"scope": "tenant:tests", "model": MODEL, "concurrent": 4, "requests_per_day": 1});
    admin
        .send("PUT", "/admin/v1/limits/one%2Fday", &limit)
        .await?;
    assert_eq!(status(&admin.world, &admin.world.key).await?, 200);
    assert_eq!(status(&admin.world, &admin.world.key).await?, 429);
    admin.world.enclave.restart().await?;
    let listed = admin.send("GET", "/admin/v1/limits", &Value::Null).await?;
    let listed = listed.json().await?;
    assert_eq!(listed["limits"][0]["id"], "one/day");
    assert_eq!(listed["limits"][0]["used"]["requests_per_day"], 0);
    assert_eq!(
        status(&admin.world, &admin.world.key).await?,
        200,
        "counters begin again"
    );
    let log = admin
        .send("GET", "/admin/v1/log", &Value::Null)
        .await?
        .json()
        .await?;
    let log = log.to_string();
    assert!(
        log.contains("limit.set") && log.contains("limit one/day of tenant:tests"),
        "{log}"
    );
    Ok(())
}
