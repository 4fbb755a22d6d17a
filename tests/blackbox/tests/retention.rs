//! Retention as an operator, a tenant and an auditor meet it: on the command line, in files, and with the stock `age`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use attest_core::retention::RetentionPolicy;
use attest_core::{Event, Receipt, Sha256Digest};
use blackbox::asking::{CHAT, chat, error, eventually, receipt, streamed};
use blackbox::world::{MODEL, engine_model, identity, start_as, trusting_directory};
use serde_json::Value;
use testkit::client::{Connection, post};
use testkit::config::Config;
use testkit::engine::Engine;
use testkit::process::{run, sibling};
use testkit::scratch::ScratchDir;
use testkit::service::{Service, free_address};

const CANARY: &str = "canary-3e9d41-retained";
const METADATA: &str = "[default]\nmode = \"metadata\"\nttl = \"30d\"\n";
const ZERO: &str = "[default]\nmode = \"zero\"\n";

/// An enclave whose policy an operator with a key decides about.
struct Operated {
    directory: ScratchDir,
    engine: Engine,
    service: Service,
    metrics: std::net::SocketAddr,
    key: String,
}

impl Operated {
    async fn new(name: &str, terms: &str) -> Result<Self> {
        let directory = trusting_directory(name)?;
        let output = command(
            directory.path(),
            &["retention", "keygen", "--out", "policy.key"],
        )
        .await?;
        ensure!(output.status.success(), "{output:?}");
        let public = String::from_utf8(output.stdout)?.trim().to_owned();
        let operator = Operator(directory.path());
        let first = operator.write(1, None, terms)?;
        operator.sign(&first).await?;
        let engine = Engine::start().await?;
        let (address, metrics) = (free_address()?, free_address()?);
        let config = Config::direct(address)
            .and(&format!(
                "[retention]\npolicy = {:?}\nkeys = [{public:?}]\n[metrics]\nlisten = \"{metrics}\"",
                first.display().to_string()
            ))
            .serving(engine_model(&engine, MODEL));
        let service = start_as(&directory, identity("enclave"), config).await?;
        let key = service.create_key("bank").await?;
        Ok(Self {
            directory,
            engine,
            service,
            metrics,
            key,
        })
    }

    fn operator(&self) -> Operator<'_> {
        Operator(self.directory.path())
    }

    async fn cli(&self, arguments: &[&str]) -> Result<(i32, String)> {
        let output = self.service.cli(arguments).await?;
        let both = [output.stdout, output.stderr].concat();
        Ok((output.status.code().unwrap_or(-1), String::from_utf8(both)?))
    }

    /// Signs and sets the next policy, and waits for the epoch it begins.
    async fn toggle(
        &self,
        epoch: u64,
        before: &RetentionPolicy,
        terms: &str,
    ) -> Result<RetentionPolicy> {
        let key = self.service.connect().await?.spki_sha256();
        let file = self.operator().write(epoch, Some(before.digest()), terms)?;
        self.operator().sign(&file).await?;
        let file = file.display().to_string();
        let (code, said) = self.cli(&["retention", "set", &file]).await?;
        ensure!(code == 0, "{said}");
        eventually(
            "an epoch under the new policy",
            async || matches!(self.service.connect().await, Ok(new) if new.spki_sha256() != key),
        )
        .await;
        self.policy().await
    }

    /// The policy that the service shows.
    async fn policy(&self) -> Result<RetentionPolicy> {
        let mut connection = self.service.connect().await?;
        let report: Value = connection.get("/v1/aci/attestation").await?.json().await?;
        let text = &report["attestation"]["evidence"]["documents"]["retention"];
        Ok(RetentionPolicy::from_published(
            text.as_str().context("a policy")?,
        )?)
    }

    fn state(&self) -> PathBuf {
        self.service.directory().join("state")
    }

    /// Every file of the state directory, the log and the metrics.
    async fn everything_kept(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut all = files_below(&self.state())?;
        all.push(("the log".into(), self.service.log().into_bytes()));
        let mut connection = Connection::plain(self.metrics).await?;
        let metrics = connection.get("/metrics").await?.bytes().await?;
        all.push(("the metrics".into(), metrics));
        Ok(all)
    }
}

