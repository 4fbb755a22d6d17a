//! What an API key may be used for: models, endpoints, networks, verified upstreams, retention; when it ends; and how it is
//! blocked and replaced.

use anyhow::{Context, Result};
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use blackbox::asking::{CHAT, chat, error};
use blackbox::world::{Alone, MODEL, gateway_trusting, start, trusting_directory};
use testkit::client::{Answer, Connection, TlsClient};
use testkit::config::Model;
use testkit::engine::{CHAT_MODEL, Engine};
use testkit::service::free_address;

/// Creates a key on the command line.
async fn key_with(world: &Alone, rights: &[&str]) -> Result<String> {
    let mut arguments = vec!["keys", "create", "--tenant", "acme"];
    arguments.extend(rights);
    let output = world.enclave.cli(&arguments).await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(output.status.success(), "{said}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn id_of(key: &str) -> Result<&str> {
    key.split('-').nth(2).context("an id")
}

/// Runs a command and returns its exit code and what it said.
async fn keys(world: &Alone, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let mut all = vec!["keys"];
    all.extend(arguments);
    let output = world.enclave.cli(&all).await?;
    Ok((
        output.status.code(),
        String::from_utf8(output.stderr)? + &String::from_utf8(output.stdout)?,
    ))
}

async fn refusal(answer: Answer) -> Result<(u16, Option<String>)> {
    let refused = error(answer).await?;
    Ok((refused.status, refused.code))
}

/// Status and error code of a question with this key.
async fn ask(world: &Alone, key: &str) -> Result<(u16, Option<String>)> {
    ask_at(world, key, CHAT, &chat(MODEL, "may I?")).await
}

async fn ask_at(
    world: &Alone,
    key: &str,
    path: &str,
    body: &Value,
) -> Result<(u16, Option<String>)> {
    let mut connection = world.enclave.connect().await?;
    let answer = connection.post(key, path, body).await?;
    match answer.status.as_u16() {
        200 => Ok((200, None)),
        _ => refusal(answer).await,
    }
}

fn code(status: u16, code: &str) -> (u16, Option<String>) {
    (status, Some(code.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_refused_for_other_models_endpoints_and_networks_than_its_own() -> Result<()> {
    let world = Alone::new("key-rights", |config, _| config).await?;
    let prefix = format!("{}*", &MODEL[..2]);
    let key = key_with(
        &world,
        &[
            "--model",
            &prefix,
            "--endpoint",
            "chat",
            "--network",
            "127.0.0.0/8",
            "--network",
            "::1",
        ],
    )
    .await?;
    assert_eq!(ask(&world, &key).await?, (200, None));
    let other = chat("another-model", "may I?");
    let forbidden = code(403, "model_not_allowed");
    assert_eq!(ask_at(&world, &key, CHAT, &other).await?, forbidden);
    let embed = json!({"model": MODEL, "input": "may I?"});
    let forbidden = code(403, "endpoint_not_allowed");
    assert_eq!(
        ask_at(&world, &key, "/v1/embeddings", &embed).await?,
        forbidden
    );

    let elsewhere = key_with(&world, &["--network", "192.0.2.0/24"]).await?;
    let forbidden = code(403, "network_not_allowed");
    assert_eq!(ask(&world, &elsewhere).await?, forbidden);
    let mut connection = world.enclave.connect().await?;
    let listed = connection.get_as(&elsewhere, "/v1/models").await?;
    assert_eq!(refusal(listed).await?, forbidden);
    assert_eq!(
        world.engine.stats().prompts,
        1,
        "nothing refused was forwarded"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_models_shows_what_the_key_may_use() -> Result<()> {
    let world = Alone::new("key-models", |config, _| config).await?;
    let all = key_with(&world, &[]).await?;
    let none = key_with(&world, &["--model", "another-*"]).await?;
    let mut connection = world.enclave.connect().await?;
    for (key, shown) in [(&all, 1), (&none, 0)] {
        let models = connection.get_as(key, "/v1/models").await?.json().await?;
        let named = models["data"].as_array().context("data")?;
        let named = named.iter().filter(|model| model["id"] == MODEL).count();
        assert_eq!(named, shown, "{models}");
        let one = connection
            .get_as(key, &format!("/v1/models/{MODEL}"))
            .await?;
        assert_eq!(one.status.as_u16(), if shown == 1 { 200 } else { 404 });
        one.bytes().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_accepted_in_x_api_key_as_in_authorization() -> Result<()> {
    let world = Alone::new("key-header", |config, _| config).await?;
    let body = Bytes::from(chat(MODEL, "may I?").to_string());
    let other = key_with(&world, &[]).await?;
    let bearer = format!("Bearer {}", world.key);
    for (headers, expected) in [
        (vec![("x-api-key", world.key.as_str())], (200, None)),
        (
            vec![
                ("x-api-key", world.key.as_str()),
                ("authorization", &bearer),
            ],
            (200, None),
        ),
        (
            vec![("x-api-key", other.as_str()), ("authorization", &bearer)],
            code(401, "invalid_api_key"),
        ),
        (
            vec![("x-api-key", "sk-wrong")],
            code(401, "invalid_api_key"),
        ),
    ] {
        let mut request = Request::builder()
            .method("POST")
            .uri(CHAT)
            .header("content-type", "application/json");
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        let mut connection = world.enclave.connect().await?;
        let answer = connection.send(request, body.clone()).await?;
        let found = match answer.status.as_u16() {
            200 => (200, None),
            _ => refusal(answer).await?,
        };
        assert_eq!(found, expected, "{headers:?}");
    }
    // The key is not passed on.
    let sent = world.engine.stats();
    assert_eq!(sent.prompts, 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_expires_and_a_blocked_key_is_refused_until_it_is_unblocked() -> Result<()> {
    let world = Alone::new("key-expiry", |config, _| config).await?;
    let short = key_with(&world, &["--expires", "2s"]).await?;
    assert_eq!(ask(&world, &short).await?, (200, None));
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(ask(&world, &short).await?, code(401, "key_expired"));
    let (exit, listed) = keys(&world, &["list"]).await?;
    assert_eq!(exit, Some(0));
    let line = listed.lines().find(|line| line.contains("expired"));
    assert!(
        line.is_some_and(|line| line.contains("expires=")),
        "{listed}"
    );
    // It can be given more time.
    let (exit, said) = keys(&world, &["change", id_of(&short)?, "--expires", "never"]).await?;
    assert_eq!(exit, Some(0), "{said}");
    assert_eq!(ask(&world, &short).await?, (200, None));

    let id = id_of(&world.key)?;
    let (exit, said) = keys(&world, &["block", id]).await?;
    assert_eq!(exit, Some(0), "{said}");
    assert_eq!(ask(&world, &world.key).await?, code(403, "key_blocked"));
    let (exit, said) = keys(&world, &["unblock", id]).await?;
    assert_eq!(exit, Some(0), "{said}");
    assert_eq!(ask(&world, &world.key).await?, (200, None));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_is_accepted_beside_its_replacement_until_the_overlap_is_over() -> Result<()>
{
    let world = Alone::new("key-rotation", |config, _| config).await?;
    let old = key_with(&world, &["--endpoint", "chat"]).await?;
    let output = world
        .enclave
        .cli(&["keys", "rotate", id_of(&old)?, "--overlap", "3s"])
        .await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && said.contains("replaces"),
        "{said}"
    );
    let new = String::from_utf8(output.stdout)?.trim().to_owned();
    assert_eq!(ask(&world, &new).await?, (200, None));
    assert_eq!(ask(&world, &old).await?, (200, None), "within the overlap");
    let embed = json!({"model": MODEL, "input": "may I?"});
    let refused = ask_at(&world, &new, "/v1/embeddings", &embed).await?;
    assert_eq!(
        refused,
        code(403, "endpoint_not_allowed"),
        "with its restrictions"
    );
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    assert_eq!(ask(&world, &old).await?, code(401, "key_expired"));
    assert_eq!(ask(&world, &new).await?, (200, None));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_can_allow_less_retention_than_the_policy_keeps() -> Result<()> {
    let world = Alone::new("key-retention", |config, _| config).await?;
    let strict = key_with(&world, &["--retention", "zero"]).await?;
    let refused = ask(&world, &strict).await?;
    assert_eq!(refused, code(403, "key_retention_exceeded"));
    let fits = key_with(&world, &["--retention", "metadata"]).await?;
    assert_eq!(ask(&world, &fits).await?, (200, None));
    assert_eq!(world.engine.stats().prompts, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_for_verified_upstreams_only_never_reaches_an_unverified_one() -> Result<()> {
    let directory = trusting_directory("key-verified")?;
    let engine = Engine::start().await?;
    let plain = Model::plain("plain", engine.base_url()).known_upstream_as(CHAT_MODEL);
    let config = gateway_trusting(&directory, "enclave")?.serving(plain);
    let gateway = start(&directory, "gateway", config).await?;
    let created = gateway
        .cli(&["keys", "create", "--tenant", "acme", "--verified-only"])
        .await?;
    anyhow::ensure!(created.status.success(), "{created:?}");
    let strict = String::from_utf8(created.stdout)?.trim().to_owned();
    let free = gateway.create_key("acme").await?;
    let mut connection = gateway.connect().await?;
    let question = chat("plain", "to a verified upstream only");
    let refused = error(connection.post(&strict, CHAT, &question).await?).await?;
    assert_eq!(
        (refused.status, refused.kind.as_str()),
        (503, "upstream_verification_failed")
    );
    assert_eq!(engine.stats().prompts, 0);
    assert_eq!(connection.post(&free, CHAT, &question).await?.status, 200);
    for (key, shown) in [(&strict, 0), (&free, 1)] {
        let mut connection = gateway.connect().await?;
        let models = connection.get_as(key, "/v1/models").await?.json().await?;
        assert_eq!(
            models["data"].as_array().map(Vec::len),
            Some(shown),
            "{models}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_restrictions_are_refused_by_the_command_line_with_exit_code_2() -> Result<()> {
    let world = Alone::new("key-bad-rights", |config, _| config).await?;
    for (arguments, named) in [
        (vec!["--model", "a b"], "models: entry 1"),
        (vec!["--endpoint", "images"], "endpoints: entry 1"),
        (vec!["--network", "10.0.0.1/8"], "networks: entry 1"),
        (vec!["--model", "a", "--model", "*"], "must stand alone"),
        (vec!["--retention", "none"], "retention must be"),
        (vec!["--expires", "yesterday"], "is not a time"),
        (
            vec!["--expires", "2020-01-01T00:00:00Z"],
            "not in the future",
        ),
    ] {
        let mut all = vec!["create", "--tenant", "acme"];
        all.extend(&arguments);
        let (exit, said) = keys(&world, &all).await?;
        assert_eq!(exit, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(named), "{arguments:?}: {said}");
    }
    let (exit, said) = keys(&world, &["change", id_of(&world.key)?]).await?;
    assert_eq!(exit, Some(2), "{said}");
    let (exit, said) = keys(&world, &["block", "000000000000"]).await?;
    assert_eq!(exit, Some(2), "{said}");
    Ok(())
}

/// A service with an admin listener, and an operator's connection to it.
async fn administered(name: &str) -> Result<(Alone, Connection, String)> {
    let address = free_address()?;
    let listener = format!("[admin]\nlisten = \"{address}\"");
    let world = Alone::new(name, |config, _| config.and(&listener)).await?;
    let output = world
        .enclave
        .cli(&["admin", "create", "--role", "operator"])
        .await?;
    let operator = String::from_utf8(output.stdout)?.trim().to_owned();
    let admin = TlsClient::observing().connect(address).await?;
    Ok((world, admin, operator))
}

async fn patch(admin: &mut Connection, operator: &str, id: &str, change: &Value) -> Result<Answer> {
    let request = Request::builder()
        .method("PATCH")
        .uri(format!("/admin/v1/keys/{id}"))
        .header("authorization", format!("Bearer {operator}"))
        .header("content-type", "application/json");
    admin.send(request, Bytes::from(change.to_string())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_creates_changes_and_rotates_restricted_keys_over_the_admin_api() -> Result<()>
{
    let (world, mut admin, operator) = administered("key-rights-api").await?;
    let wanted = json!({
        "tenant": "acme", "expires_at": "1h",
        "restrictions": {"models": ["other-*"], "endpoints": ["chat", "embeddings"]},
    });
    let created = admin.post(&operator, "/admin/v1/keys", &wanted).await?;
    assert_eq!(created.status, 201);
    let created = created.json().await?;
    let key = created["key"].as_str().context("a key")?.to_owned();
    let id = created["id"].as_str().context("an id")?.to_owned();
    assert!(created["expires_at"].is_string(), "{created}");
    assert_eq!(ask(&world, &key).await?, code(403, "model_not_allowed"));

    // The next request after the answer is checked against the change.
    let change = json!({"restrictions": {"models": ["*"]}, "expires_at": "never", "name": "ci"});
    let changed = patch(&mut admin, &operator, &id, &change).await?;
    assert_eq!(changed.status, 200);
    let changed = changed.json().await?;
    assert_eq!(
        (
            &changed["models"],
            &changed["endpoints"],
            &changed["expires_at"],
            &changed["name"]
        ),
        (
            &json!(["*"]),
            &json!(["chat", "embeddings"]),
            &Value::Null,
            &json!("ci")
        )
    );
    assert_eq!(ask(&world, &key).await?, (200, None));
    let blocked = patch(&mut admin, &operator, &id, &json!({"blocked": true})).await?;
    assert_eq!(blocked.status, 200);
    assert_eq!(ask(&world, &key).await?, code(403, "key_blocked"));

    let path = format!("/admin/v1/keys/{id}/rotate");
    let rotated = admin
        .post(&operator, &path, &json!({"overlap": "0s"}))
        .await?;
    assert_eq!(rotated.status, 201);
    let rotated = rotated.json().await?;
    let new = rotated["key"].as_str().context("a key")?;
    assert_eq!(ask(&world, new).await?, (200, None));
    assert_eq!(ask(&world, &key).await?, code(401, "key_expired"));
    let listed = admin
        .get_as(&operator, "/admin/v1/keys")
        .await?
        .json()
        .await?;
    let rows = listed["keys"].as_array().context("keys")?;
    let row = rows
        .iter()
        .find(|row| row["replaces"] == id)
        .context("the new key")?;
    assert_eq!(
        (&row["endpoints"], &row["name"]),
        (&json!(["chat", "embeddings"]), &json!("ci"))
    );

    for (change, param) in [
        (json!({"restrictions": {"models": []}}), "models"),
        (
            json!({"restrictions": {"networks": ["10.0.0.1/8"]}}),
            "networks",
        ),
        (json!({"restrictions": {"retention": "none"}}), "retention"),
        (json!({"expires_at": "yesterday"}), "expires_at"),
        (json!({"name": "a b"}), "name"),
    ] {
        let refused = error(patch(&mut admin, &operator, &id, &change).await?).await?;
        assert_eq!(
            (refused.status, refused.param.as_deref()),
            (400, Some(param)),
            "{change}"
        );
    }
    for change in [
        json!({}),
        json!({"tenant": "zeta"}),
        json!({"restrictions": {"model": []}}),
        json!({"restrictions": []}),
        json!(["ci"]),
    ] {
        let refused = patch(&mut admin, &operator, &id, &change).await?;
        assert_eq!(error(refused).await?.status, 400, "{change}");
    }
    let missing = patch(
        &mut admin,
        &operator,
        "000000000000",
        &json!({"blocked": true}),
    )
    .await?;
    assert_eq!(error(missing).await?.status, 404);
    Ok(())
}
