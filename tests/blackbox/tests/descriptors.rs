//! More clients than there are file descriptors.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::timeout;

use blackbox::asking::{CHAT, chat, error};
use blackbox::world::{Alone, identity};
use testkit::config::Model;
use testkit::service::{Identity, Service};

/// Started with these limits, soft and hard.
fn with_descriptors(identity: Identity, soft: u64, hard: u64) -> Identity {
    let script = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\"");
    identity.wrapped_in(["bash", "-c", &script].map(OsString::from))
}

fn limits(service: &Service) -> Result<(String, String)> {
    let id = service.id().context("it runs")?;
    let text = std::fs::read_to_string(format!("/proc/{id}/limits"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .context("a limit")?;
    let mut words = line.split_whitespace().map(str::to_owned);
    Ok((words.next().context("soft")?, words.next().context("hard")?))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_soft_limit_of_descriptors_is_raised_to_the_hard_one() -> Result<()> {
    let who = with_descriptors(identity("enclave"), 100, 2000);
    let world = Alone::as_identity("raised", who, |config, _| {
        config
            .and("[limits]\nmax_connections = 500\nmax_unauthenticated = 500\nmax_concurrent = 400")
    })
    .await?;
    assert_eq!(limits(&world.enclave)?, ("2000".into(), "2000".into()));
    assert!(!world.enclave.log().contains("descriptors_short"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_descriptors_requests_get_503_and_nothing_hangs() -> Result<()> {
    const CLIENTS: usize = 70;
    let who = with_descriptors(identity("enclave"), 256, 256);
    let world = Alone::as_identity("scarce", who, |config, engine| {
        config
            .serving(Model::confidential("waits", engine.base_url()).known_upstream_as("hang"))
            .and("[limits]\nmax_concurrent_per_key = 1000")
    })
    .await?;
    let log = world.enclave.log();
    assert!(
        log.contains(" descriptors_short limit=256 ") && log.contains(" requests=32"),
        "{log}"
    );
    let checked = world.enclave.cli(&["check"]).await?;
    assert!(checked.status.success());

    // All of them are answered while those that were admitted wait for their engine.
    let mut refused = 0;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let mut connection = timeout(Duration::from_secs(20), world.enclave.connect()).await??;
        let key = world.key.clone();
        tasks.spawn(async move {
            let answer = connection.post(&key, CHAT, &chat("waits", "wait")).await?;
            let retry = answer.header("retry-after").is_some();
            anyhow::Ok((error(answer).await?, retry))
        });
    }
    let enough = CLIENTS - 32;
    while refused < enough {
        let (answer, retry) = timeout(Duration::from_secs(30), tasks.join_next())
            .await
            .context("fewer were refused than cannot be served")?
            .context("a task")???;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(retry, "it says when to come again");
        refused += 1;
    }
    let mut connection = timeout(Duration::from_secs(20), world.enclave.connect()).await??;
    let health = timeout(Duration::from_secs(20), connection.get("/healthz")).await??;
    assert_eq!(health.status, 200);
    assert!(!world.enclave.log().contains("accept_failed"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn check_warns_where_the_hard_limit_is_too_low_for_the_configured_limits() -> Result<()> {
    let who = with_descriptors(identity("enclave"), 200, 200);
    let world = Alone::as_identity("warned", who, |config, _| config).await?;
    let program = testkit::process::sibling("sealgate-soft")?;
    let check = |hard: &str| {
        let seed = "5e".repeat(32);
        let platform = ["--platform-seed", &seed, "--measurement", "enclave"];
        std::process::Command::new("bash")
            .args(["-c", &format!("ulimit -n {hard} && exec \"$0\" \"$@\"")])
            .arg(&program)
            .args(platform)
            .args(["check", "sealgate.toml"])
            .current_dir(world.enclave.directory())
            .output()
    };
    let output = check("200")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("warning: ") && said.contains("hard limit here is 200"),
        "{said}"
    );
    Ok(())
}
