//! The processes under test, and their entry points.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::bodies::{MODELS, teach, teach_short};
use crate::canary::{Canary, Form, Needle, Side};
use crate::keeping::Keeping;
use crate::memory::Needles;
use blackbox::world::{gateway_trusting, identity, proxy, start_as, trusting_directory};
use testkit::config::{Config, Model};
use testkit::engine::Engine;
use testkit::process::Process;
use testkit::scratch::ScratchDir;
use testkit::service::{Identity, Program, Service, free_address};

/// Long enough for a large prompt on a busy machine, short enough to wait for an answer that never comes.
pub const TIMEOUTS: &str =
    "[timeouts]\nfirst_byte = \"20s\"\n[limits]\nmax_concurrent_per_key = 1024";

/// In bytes. What the scenarios send too much of is more than this, and more than a gateway's limit.
const PROXYS_LIMIT: &str = "8388608";

/// The tenant that the aggregator is to the enclave.
const BEHIND: &str = "aggregator";

/// A way in, and who handles what comes through it.
#[derive(Clone)]
pub struct Door {
    pub name: &'static str,
    pub address: SocketAddr,
    pub tls: bool,
    pub key: String,
    /// A canary that the heads of requests hold.
    pub word: String,
    pub hunted: Vec<Hunted>,
}

/// One process whose memory is searched.
#[derive(Clone)]
pub struct Hunted {
    pub name: &'static str,
    pub pid: u32,
}

/// How the gateways differ from the usual.
#[derive(Default)]
pub struct Manner {
    /// Sections for the enclave's configuration.
    pub enclave: String,
    /// Sections for the aggregator's configuration.
    pub aggregator: String,
    /// A name for one model more, and for the tenant who asks.
    pub model: Option<String>,
    /// What both keep.
    pub keeping: Keeping,
}

/// Everything that runs. The aggregator and the enclave are on the software platform; `sealgate` as
/// it is shipped runs without evidence, since this machine has none to give.
pub struct Stage {
    pub prompts: Canary,
    responses: Canary,
    pub needles: Needles,
    /// What the gateways keep of requests.
    pub keeping: Keeping,
    pub doors: Vec<Door>,
    pub enclave: Service,
    pub aggregator: Service,
    pub shipped: Option<Service>,
    pub proxy: Option<Process>,
    pub proxy_to_enclave: Option<Process>,
    pub enclave_key: String,
    engine: Engine,
    directory: ScratchDir,
}

impl Stage {
    /// What people run.
    pub async fn wiping() -> Result<Self> {
        let mut stage = Self::both_gateways(Program::Soft, "leaks", &Manner::default()).await?;
        stage.open_proxy().await?;
        stage.open_proxy_to_enclave().await?;
        let directory = stage.directory.path().to_owned();
        let mut config = Config::direct(free_address()?).and(TIMEOUTS);
        config.mode = "aggregator";
        config.tee = "none";
        for model in MODELS {
            config = config.serving(Model::plain(model, stage.engine.base_url()));
        }
        let shipped = Service::start(
            &directory.join("shipped"),
            identity("none").run_as(Program::Shipped),
            config.listen,
            &config.text(),
        )
        .await?;
        stage.doors.push(Door {
            name: "sealgate",
            address: shipped.address(),
            tls: true,
            key: shipped.create_key("leaks").await?,
            word: stage.prompts.word().to_owned(),
            hunted: vec![hunt("sealgate", shipped.id())?],
        });
        stage.shipped = Some(shipped);
        Ok(stage)
    }

    /// Both gateways as people run them, under another policy.
    pub async fn under(keeping: Keeping) -> Result<Self> {
        let manner = Manner {
            keeping,
            ..Manner::default()
        };
        Self::both_gateways(Program::Soft, "leaks-keeping", &manner).await
    }

    /// What people run, in the manner wanted, with a proxy in front.
    pub async fn in_manner(manner: &Manner) -> Result<Self> {
        let mut stage = Self::both_gateways(Program::Soft, "leaks-outputs", manner).await?;
        stage.open_proxy().await?;
        Ok(stage)
    }

    /// With `sealgate-verify proxy` before the aggregator, as the first door.
    pub async fn behind_a_proxy(mut self) -> Result<Self> {
        self.open_proxy().await?;
        Ok(self)
    }

    async fn open_proxy(&mut self) -> Result<()> {
        let aggregator = self.doors.last().context("the aggregator has a door")?;
        let url = format!("https://{}", aggregator.address);
        let (process, address) =
            proxy(self.directory.path(), &url, &["--max-body", PROXYS_LIMIT]).await?;
        let hunted = hunt("sealgate-verify proxy", process.id())?;
        let door = Door {
            name: "proxy",
            address,
            tls: false,
            key: aggregator.key.clone(),
            word: aggregator.word.clone(),
            hunted: [vec![hunted], aggregator.hunted.clone()].concat(),
        };
        self.doors.insert(0, door);
        self.proxy = Some(process);
        Ok(())
    }