/// Whoever holds the policy key.
struct Operator<'a>(&'a Path);

impl Operator<'_> {
    fn write(&self, epoch: u64, predecessor: Option<Sha256Digest>, terms: &str) -> Result<PathBuf> {
        let predecessor = predecessor.map(|digest| format!("predecessor = \"{digest}\"\n"));
        let text = format!(
            "format = \"sealgate/retention/1\"\nepoch = {epoch}\n{}{terms}",
            predecessor.unwrap_or_default()
        );
        let file = self.0.join(format!("retention-{epoch}.toml"));
        std::fs::write(&file, text)?;
        let _ = std::fs::remove_file(self.0.join(format!("retention-{epoch}.toml.sig")));
        Ok(file)
    }

    async fn sign(&self, policy: &Path) -> Result<()> {
        let policy = policy.display().to_string();
        let output = command(
            self.0,
            &["retention", "sign", "--key", "policy.key", &policy],
        )
        .await?;
        ensure!(output.status.success(), "{output:?}");
        Ok(())
    }
}

async fn command(directory: &Path, arguments: &[&str]) -> Result<std::process::Output> {
    let platform = [
        "--platform-seed",
        &"5e".repeat(32),
        "--measurement",
        "enclave",
    ];
    run(
        &sibling("sealgate-soft")?,
        [&platform[..], arguments].concat(),
        directory,
    )
    .await
}

fn files_below(directory: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            all.extend(files_below(&path)?);
        } else {
            all.push((path.display().to_string(), std::fs::read(&path)?));
        }
    }
    Ok(all)
}

fn holds(bytes: &[u8], what: &str) -> bool {
    bytes
        .windows(what.len())
        .any(|window| window == what.as_bytes())
}

