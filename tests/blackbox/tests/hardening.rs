//! What a serving process has given up, seen from outside.

use std::fs;

use anyhow::{Context, Result};
use blackbox::asking::{CHAT, chat, eventually};
use blackbox::world::{Alone, MODEL, World};
use testkit::scratch::ScratchDir;

fn of_process(id: u32, file: &str) -> Result<String> {
    fs::read_to_string(format!("/proc/{id}/{file}")).with_context(|| file.to_owned())
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .map(str::trim)
}

/// Those of the gateway's own claims that its log says hold.
fn held(log: &str) -> Vec<&str> {
    let line = log.lines().find(|line| line.contains(" hardened "));
    let holds = line.and_then(|line| line.split(" holds=").nth(1)?.split(' ').next());
    holds
        .map(|list| list.split(',').collect())
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serving_process_cannot_dump_core_or_gain_privileges_and_every_thread_is_filtered()
-> Result<()> {
    let world = Alone::new("hardened", |config, _| config).await?;
    let id = world.enclave.id().context("it runs")?;
    let log = world.enclave.log();
    let held = held(&log);
    assert!(
        held.contains(&"no_dump") && held.contains(&"no_core"),
        "{log}"
    );

    let limits = of_process(id, "limits")?;
    let core = field(&limits, "Max core file size").context("a limit")?;
    assert_eq!(
        core.split_whitespace().take(2).collect::<Vec<_>>(),
        ["0", "0"]
    );
    let mut threads = 0;
    for thread in fs::read_dir(format!("/proc/{id}/task"))? {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        let claimed =
            |fact: &str, wanted: &'static str| if held.contains(&fact) { wanted } else { "0" };
        assert_eq!(
            field(&status, "NoNewPrivs:"),
            Some(claimed("no_new_privileges", "1"))
        );
        assert_eq!(field(&status, "Seccomp:"), Some(claimed("seccomp", "2")));
        threads += 1;
    }
    assert!(threads > 1, "only {threads} threads were looked at");
    let status = of_process(id, "status")?;
    let locked = field(&status, "VmLck:").is_some_and(|line| !line.starts_with("0 "));
    assert_eq!(locked, held.contains(&"memory_locked"), "{log}");
    let filter = of_process(id, "coredump_filter").unwrap_or_default();
    let nothing = u64::from_str_radix(filter.trim(), 16) == Ok(0);
    assert_eq!(nothing, held.contains(&"empty_core"), "{filter}: {log}");
    let without_swap = fs::read_to_string("/proc/swaps")?.lines().count() <= 1;
    assert_eq!(
        locked || without_swap,
        held.contains(&"never_swapped"),
        "{log}"
    );
    assert!(log.contains(" required=no_dump,no_core"), "{log}");

    // And it still serves, under a new epoch too.
    world.enclave.reload().await?;
    let mut connection = world.enclave.connect().await?;
    let answer = connection
        .post(&world.key, CHAT, &chat(MODEL, "hi"))
        .await?;
    assert_eq!(answer.status, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_cannot_name_a_file_elsewhere_and_says_so() -> Result<()> {
    let world = World::new("confined").await?;
    let log = world.gateway.log();
    if !held(&log).contains(&"landlock") {
        println!("skipped: this kernel does not confine files: {log}");
        return Ok(());
    }
    let other_directory = ScratchDir::new("elsewhere")?;
    let elsewhere = other_directory.write("elsewhere.key", "sk-anything")?;
    let file = world.gateway.directory().join("sealgate.toml");
    let before = fs::read_to_string(&file)?;
    let key_file = world.directory.path().join("enclave.key");
    let named = before.replace(
        &key_file.display().to_string(),
        &elsewhere.display().to_string(),
    );
    assert_ne!(before, named);
    let key = world.gateway.connect().await?.spki_sha256();
    world.gateway.write_config(&named)?;
    let id = world.gateway.id().context("it runs")?.to_string();
    std::process::Command::new("kill")
        .args(["-HUP", &id])
        .status()?;
    eventually("the reload is refused", async || {
        world.gateway.log().contains("epoch_kept")
    })
    .await;
    let log = world.gateway.log();
    assert!(log.contains(&elsewhere.display().to_string()), "{log}");
    assert!(
        log.contains("only the directory of its configuration"),
        "{log}"
    );
    assert_eq!(world.gateway.connect().await?.spki_sha256(), key);

    // The same file beside the configuration is within reach.
    fs::copy(
        world.directory.path().join("enclave.key"),
        world.gateway.directory().join("mine.key"),
    )?;
    let at = before.find("api_key_file").context("a key file")?;
    let line = before[at..].lines().next().context("a line")?;
    world
        .gateway
        .write_config(&before.replace(line, "api_key_file = \"mine.key\""))?;
    world.gateway.reload().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_carries_what_was_observed() -> Result<()> {
    let world = Alone::new("observed", |config, _| config).await?;
    let mut connection = world.enclave.connect().await?;
    let report = connection.get("/v1/aci/attestation").await?.json().await?;
    let process = &report["attestation"]["evidence"]["documents"]["process"];
    let process: serde_json::Value = serde_json::from_str(process.as_str().context("a document")?)?;
    let log = world.enclave.log();
    let held = held(&log);
    for (fact, holds) in process.as_object().context("facts")? {
        assert_eq!(
            holds.as_bool(),
            Some(held.contains(&fact.as_str())),
            "{fact}"
        );
    }
    assert_eq!(process["no_dump"], true);
    Ok(())
}

/// Of each fact that this machine cannot give: a start that requires it is refused, by name.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_requires_what_the_machine_refuses_says_which() -> Result<()> {
    let plain = Alone::new("refused-facts", |config, _| config).await?;
    let log = plain.enclave.log();
    let line = log.lines().find(|line| line.contains(" hardened "));
    let lacks = line.and_then(|line| line.split(" lacks=").nth(1)?.split(' ').next());
    let lacking = lacks.unwrap_or_default();
    if lacking.is_empty() {
        println!("skipped: this machine refuses nothing: {log}");
        return Ok(());
    }
    for fact in lacking.split(',') {
        let refused = Alone::new(fact, |config, _| {
            config.and(&format!("[hardening]\nrequire = [\"{fact}\"]"))
        })
        .await;
        let said = format!("{:#}", refused.err().context("it started")?);
        assert!(
            said.contains("could not be hardened") && said.contains(&format!("{fact} missing")),
            "{said}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_that_is_none_is_not_required_by_mistake() -> Result<()> {
    let refused = Alone::new("unknown-fact", |config, _| {
        config.and("[hardening]\nrequire = [\"no_dump\", \"magic\"]")
    })
    .await;
    let said = format!("{:#}", refused.err().context("it started")?);
    assert!(
        said.contains("hardening.require[2]") && said.contains("magic"),
        "{said}"
    );
    Ok(())
}
