//! What runs: an enclave in front of an engine and a gateway in front of the enclave, both on the software platform; the
//! gateway as it is shipped, in front of the engine; and the verifying proxy before the gateway.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use blackbox::world::{gateway_trusting, identity, proxy, start_as, trusting_directory};
use testkit::config::{Config, Model};
use testkit::engine::{CHAT_MODEL, Engine};
use testkit::process::{Process, run, sibling};
use testkit::scratch::ScratchDir;
use testkit::service::{Program, Service, free_address};

/// The models; those that name a fault are the engine's own.
pub const MODELS: [&str; 4] = ["chat", "slow-stream", "fail-500", "fail-400"];

/// Tenants and what is kept of their requests.
pub const TENANTS: [Tenant; 5] = [
    Tenant::new("metadata-serve", true),
    Tenant::new("metadata-refuse", true),
    Tenant::new("content-serve", true),
    Tenant::new("content-refuse", true),
    Tenant::new("zero", false),
];

const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

const LIMITS: &str = "[limits]\nmax_concurrent_per_key = 1024\n";

#[derive(Clone, Copy, Debug)]
pub struct Tenant {
    pub name: &'static str,
    /// Whether rows and receipts of its requests outlive the process.
    pub is_kept: bool,
}

impl Tenant {
    const fn new(name: &'static str, is_kept: bool) -> Self {
        Self { name, is_kept }
    }
}

/// A way in.
pub struct Door {
    pub name: &'static str,
    pub address: SocketAddr,
    pub tls: bool,
    /// Which of the gateways answers.
    pub gateway: usize,
    /// One for each of [`TENANTS`].
    pub keys: Vec<String>,
}

pub struct Gateway {
    pub name: &'static str,
    pub service: Service,
    /// As in [`Door`].
    pub keys: Vec<String>,
    /// What it has written before it was started again.
    pub earlier_log: String,
}

pub struct Stage {
    pub gateways: Vec<Gateway>,
    pub doors: Vec<Door>,
    pub proxy: Process,
    _engine: Engine,
    _directory: ScratchDir,
}

impl Stage {
    pub async fn start() -> Result<Self> {
        let directory = trusting_directory("soak")?;
        let retention = retention(&directory).await?;
        let engine = Engine::start().await?;
        let models = |config: Config, url: &str, confidential: bool| {
            MODELS.into_iter().fold(config, |config, id| {
                let known = if id == "chat" { CHAT_MODEL } else { id };
                config.serving(match confidential {
                    true => Model::confidential(id, url).known_upstream_as(known),
                    false => Model::plain(id, url).known_upstream_as(known),
                })
            })
        };
        let config = Config::direct(free_address()?).and(LIMITS).and(&retention);
        let config = models(config, &engine.base_url(), true);
        let enclave = start_as(&directory, identity("enclave"), config).await?;
        let enclave = Gateway::with_keys("enclave", enclave).await?;
        let upstream_key = enclave.service.create_key("aggregator").await?;
        let key_file = directory.write("enclave.key", &upstream_key)?;

        let mut config = gateway_trusting(&directory, "enclave")?
            .and(LIMITS)
            .and(&retention);
        for id in MODELS {
            let model = Model::confidential(id, enclave.service.url()).with_key_from(&key_file);
            config = config.serving(model);
        }
        let aggregator = start_as(&directory, identity("gateway"), config).await?;
        let aggregator = Gateway::with_keys("aggregator", aggregator).await?;

        let mut config = Config::direct(free_address()?).and(LIMITS).and(&retention);
        config.mode = "aggregator";
        config.tee = "none";
        let config = models(config, &engine.base_url(), false);
        let shipped = Service::start(
            &directory.path().join("shipped"),
            identity("none").run_as(Program::Shipped),
            config.listen,
            &config.text(),
        )
        .await?;
        let shipped = Gateway::with_keys("shipped", shipped).await?;

        let gateways = vec![enclave, aggregator, shipped];
        let url = gateways[1].service.url();
        let (proxy, address) = proxy(directory.path(), &url, &[]).await?;
        let mut doors = vec![Door {
            name: "proxy",
            address,
            tls: false,
            gateway: 1,
            keys: gateways[1].keys.clone(),
        }];
        doors.extend(gateways.iter().enumerate().map(|(gateway, one)| Door {
            name: one.name,
            address: one.service.address(),
            tls: true,
            gateway,
            keys: one.keys.clone(),
        }));
        Ok(Self {
            gateways,
            doors,
            proxy,
            _engine: engine,
            _directory: directory,
        })
    }

    /// The processes whose memory and descriptors are watched.
    pub fn processes(&self) -> Result<Vec<(&'static str, u32)>> {
        let mut found = vec![("proxy", self.proxy.id().context("the proxy runs")?)];
        for gateway in &self.gateways {
            found.push((gateway.name, gateway.service.id().context("it runs")?));
        }
        Ok(found)
    }

    /// Stops every gateway as an operator would and starts it again on its state; what went wrong with that.
    pub async fn restart(&mut self) -> Vec<String> {
        let mut faults = Vec::new();
        for gateway in &mut self.gateways {
            if let Err(error) = gateway.restart().await {
                faults.push(format!("{}: {error:#}", gateway.name));
            }
        }
        faults
    }
}

impl Gateway {
    async fn with_keys(name: &'static str, service: Service) -> Result<Self> {
        let mut keys = Vec::new();
        for tenant in TENANTS {
            keys.push(service.create_key(tenant.name).await?);
        }
        Ok(Self {
            name,
            service,
            keys,
            earlier_log: String::new(),
        })
    }

    async fn restart(&mut self) -> Result<()> {
        self.service.process().signal("TERM")?;
        let status = self.service.process().ended().await?;
        self.earlier_log = self.service.log();
        ensure!(status.success(), "it was stopped and ended with {status}");
        self.service.start_again().await
    }

    pub fn database(&self) -> PathBuf {
        self.service.directory().join("state/ledger.sqlite")
    }
}

/// Writes the retention policy, signed, and returns the section that names it.
async fn retention(directory: &ScratchDir) -> Result<String> {
    let rule = |tenant: &str, terms: &str| format!("[[rule]]\ntenants = [{tenant:?}]\n{terms}\n");
    let content = format!("mode = \"content\"\nttl = \"1d\"\nrecipients = [{RECIPIENT:?}]\n");
    let policy = [
        "format = \"sealgate/retention/2\"\nepoch = 1\nsalt = \"5ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea1\"\n[default]\nmode = \"metadata\"\nttl = \"1d\"\n"
            .to_owned(),
        rule("metadata-refuse", "mode = \"metadata\"\nttl = \"1d\"\non_failure = \"refuse\""),
        rule("content-serve", &format!("{content}on_failure = \"serve\"")),
        rule("content-refuse", &format!("{content}on_failure = \"refuse\"")),
        rule("zero", "mode = \"zero\""),
    ]
    .concat();
    let file = directory.write("retention.toml", policy)?;
    let public = command(directory, &["keygen", "--out", "policy.key"]).await?;
    command(
        directory,
        &["sign", "--key", "policy.key", "retention.toml"],
    )
    .await?;
    Ok(format!(
        "[retention]\npolicy = {:?}\nkeys = [{:?}]\n",
        file.display().to_string(),
        public.trim()
    ))
}

async fn command(directory: &ScratchDir, arguments: &[&str]) -> Result<String> {
    let arguments = [&["retention"], arguments].concat();
    let output = run(&sibling("sealgate")?, arguments, directory.path()).await?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).context("a public key")
}