    /// Puts another before the enclave, for clients who need no aggregator.
    async fn open_proxy_to_enclave(&mut self) -> Result<()> {
        let judge = ["--policy", "enclave-policy.toml", "--roots", "roots"];
        let more = [&["--max-body", PROXYS_LIMIT], &judge[..]].concat();
        let (process, address) = proxy(self.directory.path(), &self.enclave.url(), &more).await?;
        let enclave = self.enclave_door()?;
        let hunted = hunt("proxy to the enclave", process.id())?;
        let door = Door {
            name: "proxy to the enclave",
            address,
            tls: false,
            key: enclave.key,
            word: enclave.word,
            hunted: [vec![hunted], enclave.hunted].concat(),
        };
        self.doors.insert(0, door);
        self.proxy_to_enclave = Some(process);
        Ok(())
    }

    /// The control: the same gateways with an allocator that leaves things as they are.
    pub async fn leaving() -> Result<Self> {
        Self::both_gateways(Program::SoftUnwiped, "leaks-control", &Manner::default()).await
    }

    async fn both_gateways(program: Program, name: &str, manner: &Manner) -> Result<Self> {
        let directory = trusting_directory(name)?;
        let (prompts, responses) = (Canary::fresh(), Canary::fresh());
        let mut needles = prompts.needles(Side::Prompt);
        needles.extend(responses.needles(Side::Response));
        let engine = Engine::start().await?;
        teach(&engine, &responses);

        let who = |image: &str| Identity {
            panic_file: Some(panic_file(directory.path(), image)),
            ..identity(image).run_as(program)
        };
        let models = || MODELS.into_iter().chain(manner.model.as_deref());
        if let Some(model) = &manner.model {
            teach_short(&engine, model, &responses);
        }
        let tenant = manner.model.as_deref().unwrap_or("leaks");
        let keeping = manner.keeping;
        let retention = keeping.configure(&directory, &[tenant, BEHIND]).await?;
        let mut config = Config::direct(free_address()?)
            .and(TIMEOUTS)
            .and(&retention)
            .and(&manner.enclave);
        for model in models() {
            config = config.serving(Model::confidential(model, engine.base_url()));
        }
        let enclave = start_as(&directory, who("enclave"), config).await?;
        let enclave_key = enclave.create_key(BEHIND).await?;
        let key_file = directory.write("enclave.key", &enclave_key)?;

        let mut config = gateway_trusting(&directory, "enclave")?
            .and(TIMEOUTS)
            .and(&retention)
            .and(&manner.aggregator);
        for model in models() {
            config =
                config.serving(Model::confidential(model, enclave.url()).with_key_from(&key_file));
        }
        let aggregator = start_as(&directory, who("gateway"), config).await?;
        let door = Door {
            name: "aggregator",
            address: aggregator.address(),
            tls: true,
            key: aggregator.create_key(tenant).await?,
            word: prompts.word().to_owned(),
            hunted: vec![
                hunt("aggregator", aggregator.id())?,
                hunt("enclave", enclave.id())?,
            ],
        };
        Ok(Self {
            prompts,
            responses,
            needles: Needles::new(needles),
            keeping,
            doors: vec![door],
            enclave,
            aggregator,
            shipped: None,
            proxy: None,
            proxy_to_enclave: None,
            enclave_key,
            engine,
            directory,
        })
    }
}

impl Stage {
    /// Below it lies every file that the processes could have written.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What may not be left of requests through this door: canaries, and the API key.
    pub fn needles_of(&self, door: &Door) -> Needles {
        let mut needles = self.canaries();
        needles.push(Needle {
            side: Side::Prompt,
            form: Form::Raw,
            bytes: door.key.clone().into_bytes(),
        });
        Needles::new(needles)
    }

    /// The same without the API key: for a process in which a request with that key is under way.
    pub fn needles_without_keys(&self) -> Needles {
        Needles::new(self.canaries())
    }

    fn canaries(&self) -> Vec<Needle> {
        let mut needles = self.prompts.needles(Side::Prompt);
        needles.extend(self.responses.needles(Side::Response));
        needles
    }

    /// Straight to the enclave.
    pub fn enclave_door(&self) -> Result<Door> {
        Ok(Door {
            name: "enclave",
            address: self.enclave.address(),
            tls: true,
            key: self.enclave_key.clone(),
            word: self.prompts.word().to_owned(),
            hunted: vec![hunt("enclave", self.enclave.id())?],
        })
    }

    /// While it exists, the next look at the clock of the process measured as `image` panics.
    pub fn panic_file(&self, image: &str) -> PathBuf {
        panic_file(self.directory.path(), image)
    }
}

/// In its state directory, the one place where a process may take a file away.
fn panic_file(directory: &Path, image: &str) -> PathBuf {
    directory.join(image).join("state").join("panics")
}

fn hunt(name: &'static str, pid: Option<u32>) -> Result<Hunted> {
    let pid = pid.with_context(|| format!("{name} runs"))?;
    Ok(Hunted { name, pid })
}
