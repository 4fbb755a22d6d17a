//! The restrictions of a serving process, observed from outside.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use blackbox::asking::{CHAT, chat, eventually};
use blackbox::world::{Alone, MODEL, World};
use testkit::client::Connection;
use testkit::process::Process;
use testkit::scratch::ScratchDir;

fn of_process(id: u32, file: &str) -> Result<String> {
    fs::read_to_string(format!("/proc/{id}/{file}")).with_context(|| file.to_owned())
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .map(str::trim)
}

/// Those of a program's own claims about itself that its log says hold: the gateway's, or the proxy's.
fn held(log: &str) -> Vec<&str> {
    let line = log.lines().find(|line| line.contains(" hardened holds="));
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
    assert!(threads > 1, "only {threads} threads were checked");
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
async fn a_reload_that_names_a_file_elsewhere_is_refused_with_its_reason() -> Result<()> {
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
    let line = log.lines().find(|line| line.contains(" hardened holds="));
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
async fn rejects_an_unknown_hardening_fact() -> Result<()> {
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

#[tokio::test(flavor = "multi_thread")]
async fn the_hardened_proxy_still_answers() -> Result<()> {
    let world = World::new("hardened-proxy").await?;
    let (proxy, address) = world.proxy(&["--keep-receipts", "kept"]).await?;
    let id = proxy.id().context("it runs")?;
    let log = proxy.log();
    let held = held(&log);
    for fact in ["no_dump", "no_core"] {
        assert!(held.contains(&fact), "{log}");
    }
    // On one machine the kernel gives both programs the same.
    let gateways = world.gateway.log();
    assert_eq!(held, self::held(&gateways), "{log}");

    let limits = of_process(id, "limits")?;
    let core = field(&limits, "Max core file size").context("a limit")?;
    assert_eq!(
        core.split_whitespace().take(2).collect::<Vec<_>>(),
        ["0", "0"]
    );
    for thread in fs::read_dir(format!("/proc/{id}/task"))? {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        let claimed =
            |fact: &str, wanted: &'static str| if held.contains(&fact) { wanted } else { "0" };
        assert_eq!(
            field(&status, "NoNewPrivs:"),
            Some(claimed("no_new_privileges", "1"))
        );
        assert_eq!(field(&status, "Seccomp:"), Some(claimed("seccomp", "2")));
    }
    let locked = field(&of_process(id, "status")?, "VmLck:").is_some_and(|l| !l.starts_with("0 "));
    assert_eq!(locked, held.contains(&"memory_locked"), "{log}");

    let mut connection = Connection::plain(address).await?;
    let answer = connection
        .post(&world.key, CHAT, &chat(MODEL, "hi"))
        .await?;
    assert_eq!(answer.status, 200);
    answer.bytes().await?;
    let kept = world.directory.path().join("kept");
    eventually("the receipt is kept", async || {
        fs::read_dir(&kept).is_ok_and(|entries| entries.count() > 0)
    })
    .await;
    Ok(())
}

/// An ordinary user of this machine.
const USER: u32 = 4321;

#[tokio::test(flavor = "multi_thread")]
async fn another_process_of_the_same_user_cannot_read_the_proxys_memory() -> Result<()> {
    let test = "another_process_of_the_same_user_cannot_read_the_proxys_memory";
    let user = USER.to_string();
    let as_user = ["--reuid", &user, "--regid", &user, "--clear-groups"];
    let setpriv = |arguments: &[&str]| {
        let mut command = std::process::Command::new("setpriv");
        command.args(as_user).args(arguments).current_dir("/");
        command
    };
    if !setpriv(&["true"]).status().is_ok_and(|it| it.success()) {
        println!("skipped: {test}: only root can become another user, with setpriv");
        return Ok(());
    }
    let world = World::new("same-user").await?;
    // Where that user may execute it.
    let program = world.directory.path().join("sealgate-verify");
    fs::copy(testkit::process::sibling("sealgate-verify")?, &program)?;
    let listen = testkit::service::free_address()?;
    let arguments = as_user
        .into_iter()
        .map(str::to_owned)
        .chain([program.display().to_string(), "proxy".to_owned()])
        .chain(["--listen".to_owned(), listen.to_string()])
        .chain(["--upstream".to_owned(), world.gateway.url()])
        .chain(["--policy", "gateway-policy.toml", "--roots", "roots"].map(str::to_owned));
    let mut proxy = Process::start(Path::new("setpriv"), arguments, world.directory.path())?;
    proxy
        .wait_for(|line| line.contains("proxy ready").then_some(()))
        .await?;
    let id = proxy.id().context("it runs")?;
    assert_eq!(
        field(&of_process(id, "status")?, "Uid:").map(|ids| ids.starts_with(&user)),
        Some(true)
    );
    for file in ["mem", "environ", "maps", "fd"] {
        let path = format!("/proc/{id}/{file}");
        let program = if file == "fd" { "ls" } else { "head" };
        let output = setpriv(&[program, &path]).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{file} can be read");
        assert!(
            said.contains("denied") || said.contains("permitted"),
            "{said}"
        );
    }
    Ok(())
}
