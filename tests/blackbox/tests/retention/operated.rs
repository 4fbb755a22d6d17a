//! A service with an operator's policy key, and what it stores.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};

use attest_core::retention::PublishedPolicy;
use attest_core::{Event, Receipt, Sha256Digest};
use blackbox::asking::eventually;
use blackbox::world::{MODEL, engine_model, identity, start_as, trusting_directory};
use testkit::client::Connection;
use testkit::config::Config;
use testkit::engine::Engine;
use testkit::process::{run, sibling};
use testkit::scratch::ScratchDir;
use testkit::service::{Service, free_address};

pub const CANARY: &str = "canary-3e9d41-retained";
/// Of the policies that operators write.
pub const SALT: &str = "5f1d0c3b7a9e8d6c4b2a190f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6c5b";
pub const METADATA: &str = "[default]\nmode = \"metadata\"\nttl = \"30d\"\n";
pub const ZERO: &str = "[default]\nmode = \"zero\"\n";

/// An enclave whose policy an operator with a key decides about.
pub struct Operated {
    pub directory: ScratchDir,
    pub engine: Engine,
    pub service: Service,
    pub metrics: std::net::SocketAddr,
    pub key: String,
}

impl Operated {
    pub async fn new(name: &str, terms: &str) -> Result<Self> {
        Self::serving(name, terms, |config| config).await
    }

    /// With a configuration that the test completes.
    pub async fn serving(
        name: &str,
        terms: &str,
        complete: impl FnOnce(Config) -> Config,
    ) -> Result<Self> {
        Self::in_directory(trusting_directory(name)?, terms, complete).await
    }

    /// In a directory that the test has prepared. The state is going to be in `enclave/state`.
    pub async fn in_directory(
        directory: ScratchDir,
        terms: &str,
        complete: impl FnOnce(Config) -> Config,
    ) -> Result<Self> {
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
        let service = start_as(&directory, identity("enclave"), complete(config)).await?;
        let key = service.create_key("bank").await?;
        Ok(Self {
            directory,
            engine,
            service,
            metrics,
            key,
        })
    }

    pub fn operator(&self) -> Operator<'_> {
        Operator(self.directory.path())
    }

    pub async fn cli(&self, arguments: &[&str]) -> Result<(i32, String)> {
        let output = self.service.cli(arguments).await?;
        let both = [output.stdout, output.stderr].concat();
        Ok((output.status.code().unwrap_or(-1), String::from_utf8(both)?))
    }

    /// Signs and sets the next policy, and waits for the epoch it begins.
    pub async fn toggle(
        &self,
        epoch: u64,
        before: &PublishedPolicy,
        terms: &str,
    ) -> Result<PublishedPolicy> {
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
    pub async fn policy(&self) -> Result<PublishedPolicy> {
        let mut connection = self.service.connect().await?;
        let report: Value = connection.get("/v1/aci/attestation").await?.json().await?;
        let text = &report["attestation"]["evidence"]["documents"]["retention"];
        Ok(PublishedPolicy::parse(text.as_str().context("a policy")?)?)
    }

    pub fn state(&self) -> PathBuf {
        self.service.directory().join("state")
    }

    /// The ledger, for a test to look into, or to hold against the service.
    pub async fn ledger(&self) -> Result<SqliteConnection> {
        let file = self.state().join("ledger.sqlite");
        Ok(SqliteConnection::connect(&format!("sqlite://{}", file.display())).await?)
    }

    /// Every file of the state directory, the log and the metrics.
    pub async fn everything_kept(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut all = files_below(&self.state())?;
        all.push(("the log".into(), self.service.log().into_bytes()));
        let mut connection = Connection::plain(self.metrics).await?;
        let metrics = connection.get("/metrics").await?.bytes().await?;
        all.push(("the metrics".into(), metrics));
        Ok(all)
    }
}

/// The holder of the policy key.
pub struct Operator<'a>(pub &'a Path);

impl Operator<'_> {
    pub fn write(
        &self,
        epoch: u64,
        predecessor: Option<Sha256Digest>,
        terms: &str,
    ) -> Result<PathBuf> {
        let predecessor = predecessor.map(|digest| format!("predecessor = \"{digest}\"\n"));
        let text = format!(
            "format = \"sealgate/retention/2\"\nsalt = \"{SALT}\"\nepoch = {epoch}\n{}{terms}",
            predecessor.unwrap_or_default()
        );
        let file = self.0.join(format!("retention-{epoch}.toml"));
        std::fs::write(&file, text)?;
        let _ = std::fs::remove_file(self.0.join(format!("retention-{epoch}.toml.sig")));
        Ok(file)
    }

    pub async fn sign(&self, policy: &Path) -> Result<()> {
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

pub async fn command(directory: &Path, arguments: &[&str]) -> Result<std::process::Output> {
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

pub fn files_below(directory: &Path) -> Result<Vec<(String, Vec<u8>)>> {
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

pub fn holds(bytes: &[u8], what: &str) -> bool {
    bytes
        .windows(what.len())
        .any(|window| window == what.as_bytes())
}

pub fn mode_of(receipt: &[u8]) -> Result<String> {
    let receipt = Receipt::parse(receipt)?;
    let applied = receipt.body().events.iter().find_map(|event| match event {
        Event::PolicyApplied { mode, .. } => Some(mode.clone()),
        _ => None,
    });
    applied.context("no policy.applied")
}