fn mode_of(receipt: &[u8]) -> Result<String> {
    let receipt = Receipt::parse(receipt)?;
    let applied = receipt.body().events.iter().find_map(|event| match event {
        Event::PolicyApplied { mode, .. } => Some(mode.clone()),
        _ => None,
    });
    applied.context("no policy.applied")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_plans_signs_and_sets_a_policy_and_the_service_is_under_it() -> Result<()> {
    let world = Operated::new("retention-cli", METADATA).await?;
    let first = world.policy().await?;
    let (code, said) = world.cli(&["retention", "show"]).await?;
    ensure!(
        code == 0 && said.contains(&first.digest().to_string()),
        "{said}"
    );

    let terms = format!("{METADATA}[[rule]]\ntenants = [\"bank\"]\nmode = \"zero\"\n");
    let next = world.operator().write(2, Some(first.digest()), &terms)?;
    let file = next.display().to_string();
    let (code, plan) = world.cli(&["retention", "plan", &file]).await?;
    ensure!(code == 0, "{plan}");
    for part in [
        "bank, every model",
        "now   metadata for 30d",
        "then  zero",
        "is not signed by any policy key",
    ] {
        ensure!(plan.contains(part), "no {part:?} in\n{plan}");
    }
    ensure!(!plan.contains("every other tenant"), "{plan}");
    let (code, said) = world.cli(&["retention", "set", &file]).await?;
    ensure!(
        code == 2 && said.contains("is not signed by any policy key"),
        "{code} {said}"
    );
    assert_eq!(world.policy().await?, first);

    let second = world.toggle(2, &first, &terms).await?;
    ensure!(second.epoch() == 2, "{}", second.text());
    let (code, said) = world.cli(&["retention", "set", &file]).await?;
    ensure!(
        code == 0 && said.contains("in force already"),
        "{code} {said}"
    );
    let (_, history) = world.cli(&["retention", "history"]).await?;
    for policy in [&first, &second] {
        ensure!(history.contains(&policy.digest().to_string()), "{history}");
    }
    for (epoch, before, says) in [
        (
            2,
            first.digest(),
            "the policy is of epoch 2, the one in force of epoch 2",
        ),
        (4, second.digest(), "and 3 comes next"),
        (3, first.digest(), "as its predecessor, but"),
    ] {
        let file = world.operator().write(epoch, Some(before), ZERO)?;
        world.operator().sign(&file).await?;
        let (code, said) = world
            .cli(&["retention", "set", &file.display().to_string()])
            .await?;
        ensure!(code == 2 && said.contains(says), "{code} {said}");
    }
    assert_eq!(world.policy().await?, second);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_mode_zero_no_row_no_line_and_no_file_names_a_request() -> Result<()> {
    let world = Operated::new("retention-zero", ZERO).await?;
    let key_id = world.key.split('-').nth(2).context("a key id")?.to_owned();
    let mut ids = Vec::new();
    for request in [
        chat(MODEL, CANARY),
        streamed(MODEL, CANARY),
        chat("no-such-model", CANARY),
    ] {
        let mut connection = world.service.connect().await?;
        let answer = connection.post(&world.key, CHAT, &request).await?;
        let id = answer
            .header("x-receipt-id")
            .context("a receipt id")?
            .to_owned();
        answer.bytes().await?;
        // Signed as ever, and there for whoever asked.
        let found = receipt(&mut connection, &world.key, &id).await?;
        assert_eq!(mode_of(&found)?, "zero");
        let chat_id = Receipt::parse(&found)?.body().chat_id.clone();
        ids.push(id);
        ids.extend(chat_id);
    }
    // Long enough for whatever is written in batches.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let kept = world.everything_kept().await?;
    for (place, bytes) in &kept {
        for id in ids.iter().map(String::as_str).chain([CANARY]) {
            ensure!(!holds(bytes, id), "{place} holds {id}");
        }
        // The key is registered, of course; that it was used is not.
        let is_register = place.contains("ledger.sqlite") || place.contains("audit.sqlite");
        ensure!(
            is_register || !holds(bytes, &key_id),
            "{place} names the key"
        );
    }
    let metrics = kept
        .last()
        .map(|(_, bytes)| String::from_utf8_lossy(bytes))
        .unwrap_or_default();
    ensure!(
        metrics.contains("outcome=\"completed\"} 2"),
        "counters count: {metrics}"
    );

    // The control: the same search finds the next request, once metadata is kept.
    let before = world.policy().await?;
    world.toggle(2, &before, METADATA).await?;
    let mut connection = world.service.connect().await?;
    let answer = connection
        .post(&world.key, CHAT, &chat(MODEL, "kept"))
        .await?;
    let id = answer
        .header("x-receipt-id")
        .context("a receipt id")?
        .to_owned();
    answer.bytes().await?;
    eventually("the row is written", async || {
        let files = files_below(&world.state()).unwrap_or_default();
        files.iter().any(|(_, bytes)| holds(bytes, &id))
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_in_mode_zero_and_a_restart_forgets_the_receipts() -> Result<()> {
    let mut world = Operated::new("retention-zero-restart", ZERO).await?;
    let mut connection = world.service.connect().await?;
    let answer = connection.post(&world.key, CHAT, &chat(MODEL, "x")).await?;
    let id = answer
        .header("x-receipt-id")
        .context("a receipt id")?
        .to_owned();
    answer.bytes().await?;
    receipt(&mut connection, &world.key, &id).await?;
    world.service.restart().await?;
    let mut connection = world.service.connect().await?;
    let path = format!("/v1/aci/receipts/{id}");
    assert_eq!(connection.get_as(&world.key, &path).await?.status, 404);
    Ok(())
}

/// A tenant's identity, and the recipient it opens for. None where `age` is not installed.
fn tenant(directory: &Path) -> Result<Option<(PathBuf, String)>> {
    let file = directory.join("tenant.key");
    let Ok(output) = Command::new("age-keygen").arg("-o").arg(&file).output() else {
        println!(
            "skipped: age is not installed (apt-get install age), so nothing opens what was sealed"
        );
        return Ok(None);
    };
    ensure!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(&file)?;
    let recipient = text
        .split("public key: ")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    Ok(Some((
        file.clone(),
        recipient.context("a recipient")?.to_owned(),
    )))
}

/// Opens a sealed file with the stock tool.
fn open(identity: &Path, sealed: &Path) -> Result<Vec<u8>> {
    let output = Command::new("age")
        .arg("--decrypt")
        .arg("-i")
        .arg(identity)
        .arg(sealed)
        .stdin(Stdio::null())
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

fn content(recipient: &str, more: &str) -> String {
    format!(
        "{METADATA}[[rule]]\ntenants = [\"bank\"]\nmode = \"content\"\nttl = \"365d\"\nrecipients = [\"{recipient}\"]\n{more}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_age_opens_exactly_the_bytes_of_the_receipt_and_nobody_else_does() -> Result<()> {
    let scratch = ScratchDir::new("retention-tenant")?;
    let Some((identity, recipient)) = tenant(scratch.path())? else {
        return Ok(());
    };
    let world = Operated::new("retention-content", &content(&recipient, "")).await?;
    // Larger than several of age's chunks, and one of almost nothing.
    for (index, request) in [
        streamed(MODEL, CANARY),
        chat(MODEL, CANARY),
        chat(MODEL, &CANARY.repeat(20_000)),
    ]
    .iter()
    .enumerate()
    {
        let mut connection = world.service.connect().await?;
        let answer = connection.post(&world.key, CHAT, request).await?;
        assert_eq!(answer.status, 200);
        let id = answer
            .header("x-receipt-id")
            .context("a receipt id")?
            .to_owned();
        let body = answer.bytes().await?;
        let found = Receipt::parse(&receipt(&mut connection, &world.key, &id).await?)?;
        let (mut asked, mut returned) = (None, None);
        for event in &found.body().events {
            match event {
                Event::RequestReceived { body_hash } => asked = Some(*body_hash),
                Event::ResponseReturned { body_hash } => returned = Some(*body_hash),
                _ => {}
            }
        }
        for (part, expected, bytes) in [
            ("request", asked, request.to_string().into_bytes()),
            ("response", returned, body),
        ] {
            let answer = connection
                .get_as(&world.key, &format!("/v1/sealgate/records/{id}/{part}"))
                .await?;
            assert_eq!(answer.status, 200, "{part}");
            let sealed = scratch.write(&format!("{index}.{part}.age"), answer.bytes().await?)?;
            let opened = open(&identity, &sealed)?;
            assert_eq!(opened, bytes, "{part} {index}");
            assert_eq!(Some(Sha256Digest::of(&opened)), expected, "{part} {index}");
        }
    }
    // Neither another identity, nor anything that lies about, opens or holds it.
    let other = ScratchDir::new("retention-other")?;
    let (stranger, _) = tenant(other.path())?.context("age was there before")?;
    ensure!(open(&stranger, &scratch.path().join("0.request.age")).is_err());
    for (place, bytes) in world.everything_kept().await? {
        ensure!(!holds(&bytes, CANARY), "{place} holds what was said");
    }
    // It is the tenant's, and of the key that made the request.
    let stranger = world.service.create_key("other").await?;
    let name = files_below(&world.state().join("records"))?[0].0.clone();
    let id = Path::new(&name)
        .file_name()
        .and_then(|n| n.to_str())
        .and_then(|n| n.split('.').next());
    let path = format!("/v1/sealgate/records/{}/request", id.context("an id")?);
    let mut connection = world.service.connect().await?;
    assert_eq!(connection.get_as(&stranger, &path).await?.status, 404);
    assert_eq!(connection.get(&path).await?.status, 401);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_deleted_by_whom_the_policy_lets_and_its_receipt_stays() -> Result<()> {
    let recipient = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
    let world = Operated::new(
        "retention-deletion",
        &content(recipient, "deletion = \"caller\""),
    )
    .await?;
    let ask = async || -> Result<(Connection, String)> {
        let mut connection = world.service.connect().await?;
        let answer = connection
            .post(&world.key, CHAT, &chat(MODEL, CANARY))
            .await?;
        let id = answer
            .header("x-receipt-id")
            .context("a receipt id")?
            .to_owned();
        answer.bytes().await?;
        Ok((connection, id))
    };
    let records = world.state().join("records");
    let there = |id: &str| -> Result<usize> {
        let names = files_below(&records)?;
        Ok(names.iter().filter(|(name, _)| name.contains(id)).count())
    };
    let delete = async |connection: &mut Connection, key: &str, id: &str| -> Result<u16> {
        let path = format!("/v1/sealgate/records/{id}");
        let request = post(&path, key).method("DELETE");
        Ok(connection
            .send(request, Default::default())
            .await?
            .status
            .as_u16())
    };
    let (mut connection, id) = ask().await?;
    assert_eq!(there(&id)?, 2);
    let stranger = world.service.create_key("other").await?;
    assert_eq!(delete(&mut connection, &stranger, &id).await?, 404);
    assert_eq!(there(&id)?, 2);
    assert_eq!(delete(&mut connection, &world.key, &id).await?, 204);
    assert_eq!(there(&id)?, 0);
    assert_eq!(delete(&mut connection, &world.key, &id).await?, 404);
    receipt(&mut connection, &world.key, &id).await?;

    let before = world.policy().await?;
    world
        .toggle(2, &before, &content(recipient, "deletion = \"operator\""))
        .await?;
    let (mut connection, id) = ask().await?;
    assert_eq!(delete(&mut connection, &world.key, &id).await?, 403);
    assert_eq!(there(&id)?, 2);
    let (code, said) = world.cli(&["retention", "delete", &id]).await?;
    ensure!(code == 0, "{said}");
    assert_eq!(there(&id)?, 0);
    let (code, said) = world.cli(&["retention", "delete", &id]).await?;
    ensure!(
        code == 2 && said.contains("there is no record"),
        "{code} {said}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_recorded_is_refused_or_served_as_the_policy_says_and_never_in_silence()
-> Result<()> {
    let recipient = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
    let world = Operated::new("retention-failure", &content(recipient, "")).await?;
    // Where the folder should be there is a file: nothing can be written there, by nobody.
    std::fs::write(world.state().join("records"), "in the way")?;
    let mut connection = world.service.connect().await?;
    let prompts = world.engine.stats().prompts;
    let answer = connection
        .post(&world.key, CHAT, &chat(MODEL, CANARY))
        .await?;
    let id = answer
        .header("x-receipt-id")
        .context("a receipt id")?
        .to_owned();
    let refused = error(answer).await?;
    assert_eq!(
        (refused.status, refused.code.as_deref()),
        (503, Some("retention_failed"))
    );
    assert_eq!(
        world.engine.stats().prompts,
        prompts,
        "nothing was forwarded"
    );
    receipt(&mut connection, &world.key, &id).await?;

    let before = world.policy().await?;
    world
        .toggle(2, &before, &content(recipient, "on_failure = \"serve\""))
        .await?;
    let mut connection = world.service.connect().await?;
    let answer = connection
        .post(&world.key, CHAT, &streamed(MODEL, CANARY))
        .await?;
    assert_eq!(answer.status, 200);
    let id = answer
        .header("x-receipt-id")
        .context("a receipt id")?
        .to_owned();
    answer.bytes().await?;
    let found = receipt(&mut connection, &world.key, &id).await?;
    ensure!(
        holds(&found, "sealgate.retention.failed"),
        "{}",
        String::from_utf8_lossy(&found)
    );
    Ok(())
}
