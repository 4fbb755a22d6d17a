//! The processes of a test, and which of them accept which.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use attest_core::{
    Appraisal, Appraiser, AttestationPolicy, Channel, Freshness, Nonce, SpkiDigest, UnixTime,
};
use testkit::client::Connection;
use testkit::config::{Config, Model};
use testkit::engine::{CHAT_MODEL, Engine};
use testkit::policy::{pinned_policy, write_policy};
use testkit::process::{Process, run, sibling};
use testkit::scratch::ScratchDir;
use testkit::service::{Identity, Service, free_address};
use testkit::{SoftwarePlatform, TdMeasurements};

/// The platform all machines of the tests are on.
pub const SEED: [u8; 32] = [0x5e; 32];

/// The confidential model every world serves.
pub const MODEL: &str = "sealed-model";

pub fn identity(measurement: &str) -> Identity {
    Identity::new(SEED, measurement)
}

pub fn now() -> UnixTime {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("it is after 1970");
    UnixTime::from_secs(since.as_secs())
}

/// An engine of ours behind an enclave, and a gateway in front of both.
pub struct World {
    pub directory: ScratchDir,
    pub engine: Engine,
    pub enclave: Service,
    pub enclave_key: String,
    pub gateway: Service,
    pub key: String,
}

impl World {
    /// A world that serves [`MODEL`].
    pub async fn new(name: &str) -> Result<Self> {
        Self::with(name, |config| config, |config, _, _| config).await
    }

    /// A world whose enclave and gateway configurations are completed by the test. The gateway's
    /// gets the enclave's URL and the file with the key for it.
    pub async fn with(
        name: &str,
        enclave_config: impl FnOnce(Config) -> Config,
        gateway_config: impl FnOnce(Config, &str, &Path) -> Config,
    ) -> Result<Self> {
        let directory = trusting_directory(name)?;
        let engine = Engine::start().await?;
        let config = Config::direct(free_address()?).serving(engine_model(&engine, MODEL));
        let enclave = start(&directory, "enclave", enclave_config(config)).await?;
        let enclave_key = enclave.create_key("gateway").await?;
        let key_file = directory.write("enclave.key", &enclave_key)?;
        let config = gateway_trusting(&directory, "enclave")?
            .serving(Model::confidential(MODEL, enclave.url()).with_key_from(&key_file));
        let config = gateway_config(config, &enclave.url(), &key_file);
        let gateway = start(&directory, "gateway", config).await?;
        let key = gateway.create_key("tests").await?;
        Ok(Self {
            directory,
            engine,
            enclave,
            enclave_key,
            gateway,
            key,
        })
    }

    /// `sealgate-verify proxy` in front of the gateway, and where it listens.
    pub async fn proxy(&self, more: &[&str]) -> Result<(Process, SocketAddr)> {
        proxy(self.directory.path(), &self.gateway.url(), more).await
    }
}

/// A directory with roots and a policy for each image.
pub fn trusting_directory(name: &str) -> Result<ScratchDir> {
    let directory = ScratchDir::new(name)?;
    SoftwarePlatform::from_seed(&SEED, now()).write_roots(&directory.path().join("roots"))?;
    for image in ["gateway", "enclave"] {
        write_policy(
            &policy_file(directory.path(), image),
            image,
            &TdMeasurements::named(image),
        )?;
    }
    Ok(directory)
}

pub fn policy_file(directory: &Path, image: &str) -> PathBuf {
    directory.join(format!("{image}-policy.toml"))
}

/// A confidential model that the engine knows as its chat model.
pub fn engine_model(engine: &Engine, id: &str) -> Model {
    Model::confidential(id, engine.base_url()).known_upstream_as(CHAT_MODEL)
}

/// The configuration of a gateway that accepts enclaves measured as `image`.
pub fn gateway_trusting(directory: &ScratchDir, image: &str) -> Result<Config> {
    let base = directory.path();
    Ok(Config::aggregator(
        free_address()?,
        &policy_file(base, image),
        &base.join("roots"),
    ))
}

