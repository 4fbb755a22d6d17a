//! Policies that a service accepts, replaces and refuses.

use anyhow::{Context, Result};

use super::support::{Gateway, NOT_US, policy, refused_by, section};
use blackbox::world::identity;
use testkit::config::{Config, Model};
use testkit::engine::Engine;
use testkit::scratch::ScratchDir;
use testkit::service::{Program, Service, free_address};

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_begins_an_epoch_that_decides_by_the_changed_policy() -> Result<()> {
    let gateway = Gateway::start("authz-reload", NOT_US, "").await?;
    assert_eq!(gateway.decision("open").await?, (200, None));
    let before = gateway.service.connect().await?.spki_sha256();
    let rules = "[[rule]]\ncode = \"closed\"\neffect = \"deny\"\n";
    std::fs::write(&gateway.policy, policy(rules))?;
    assert_eq!(
        gateway.decision("open").await?,
        (200, None),
        "not reloaded yet"
    );
    gateway.service.reload().await?;
    assert_ne!(gateway.service.connect().await?.spki_sha256(), before);
    assert_eq!(gateway.decision("open").await?, refused_by("closed"));

    // A policy that cannot be used leaves the epoch as it is.
    std::fs::write(&gateway.policy, policy("[[rule]]\ncode = \"X\"\n"))?;
    let output = gateway.service.cli(&["reload"]).await?;
    assert_eq!(output.status.code(), Some(2));
    let printed = String::from_utf8([output.stdout, output.stderr].concat())?;
    assert!(
        printed.contains("authorization.toml:4: rule[1].code"),
        "{printed}"
    );
    assert_eq!(gateway.decision("open").await?, refused_by("closed"));
    Ok(())
}

/// What `check` and a start say of a policy with these rules.
async fn refused(name: &str, rules: &str) -> Result<[String; 2]> {
    let directory = ScratchDir::new(name)?;
    let file = directory.write("authorization.toml", policy(rules))?;
    let engine = Engine::start().await?;
    let mut config = Config::direct(free_address()?);
    config.tee = "none";
    config.mode = "aggregator";
    let config = config
        .serving(Model::plain("open", engine.base_url()))
        .and(&section(&file));
    let home = directory.path().join("gateway");
    std::fs::create_dir(&home)?;
    std::fs::write(home.join("sealgate.toml"), config.text())?;
    let program = testkit::process::sibling("sealgate")?;
    let checked = testkit::process::run(&program, &["check"], &home).await?;
    anyhow::ensure!(checked.status.code() == Some(2), "{checked:?}");
    let identity = identity("gateway").run_as(Program::Shipped);
    let started = Service::start(&home, identity, config.listen, &config.text()).await;
    let started = started.err().context("it started")?;
    Ok([String::from_utf8(checked.stderr)?, format!("{started:#}")])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_with_problems_is_refused_by_check_and_start_with_file_and_lines() -> Result<()> {
    let rules =
        "[[rule]]\ncode = \"a\"\neffect = \"allow\"\ntenant = [\"x\"]\nclasses = [\"tdx\"]\n";
    for said in refused("authz-wrong", rules).await? {
        for problem in [
            "authorization.toml:6: rule[1].tenant is not a key here; did you mean \"tenants\"?",
            "authorization.toml:7: rule[1].classes: \"tdx\" is unknown",
        ] {
            assert!(said.contains(problem), "{problem}\n{said}");
        }
        assert!(said.contains("authorization.policy"), "{said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_whose_examples_fail_is_refused_by_check_and_start() -> Result<()> {
    let rules = "[[rule]]\ncode = \"a\"\neffect = \"allow\"\n\
        [[example]]\nname = \"nothing-is-allowed\"\ntenant = \"t\"\nmodel = \"m\"\nexpect = \"deny\"\n";
    for said in refused("authz-examples", rules).await? {
        let problem = "authorization.toml:6: example 1 (nothing-is-allowed): expected deny, and the decision is allow by a";
        assert!(said.contains(problem), "{said}");
    }
    Ok(())
}
