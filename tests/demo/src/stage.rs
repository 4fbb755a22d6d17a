//! Everything that runs during the demo.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::engine::{Backend, Choice};
use crate::say;
use attest_core::UnixTime;
use testkit::config::{Config, Model};
use testkit::engine::{CHAT_MODEL, Engine};
use testkit::policy::{EVENT_LOG_SECTION, gpu_section, pinned_policy, write_policy};
use testkit::process::{Process, sibling};
use testkit::scratch::ScratchDir;
use testkit::service::{Identity, Service, free_address, preferred_address};
use testkit::{SoftwarePlatform, TdMeasurements};

/// One seed is one platform; the demo's machines share it as real ones share Intel's root.
const SEED: [u8; 32] = *b"the demo's software platform, v1";
/// The model that is served by the enclave the policy names.
pub const MODEL: &str = "demo-model";
/// What each enclave's machine has.
pub const GPUS: usize = 2;
/// The model whose enclave turns out to be another one.
pub const IMPOSTOR_MODEL: &str = "impostor-model";

pub struct Stage {
    pub directory: ScratchDir,
    pub engine: Backend,
    /// Behind the impostor: always ours, so that it can be asked what it has seen.
    pub impostor_engine: Engine,
    pub enclave: Service,
    pub impostor: Service,
    pub gateway: Service,
    pub key: String,
    pub proxy: Process,
    pub proxy_url: String,
}

impl Stage {
    pub async fn set(choice: &Choice, once: bool) -> Result<Self> {
        say::section("Setting the stage");
        say::note("A software platform stands in for the hardware; every verdict says so.");
        let directory = ScratchDir::new("demo")?;
        write_trust(directory.path())?;
        let engine = Backend::start(choice).await?;
        say::note(&format!(
            "engine    {}  (model {})",
            engine.url(),
            engine.model()
        ));

        let address = |port| {
            if once {
                free_address()
            } else {
                preferred_address(port)
            }
        };
        let enclave = start_enclave(
            &directory,
            "enclave",
            address(9443)?,
            &engine.url(),
            engine.model(),
        )
        .await?;
        say::note(&format!(
            "enclave   {}  in front of the engine, measured as \"enclave\", with {GPUS} GPUs",
            enclave.url()
        ));
        let impostor_engine = Engine::start().await?;
        let impostor = start_enclave(
            &directory,
            "other",
            address(9444)?,
            &impostor_engine.base_url(),
            CHAT_MODEL,
        )
        .await?;
        say::note(&format!(
            "impostor  {}  the same program, measured as \"other\"",
            impostor.url()
        ));
        let gateway = start_gateway(&directory, address(8443)?, &enclave, &impostor).await?;
        let key = gateway.create_key("demo").await?;
        say::note(&format!(
            "gateway   {}  measured as \"gateway\"",
            gateway.url()
        ));

        let (proxy, proxy_url) = start_proxy(directory.path(), &gateway, address(8787)?).await?;
        say::note(&format!(
            "proxy     {proxy_url}  sealgate-verify, on the client's side"
        ));
        Ok(Self {
            directory,
            engine,
            impostor_engine,
            enclave,
            impostor,
            gateway,
            key,
            proxy,
            proxy_url,
        })
    }

    /// What the processes said, for when something went wrong.
    pub fn print_logs(&self) {
        let logs = [
            ("enclave", self.enclave.log()),
            ("impostor", self.impostor.log()),
            ("gateway", self.gateway.log()),
            ("proxy", self.proxy.log()),
        ];
        for (name, log) in logs {
            say::section(&format!("What the {name} said"));
            say::output(&log);
        }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Roots, and one policy for each image that a client is meant to accept.
fn write_trust(directory: &Path) -> Result<()> {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)?
        .as_secs();
    SoftwarePlatform::from_seed(&SEED, UnixTime::from_secs(now))
        .write_roots(&directory.join("roots"))?;
    write_policy(
        &directory.join("gateway-policy.toml"),
        "gateway",
        &TdMeasurements::named("gateway"),
    )?;
    let enclave = pinned_policy("enclave", &TdMeasurements::booted("enclave"));
    let enclave = enclave + EVENT_LOG_SECTION + &gpu_section(GPUS);
    std::fs::write(directory.join("enclave-policy.toml"), enclave)?;
    Ok(())
}

async fn start_enclave(
    directory: &ScratchDir,
    measurement: &str,
    address: std::net::SocketAddr,
    engine_url: &str,
    engine_model: &str,
) -> Result<Service> {
    let model = Model::confidential(MODEL, engine_url).known_upstream_as(engine_model);
    let config = Config {
        gpus: GPUS,
        ..Config::direct(address)
    };
    let config = config.serving(model).text();
    let home = directory.path().join(measurement);
    let who = Identity {
        event_log: true,
        ..Identity::new(SEED, measurement).with_gpus(GPUS)
    };
    let service = Service::start(&home, who, address, &config)
        .await
        .with_context(|| format!("the enclave measured as {measurement:?} does not start"))?;
    let key = service.create_key("gateway").await?;
    let file = key_file(directory.path(), measurement);
    let name = file.file_name().context("a file's name")?;
    directory.write(&name.to_string_lossy(), key)?;
    Ok(service)
}

/// Where the gateway finds the credential that an enclave asks it for.
fn key_file(directory: &Path, measurement: &str) -> PathBuf {
    directory.join(format!("{measurement}.key"))
}

async fn start_gateway(
    directory: &ScratchDir,
    address: std::net::SocketAddr,
    enclave: &Service,
    impostor: &Service,
) -> Result<Service> {
    let base = directory.path();
    let upstream = |id, service: &Service, measurement| {
        Model::confidential(id, service.url())
            .known_upstream_as(MODEL)
            .with_key_from(&key_file(base, measurement))
    };
    let config = Config::aggregator(
        address,
        &base.join("enclave-policy.toml"),
        &base.join("roots"),
    )
    .serving(upstream(MODEL, enclave, "enclave"))
    .serving(upstream(IMPOSTOR_MODEL, impostor, "other"))
    .text();
    Service::start(
        &base.join("gateway"),
        Identity::new(SEED, "gateway"),
        address,
        &config,
    )
    .await
    .context("the gateway does not start")
}

async fn start_proxy(
    directory: &Path,
    gateway: &Service,
    address: std::net::SocketAddr,
) -> Result<(Process, String)> {
    let arguments = [
        "proxy",
        "--listen",
        &address.to_string(),
        "--upstream",
        &gateway.url(),
        "--policy",
        "gateway-policy.toml",
        "--roots",
        "roots",
        "--require-receipt",
        "--keep-receipts",
        "receipts",
    ]
    .map(str::to_owned);
    let mut process = Process::start(&sibling("sealgate-verify")?, arguments, directory)?;
    let url = format!("http://{address}/v1");
    process
        .wait_for(|line| line.contains(&address.to_string()).then_some(()))
        .await
        .context("the proxy does not start")?;
    Ok((process, url))
}