/// Starts a gateway measured as `image` in a subdirectory of that name.
pub async fn start(directory: &ScratchDir, image: &str, config: Config) -> Result<Service> {
    start_as(directory, identity(image), config).await
}

pub async fn start_as(
    directory: &ScratchDir,
    identity: Identity,
    config: Config,
) -> Result<Service> {
    let home = directory.path().join(&identity.measurement);
    Service::start(&home, identity, config.listen, &config.text()).await
}

/// An enclave alone, in front of an engine.
pub struct Alone {
    pub directory: ScratchDir,
    pub engine: Engine,
    pub enclave: Service,
    pub key: String,
}

impl Alone {
    pub async fn new(name: &str, config: impl FnOnce(Config, &Engine) -> Config) -> Result<Self> {
        Self::as_identity(name, identity("enclave"), config).await
    }

    pub async fn as_identity(
        name: &str,
        identity: Identity,
        config: impl FnOnce(Config, &Engine) -> Config,
    ) -> Result<Self> {
        let directory = trusting_directory(name)?;
        let engine = Engine::start().await?;
        let base = Config::direct(free_address()?).serving(engine_model(&engine, MODEL));
        let enclave = start_as(&directory, identity, config(base, &engine)).await?;
        let key = enclave.create_key("tests").await?;
        Ok(Self {
            directory,
            engine,
            enclave,
            key,
        })
    }

    /// Runs `sealgate-verify` in the world's directory and gives exit code and JSON.
    pub async fn verify(&self, arguments: &[&str]) -> Result<(i32, Value)> {
        let program = sibling("sealgate-verify")?;
        let output = run(&program, arguments, self.directory.path()).await?;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        let json = serde_json::from_slice(&output.stdout).context(words)?;
        Ok((output.status.code().context("killed")?, json))
    }
}

pub async fn proxy(
    directory: &Path,
    upstream: &str,
    more: &[&str],
) -> Result<(Process, SocketAddr)> {
    let address = free_address()?;
    let listen = address.to_string();
    let fixed = ["proxy", "--listen", &listen, "--upstream", upstream];
    let judge = ["--policy", "gateway-policy.toml", "--roots", "roots"];
    let mut arguments = [&fixed[..], more].concat();
    if !more.contains(&"--policy") {
        arguments.extend(judge);
    }
    let mut process = Process::start(&sibling("sealgate-verify")?, arguments, directory)?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while Connection::plain(address).await.is_err() {
        if !process.is_running() || Instant::now() > deadline {
            bail!("the proxy does not listen. It said:\n{}", process.log());
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok((process, address))
}

/// Challenges a service over `connection` and judges it as `image` over that very channel.
pub async fn appraise(connection: &mut Connection, image: &str, nonce: Nonce) -> Result<Appraisal> {
    let path = format!("/v1/aci/attestation?nonce={nonce}&collateral=1");
    let report = connection.get(&path).await?.bytes().await?;
    judge(&report, image, Freshness::Challenged(nonce), connection)
}

pub fn judge(
    report: &[u8],
    image: &str,
    freshness: Freshness,
    connection: &Connection,
) -> Result<Appraisal> {
    let roots = SoftwarePlatform::from_seed(&SEED, now()).roots();
    let policy = AttestationPolicy::parse(&pinned_policy(image, &TdMeasurements::named(image)))?;
    let appraiser = Appraiser {
        roots: &roots,
        policy: &policy,
        collateral: None,
        now: now(),
    };
    let key = connection
        .spki_sha256()
        .context("the connection is not TLS")?;
    let channel = Channel::Tls {
        spki: SpkiDigest::from_bytes(key),
        host: "localhost",
    };
    Ok(appraiser.report(report, freshness, channel))
}
