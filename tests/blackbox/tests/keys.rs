//! API keys: created, listed and revoked on the command line and by administrators, and only their digests kept.

use anyhow::{Context, Result};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use attest_core::{Event, Receipt};
use blackbox::asking::{CHAT, TIMEOUT, chat, error, next_chunk, receipt, streamed};
use blackbox::world::{Alone, MODEL};
use testkit::client::{TlsClient, post};
use testkit::service::free_address;

/// The id of a key.
fn id_of(key: &str) -> Result<&str> {
    key.split('-').nth(2).context("an id")
}

async fn revoke(world: &Alone, key: &str) -> Result<()> {
    let output = world.enclave.cli(&["keys", "revoke", id_of(key)?]).await?;
    anyhow::ensure!(output.status.success(), "{output:?}");
    Ok(())
}

async fn list(world: &Alone) -> Result<String> {
    let output = world.enclave.cli(&["keys", "list"]).await?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

async fn status_with(world: &Alone, key: &str) -> Result<u16> {
    let mut connection = world.enclave.connect().await?;
    Ok(connection
        .post(key, CHAT, &chat(MODEL, "may I?"))
        .await?
        .status
        .as_u16())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_works_until_it_is_revoked_and_is_never_shown_again() -> Result<()> {
    let world = Alone::new("keys", |config, _| config).await?;
    let key = world.enclave.create_key("acme").await?;
    let other = world.enclave.create_key("zeta").await?;
    assert_ne!(key, other);
    assert_eq!(status_with(&world, &key).await?, 200);

    let listed = list(&world).await?;
    assert!(
        listed.contains("acme") && listed.contains("zeta"),
        "{listed}"
    );
    assert!(!listed.contains(&key) && !listed.contains(&other));
    let line = listed
        .lines()
        .find(|line| line.contains("acme"))
        .context("acme is not listed")?;
    let id = line.split_whitespace().next().context("an empty line")?;
    assert!(
        !key.contains(id) || id.len() < 16,
        "the id gives much of the key away"
    );

    let output = world.enclave.cli(&["keys", "revoke", id]).await?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // The command has ended: there is nothing more to wait for.
    assert_eq!(status_with(&world, &key).await?, 401);
    assert_eq!(status_with(&world, &other).await?, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_directory_holds_no_key() -> Result<()> {
    let world = Alone::new("digests", |config, _| config).await?;
    // The first part is the id, which is kept and listed; the last characters are secret.
    let secret = &world.key.as_bytes()[world.key.len() - 24..];
    let state = world.enclave.directory().join("state");
    for file in files(&state)? {
        let bytes = std::fs::read(&file)?;
        let found = bytes.windows(secret.len()).any(|window| window == secret);
        assert!(!found, "{} holds the key", file.display());
    }
    Ok(())
}

fn files(directory: &std::path::Path) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?)
        } else {
            found.push(path)
        }
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_and_wrong_keys_are_refused_as_openai_refuses_them() -> Result<()> {
    let world = Alone::new("unauthorised", |config, _| config).await?;
    let mut connection = world.enclave.connect().await?;
    let body = chat(MODEL, "let me in");
    let almost = format!("{}x", world.key);
    for key in ["", "sk-wrong", "Bearer", &almost, &world.key.to_uppercase()] {
        let refused = error(connection.post(key, CHAT, &body).await?).await?;
        assert_eq!(
            (refused.status, refused.kind.as_str()),
            (401, "invalid_request_error"),
            "{key}"
        );
        assert!(!refused.message.contains("let me in"));
    }
    assert_eq!(world.engine.stats().prompts, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_commands_return_once_the_service_has_applied_the_change() -> Result<()> {
    let world = Alone::new("keys-at-once", |config, _| config).await?;
    for _ in 0..3 {
        let output = world
            .enclave
            .cli(&["keys", "create", "--tenant", "acme"])
            .await?;
        let key = String::from_utf8(output.stdout)?.trim().to_owned();
        assert_eq!(status_with(&world, &key).await?, 200);
        revoke(&world, &key).await?;
        assert_eq!(status_with(&world, &key).await?, 401);
    }
    // Where no service runs there is nothing to wait for.
    let mut world = world;
    world.enclave.end("TERM").await?;
    let begun = std::time::Instant::now();
    let output = world
        .enclave
        .cli(&["keys", "create", "--tenant", "acme"])
        .await?;
    assert!(output.status.success() && begun.elapsed() < TIMEOUT);
    let said = String::from_utf8(output.stderr)?;
    assert!(!said.contains("not confirmed"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_api_answers_once_a_created_or_revoked_key_is_applied() -> Result<()> {
    let address = free_address()?;
    let listener = format!("[admin]\nlisten = \"{address}\"");
    let world = Alone::new("keys-administered", |config, _| config.and(&listener)).await?;
    let output = world
        .enclave
        .cli(&["admin", "create", "--role", "operator"])
        .await?;
    let text = String::from_utf8(output.stdout)?;
    let operator = text
        .split_whitespace()
        .find(|word| word.starts_with("sk-"))
        .context("an admin key")?
        .to_owned();
    let mut admin = TlsClient::observing().connect(address).await?;
    for _ in 0..5 {
        let wanted = json!({"tenant": "acme"});
        let created = admin.post(&operator, "/admin/v1/keys", &wanted).await?;
        assert_eq!(created.status, 201);
        let created = created.json().await?;
        let (key, id) = (&created["key"], &created["id"]);
        let (key, id) = key.as_str().zip(id.as_str()).context("a key")?;
        assert_eq!(status_with(&world, key).await?, 200);
        let request = post(&format!("/admin/v1/keys/{id}"), &operator).method("DELETE");
        let revoked = admin.send(request, Default::default()).await?;
        assert_eq!(revoked.status, 204);
        assert_eq!(status_with(&world, key).await?, 401);
    }
    // A tenant's removal revokes, too.
    let created = admin
        .post(&operator, "/admin/v1/keys", &json!({"tenant": "zeta"}))
        .await?;
    let created = created.json().await?;
    let key = created["key"].as_str().context("a key")?;
    assert_eq!(status_with(&world, key).await?, 200);
    let request = post("/admin/v1/tenants/zeta", &operator).method("DELETE");
    assert_eq!(admin.send(request, Default::default()).await?.status, 200);
    assert_eq!(status_with(&world, key).await?, 401);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_key_is_revoked_while_its_body_arrives_is_not_served() -> Result<()> {
    let world = Alone::new("revoked-midway", |config, _| config).await?;
    let key = world.enclave.create_key("acme").await?;
    let body = chat(MODEL, "hello").to_string();
    let (now, later) = body.split_at(10);
    let mut stream = TlsClient::observing().raw(world.enclave.address()).await?;
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\ncontent-length: {}\r\n\r\n{now}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.flush().await?;
    // Long enough for it to be read, and nothing goes wrong where it is not.
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    revoke(&world, &key).await?;
    stream.write_all(later.as_bytes()).await?;
    let mut status = [0; 12];
    timeout(TIMEOUT, stream.read_exact(&mut status)).await??;
    assert_eq!(std::str::from_utf8(&status)?, "HTTP/1.1 401");
    assert_eq!(world.engine.stats().prompts, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_stream_goes_on_when_its_key_is_revoked_or_is_cut_off_as_configured() -> Result<()>
{
    for (choice, goes_on) in [("finish", true), ("cut", false)] {
        let world = Alone::new(&format!("revoked-{choice}"), |config, _| {
            config.and(&format!("[keys]\non_revoke = \"{choice}\""))
        })
        .await?;
        let key = world.enclave.create_key("acme").await?;
        let stepper = world.engine.stepping();
        let mut connection = world.enclave.connect().await?;
        let mut answer = connection
            .post(&key, CHAT, &streamed(MODEL, "I take my time"))
            .await?;
        let id = answer.header("x-receipt-id").context("an id")?.to_owned();
        stepper.release(1);
        next_chunk(&mut answer, "the first chunk")
            .await
            .context("a chunk")?;
        revoke(&world, &key).await?;
        if goes_on {
            stepper.release(1000);
        }
        let rest = timeout(TIMEOUT, answer.bytes()).await?;
        assert_eq!(rest.is_ok(), goes_on, "{choice}: {rest:?}");
        // A revoked key still reads the receipts of its requests.
        let mut connection = world.enclave.connect().await?;
        let receipt = Receipt::parse(&receipt(&mut connection, &key, &id).await?)?;
        let incomplete = receipt.body().events.iter().any(|event| match event {
            Event::Other(other) => other.value()["type"] == "sealgate.response.incomplete",
            _ => false,
        });
        assert_eq!(incomplete, !goes_on, "{choice}");
    }
    Ok(())
}
