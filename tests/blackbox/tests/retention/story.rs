//! Retention toggled under load, as four parties see it: an SDK behind the verifying proxy, a client that pins, an
//! auditor, and a tenant with the stock `age`. `make toggle-story` prints what they see.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::content::{content, open, tenant};
use crate::load::{Load, Served};
use crate::operated::{CANARY, METADATA, Operated, ZERO, mode_of};
use attest_core::Nonce;
use attest_core::retention::RetentionMode;
use blackbox::asking::{CHAT, chat, error, eventually, next_chunk, receipt, streamed};
use blackbox::world::{MODEL, appraise, engine_model, policy_file, proxy};
use testkit::client::{Connection, TlsClient, post};
use testkit::engine::Engine;
use testkit::process::{Process, run, sibling};

/// A model whose answers wait until they are let go on.
const HELD: &str = "held-model";
/// What the SDK does, with the package as it is published.
const SDK: &str = r#"
import sys
from openai import OpenAI, APIStatusError
url, key, model = sys.argv[1:]
messages = [{"role": "user", "content": "What is kept of this?"}]
try:
    client = OpenAI(base_url=url, api_key=key, max_retries=0)
    chunks = client.chat.completions.create(model=model, messages=messages, stream=True)
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    print(200, said)
except APIStatusError as error:
    print(error.status_code, error.message)
"#;

fn says(who: &str, what: impl AsRef<str>) {
    for (index, line) in what.as_ref().trim_end().lines().enumerate() {
        println!("{:9} {line}", if index == 0 { who } else { "" });
    }
}

/// A user of an SDK who has stated that the bank's requests may leave metadata at most.
struct Sdk {
    _proxy: Process,
    url: String,
    key: String,
    python: Option<PathBuf>,
}

impl Sdk {
    async fn new(world: &Operated) -> Result<Self> {
        let directory = world.directory.path();
        let policy = std::fs::read_to_string(policy_file(directory, "enclave"))?;
        let policy = format!("{policy}[retention]\nmax = \"metadata\"\ntenant = \"bank\"\n");
        world.directory.write("client-policy.toml", policy)?;
        let judge = ["--policy", "client-policy.toml", "--roots", "roots"];
        let (process, address) = proxy(directory, &world.service.url(), &judge).await?;
        // Where tests/clients/setup.sh puts it.
        let home = std::env::var_os("SEALGATE_CLIENTS").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/clients"),
            PathBuf::from,
        );
        let python = home.join("venv/bin/python");
        Ok(Self {
            _proxy: process,
            url: format!("http://{address}/v1"),
            key: world.key.clone(),
            python: python.is_file().then_some(python),
        })
    }

    fn name(&self) -> &'static str {
        match self.python {
            Some(_) => "SDK",
            None => "curl",
        }
    }

    /// Asks once; status and words. Plain HTTP where the SDK is not installed.
    async fn ask(&self) -> Result<String> {
        if let Some(python) = &self.python {
            let output = run(
                python,
                ["-c", SDK, &self.url, &self.key, MODEL],
                Path::new("."),
            )
            .await?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{said}");
            return Ok(String::from_utf8(output.stdout)?.trim().to_owned());
        }
        let address = self
            .url
            .trim_start_matches("http://")
            .trim_end_matches("/v1");
        let mut connection = Connection::plain(address.parse()?).await?;
        let answer = connection
            .post(&self.key, CHAT, &streamed(MODEL, "What is kept of this?"))
            .await?;
        if answer.status == 200 {
            answer.bytes().await?;
            return Ok("200 a stream".to_owned());
        }
        let refused = error(answer).await?;
        Ok(format!("{} {}", refused.status, refused.message))
    }

    /// Asks until the answer has this status: the proxy verifies again when it meets an unknown key.
    async fn gets(&self, status: &str) -> Result<()> {
        let mut last = String::new();
        for _ in 0..40 {
            last = self.ask().await?;
            if last.starts_with(status) {
                says(self.name(), last);
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        }
        anyhow::bail!("the SDK waits for a {status} and gets: {last}")
    }
}

/// An auditor, who keeps a head of every day and reads the whole log in the end.
struct Auditor<'a> {
    world: &'a Operated,
    heads: Vec<String>,
}

