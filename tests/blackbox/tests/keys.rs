//! API keys: made, listed and revoked on the command line, and only their digests kept.

use anyhow::{Context, Result};
use blackbox::asking::{CHAT, chat, error, eventually};
use blackbox::world::{Alone, MODEL};

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
    eventually("the revoked key is refused", async || {
        status_with(&world, &key)
            .await
            .is_ok_and(|status| status == 401)
    })
    .await;
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
