//! `sealgate reload`, and what a reload that fails leaves in the log.

use anyhow::Result;

use super::{cli, configuration, line_of};
use blackbox::asking::eventually;
use blackbox::world::Alone;

#[tokio::test(flavor = "multi_thread")]
async fn reload_waits_for_the_new_epoch_and_ends_with_0() -> Result<()> {
    let alone = Alone::new("operator-reload", |config, _| config).await?;
    let before = alone.enclave.connect().await?.spki_sha256();
    let (code, printed) = cli(&alone, &["reload"]).await?;
    assert_eq!(code, 0, "{printed}");
    assert!(
        printed.contains("epoch 2 serves sealgate.toml"),
        "{printed}"
    );
    assert_ne!(alone.enclave.connect().await?.spki_sha256(), before);
    // A second request right after it gets a separate answer.
    let (code, printed) = cli(&alone, &["reload", "sealgate.toml"]).await?;
    assert_eq!((code, printed.contains("epoch 3")), (0, true), "{printed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_prints_what_needs_a_restart_with_its_line_and_the_epoch_goes_on() -> Result<()> {
    let alone = Alone::new("operator-restart", |config, _| config).await?;
    let before = alone.enclave.connect().await?.spki_sha256();
    let text = configuration(&alone)?;
    let changed = text.replace("[tee]", "[receipts]\nkeep = \"31d\"\n[tee]");
    alone.enclave.write_config(&changed)?;
    let line = line_of(&changed, "[receipts]");
    let (code, printed) = cli(&alone, &["reload"]).await?;
    assert_eq!(code, 2, "{printed}");
    let wanted = format!(
        "sealgate.toml:{line}: receipts: was changed; that takes effect with a restart only"
    );
    assert!(printed.contains(&wanted), "{printed}");
    assert!(printed.contains("receipts_needs_restart"), "{printed}");
    assert_eq!(alone.enclave.connect().await?.spki_sha256(), before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_prints_configuration_problems_without_asking_the_service() -> Result<()> {
    let alone = Alone::new("operator-broken", |config, _| config).await?;
    let text = configuration(&alone)?.replace("mode = ", "mod = ");
    alone.enclave.write_config(&text)?;
    let (code, printed) = cli(&alone, &["reload"]).await?;
    assert_eq!(code, 2, "{printed}");
    let line = line_of(&text, "mod = ");
    assert!(
        printed.contains(&format!("sealgate.toml:{line}: server.mod: ")),
        "{printed}"
    );
    assert!(printed.contains("The service was not asked"), "{printed}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_without_a_service_fails_and_removes_its_request() -> Result<()> {
    let mut alone = Alone::new("operator-none", |config, _| config).await?;
    alone.enclave.end("TERM").await?;
    let (code, printed) = cli(&alone, &["reload", "--timeout", "1"]).await?;
    assert_eq!(code, 1, "{printed}");
    assert!(
        printed.contains("no service accepted the request"),
        "{printed}"
    );
    let state = alone.enclave.directory().join("state");
    assert!(!state.join("reload.request").exists());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_cannot_be_followed_is_logged_with_file_line_and_key() -> Result<()> {
    let mut alone = Alone::new("operator-hup", |config, _| config).await?;
    let text = configuration(&alone)?.replace("[tee]", "[limits]\nmax_body = \"4MB\"\n[tee]");
    alone.enclave.write_config(&text)?;
    alone.enclave.process().signal("HUP")?;
    let line = line_of(&text, "max_body");
    let place = format!("sealgate.toml line={line} key=limits.max_body");
    eventually("the failed reload in the log", async || {
        let log = alone.enclave.log();
        let kept = log.lines().find(|line| line.contains("epoch_kept"));
        kept.is_some_and(|kept| kept.contains("failure=config") && kept.contains(&place))
    })
    .await;
    let log = alone.enclave.log();
    let problem = log.lines().find(|line| line.contains("config_problem"));
    assert!(
        problem.is_some_and(|problem| problem.contains(&place)),
        "{log}"
    );
    Ok(())
}