impl Auditor<'_> {
    async fn keep_head(&mut self) -> Result<()> {
        let mut connection = self.world.service.connect().await?;
        let answer = connection.get("/v1/aci/log/checkpoint").await?;
        let head = answer.bytes().await?;
        let name = format!("head-{}", self.heads.len() + 1);
        let size = String::from_utf8_lossy(&head);
        let size = size.lines().nth(1).context("a size")?.to_owned();
        says(
            "auditor",
            format!("keeps {name}: the log has {size} entries"),
        );
        self.world.directory.write(&name, head)?;
        self.heads.push(name);
        Ok(())
    }

    async fn replay(&self) -> Result<()> {
        let database = self.world.state().join("audit.sqlite");
        let database = database.display().to_string();
        let mut arguments = vec!["log", "replay", "--database", &database];
        for head in &self.heads {
            arguments.extend(["--head", head]);
        }
        let directory = self.world.directory.path();
        let output = run(&sibling("sealgate-verify")?, &arguments, directory).await?;
        let text = String::from_utf8_lossy(&output.stdout);
        says(
            "auditor",
            "$ sealgate-verify log replay --database audit.sqlite --head …",
        );
        says("", &text);
        ensure!(output.status.success(), "{text}");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_parties_are_served_only_under_the_policy_they_verified_during_changes() -> Result<()>
{
    let scratch = testkit::scratch::ScratchDir::new("toggle-story-tenant")?;
    let Some((identity, recipient)) = tenant(scratch.path())? else {
        return Ok(());
    };
    let slow = Engine::start().await?;
    let stepper = slow.stepping();
    let world = Operated::serving("toggle-story", METADATA, |config| {
        config.serving(engine_model(&slow, HELD))
    })
    .await?;
    let sdk = Sdk::new(&world).await?;
    let mut auditor = Auditor {
        world: &world,
        heads: Vec::new(),
    };
    let load = Load::begin(&world);
    load.more(12).await;

    says(
        "operator",
        "policy 1: metadata for 30 days. Eight clients ask again and again",
    );
    sdk.gets("200").await?;
    auditor.keep_head().await?;
    let mut pinned = world.service.connect().await?;
    let peer = appraise(&mut pinned, "enclave", Nonce::from_bytes([7; 32])).await?;
    let peer = peer
        .trusted()
        .map_err(|verdict| anyhow::anyhow!("{:#}", verdict.to_json()))?;
    let keyset = peer.keyset_digest().to_string();
    says(
        "pinned",
        format!("has verified policy 1 and key {}…", &hex(&pinned)[..16]),
    );
    let pinning = TlsClient::pinning(pinned.spki_sha256().context("a key")?);
    let mut stream = pinned
        .post(&world.key, CHAT, &streamed(HELD, "a long story"))
        .await?;
    let id = stream.header("x-receipt-id").context("an id")?.to_owned();
    stepper.release(1);
    next_chunk(&mut stream, "the stream's beginning")
        .await
        .context("a chunk")?;
    says("pinned", "is in the middle of a stream");

    let first = world.policy().await?;
    let second = world.toggle(2, &first, &content(&recipient, "")).await?;
    load.more(12).await;
    says(
        "operator",
        "policy 2, signed: content of the bank, sealed to its own key",
    );
    stepper.release(1000);
    let rest = stream.bytes().await?;
    ensure!(rest.ends_with(b"data: [DONE]\n\n"), "the stream broke off");
    eventually("the old connection closes", async || pinned.is_closed()).await;
    let mut new = world.service.connect().await?;
    let mode = mode_of(&receipt(&mut new, &world.key, &id).await?)?;
    ensure!(mode == "metadata", "{mode}");
    says(
        "pinned",
        format!("its stream goes on to its end; its receipt says {mode}; the connection closes"),
    );
    let again = pinning.connect(world.service.address()).await;
    let why = again.err().context("the old key is still taken")?;
    says("pinned", format!("connects again: {why:#}"));
    let request = post(CHAT, &world.key).header("x-aci-keyset-digest", &keyset);
    let refused = new
        .send(request, chat(MODEL, CANARY).to_string().into())
        .await?;
    let refused = error(refused).await?;
    ensure!(refused.status == 412, "{refused:?}");
    says(
        "pinned",
        format!(
            "without the pin, with the old digest: {} {}",
            refused.status, refused.message
        ),
    );
    sdk.gets("5").await?;
    auditor.keep_head().await?;
    let mut connection = world.service.connect().await?;
    let request = chat(MODEL, CANARY);
    let answer = connection.post(&world.key, CHAT, &request).await?;
    let kept = answer.header("x-receipt-id").context("an id")?.to_owned();
    answer.bytes().await?;

    let third = world.toggle(3, &second, ZERO).await?;
    load.more(12).await;
    says("operator", "policy 3, signed: nothing is kept of anyone");
    sdk.gets("200").await?;
    auditor.keep_head().await?;
    let served = load.end().await?;

    // What the load saw.
    let names = BTreeMap::from([
        (first.digest(), 1),
        (second.digest(), 2),
        (third.digest(), 3),
    ]);
    let mut counts = [0; 3];
    for one in &served {
        let Served {
            attested,
            applied,
            id,
            ..
        } = one;
        ensure!(
            attested == applied,
            "{id} was served under {applied}, its client was shown {attested}"
        );
        let number = names.get(applied).context("a policy that was not set")?;
        counts[number - 1] += 1;
    }
    ensure!(counts.iter().all(|count| *count > 0), "{counts:?}");
    says(
        "load",
        format!(
            "{} answers: {counts:?} under policies 1, 2 and 3; none under another than its client was shown",
            served.len()
        ),
    );

    // What lies on the disk, and who opens it.
    let records = world.state().join("records");
    let sealed = |id: &str, part: &str| records.join(format!("{id}.{part}.age"));
    let opened = open(&identity, &sealed(&kept, "request"))?;
    ensure!(opened == request.to_string().into_bytes(), "{kept}");
    says(
        "tenant",
        format!(
            "$ age --decrypt -i tenant.key {kept}.request.age\n{}",
            String::from_utf8_lossy(&opened)
        ),
    );
    let mut files = 0;
    for one in &served {
        for part in ["request", "response"] {
            let there = sealed(&one.id, part).is_file();
            let content = one.mode == RetentionMode::Content.as_str();
            ensure!(
                there == content,
                "{}: {part} kept: {there}, mode {}",
                one.id,
                one.mode
            );
            files += u32::from(there);
        }
    }
    says(
        "tenant",
        format!(
            "{files} files for the {} answers under policy 2, none for any other",
            counts[1]
        ),
    );
    auditor.replay().await
}

fn hex(connection: &Connection) -> String {
    let key = connection.spki_sha256().unwrap_or_default();
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}
