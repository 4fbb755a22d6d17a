//! Real gateways on the software platform: `sealgate-soft` processes with a configuration, an
//! address and API keys.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::{Instant, sleep};

use crate::client::{Connection, TlsClient};
use crate::process::{Process, run, sibling};

const TIMEOUT: Duration = Duration::from_secs(60);

/// Which build of the gateway runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// On the software platform.
    Soft,
    /// The same with memory that is not wiped: a control for the leak hunt, and for the cost of wiping.
    SoftUnwiped,
    /// As it is shipped; it knows nothing of the software platform.
    Shipped,
}

impl Program {
    pub fn name(self) -> &'static str {
        match self {
            Program::Soft => "sealgate-soft",
            Program::SoftUnwiped => "sealgate-soft-unwiped",
            Program::Shipped => "sealgate",
        }
    }
}

/// Who a process is on the software platform.
#[derive(Clone, Debug)]
pub struct Identity {
    pub program: Program,
    pub seed: [u8; 32],
    /// What [`TdMeasurements::named`](crate::TdMeasurements::named) measures.
    pub measurement: String,
    /// Whether it is an SEV-SNP guest and not a TD.
    pub snp: bool,
    pub gpus: usize,
    /// Whether it shows the log of [`TdMeasurements::booted`](crate::TdMeasurements::booted).
    pub event_log: bool,
    /// How long each quote takes.
    pub quote_delay: Duration,
    /// While this file exists, the next look at the clock panics.
    pub panic_file: Option<PathBuf>,
    /// How many seconds its clock is off.
    pub clock_file: Option<PathBuf>,
    /// What this file names goes wrong with the evidence.
    pub fault_file: Option<PathBuf>,
    /// A command that starts the program given to it as further arguments, in its own place.
    pub wrapper: Vec<OsString>,
}

impl Identity {
    pub fn new(seed: [u8; 32], measurement: &str) -> Self {
        Self {
            program: Program::Soft,
            seed,
            measurement: measurement.to_owned(),
            snp: false,
            gpus: 0,
            event_log: false,
            quote_delay: Duration::ZERO,
            panic_file: None,
            clock_file: None,
            fault_file: None,
            wrapper: Vec::new(),
        }
    }

    #[must_use]
    pub fn run_as(mut self, program: Program) -> Self {
        self.program = program;
        self
    }

    /// Started by this command, which ends by executing its further arguments.
    #[must_use]
    pub fn wrapped_in<S: Into<OsString>>(mut self, command: impl IntoIterator<Item = S>) -> Self {
        self.wrapper = command.into_iter().map(Into::into).collect();
        self
    }

    /// On a machine with this many GPUs.
    #[must_use]
    pub fn with_gpus(mut self, gpus: usize) -> Self {
        self.gpus = gpus;
        self
    }

    fn arguments(&self) -> Vec<OsString> {
        if self.program == Program::Shipped {
            return Vec::new();
        }
        let seed: String = self.seed.iter().map(|byte| format!("{byte:02x}")).collect();
        [
            "--platform-seed".to_owned(),
            seed,
            "--measurement".to_owned(),
            self.measurement.clone(),
            "--cpu".to_owned(),
            if self.snp { "snp" } else { "tdx" }.to_owned(),
            "--gpus".to_owned(),
            self.gpus.to_string(),
            "--event-log".to_owned(),
            if self.event_log { "yes" } else { "no" }.to_owned(),
            "--quote-delay-ms".to_owned(),
            self.quote_delay.as_millis().to_string(),
        ]
        .map(OsString::from)
        .into_iter()
        .chain(file("--panic-file", &self.panic_file))
        .chain(file("--clock-file", &self.clock_file))
        .chain(file("--fault-file", &self.fault_file))
        .collect()
    }
}

fn file(flag: &str, path: &Option<PathBuf>) -> impl Iterator<Item = OsString> {
    let given = path.iter().map(|path| path.clone().into_os_string());
    given
        .flat_map(|path| [OsString::from(flag), path])
        .collect::<Vec<_>>()
        .into_iter()
}

/// A gateway process; killed when dropped.
pub struct Service {
    program: PathBuf,
    identity: Identity,
    directory: PathBuf,
    address: SocketAddr,
    process: Process,
}

impl Service {
    /// Writes `sealgate.toml` into `directory`, starts the gateway there, and waits until it is
    /// ready. The configuration must listen on `address`.
    pub async fn start(
        directory: &Path,
        identity: Identity,
        address: SocketAddr,
        config: &str,
    ) -> Result<Self> {
        let program = sibling(identity.program.name())?;
        std::fs::create_dir_all(directory)?;
        std::fs::write(directory.join("sealgate.toml"), config)?;
        let process = spawn(&program, &identity, directory)?;
        let mut service = Self {
            program,
            identity,
            directory: directory.to_owned(),
            address,
            process,
        };
        service.wait_until_ready().await?;
        Ok(service)
    }

    /// Ends the process as an operator would and restarts it on the same state.
    pub async fn restart(&mut self) -> Result<()> {
        self.end("TERM").await?;
        self.start_again().await
    }

    /// Ends the process with a signal, by name.
    pub async fn end(&mut self, signal: &str) -> Result<()> {
        self.process.signal(signal)?;
        self.process.ended().await?;
        Ok(())
    }

    /// Starts it again on the same state, after it has ended.
    pub async fn start_again(&mut self) -> Result<()> {
        self.process = spawn(&self.program, &self.identity, &self.directory)?;
        self.wait_until_ready().await
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The id of the running process.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Opens a separate connection and accepts any key that the gateway shows.
    pub async fn connect(&self) -> Result<Connection> {
        TlsClient::observing().connect(self.address).await
    }

    /// Runs a subcommand of the gateway's CLI beside the running process.
    pub async fn cli(&self, arguments: &[&str]) -> Result<std::process::Output> {
        let mut all = self.identity.arguments();
        all.extend(arguments.iter().map(OsString::from));
        run(&self.program, all, &self.directory).await
    }

    /// Replaces the configuration file; [`reload`](Self::reload) makes the gateway read it.
    pub fn write_config(&self, config: &str) -> Result<()> {
        Ok(std::fs::write(
            self.directory.join("sealgate.toml"),
            config,
        )?)
    }

    /// Asks for a new epoch and waits until new connections get its key.
    pub async fn reload(&self) -> Result<()> {
        let before = self.connect().await?.spki_sha256();
        self.process.signal("HUP")?;
        let deadline = Instant::now() + TIMEOUT;
        while self.connect().await?.spki_sha256() == before {
            if Instant::now() > deadline {
                bail!("no new epoch began. The gateway said:\n{}", self.log());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Ok(mut connection) = self.connect().await
                && let Ok(answer) = connection.get("/readyz").await
                && answer.status == 200
            {
                return Ok(());
            }
            if !self.process.is_running() {
                sleep(Duration::from_millis(100)).await;
                bail!("the gateway ended while starting:\n{}", self.log());
            }
            if Instant::now() > deadline {
                bail!("the gateway is not ready in time:\n{}", self.log());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Creates an API key for `tenant` and waits until the gateway takes it.
    pub async fn create_key(&self, tenant: &str) -> Result<String> {
        let output = self.cli(&["keys", "create", "--tenant", tenant]).await?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!(
                "keys create failed: {text}{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        let key = text
            .split_whitespace()
            .find(|word| word.starts_with("sk-"))
            .with_context(|| format!("no key in: {text}"))?;
        self.wait_until_known(key).await?;
        Ok(key.to_owned())
    }

    /// A running gateway notices changes to its keys within a second.
    async fn wait_until_known(&self, key: &str) -> Result<()> {
        let deadline = Instant::now() + TIMEOUT;
        let mut connection = self.connect().await?;
        while connection.get_as(key, "/v1/models").await?.status != 200 {
            if Instant::now() > deadline {
                bail!(
                    "the gateway does not take its new key. It said:\n{}",
                    self.log()
                );
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

fn spawn(program: &Path, identity: &Identity, directory: &Path) -> Result<Process> {
    let mut arguments = identity.arguments();
    arguments.extend(["serve", "sealgate.toml"].map(OsString::from));
    match identity.wrapper.split_first() {
        Some((wrapper, rest)) => {
            let program = [program.as_os_str().to_owned()];
            let arguments = rest.iter().cloned().chain(program).chain(arguments);
            Process::start(Path::new(wrapper), arguments, directory)
        }
        None => Process::start(program, arguments, directory),
    }
}

/// A loopback address that nothing listens on.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The preferred loopback port, or a free one where that is taken.
pub fn preferred_address(port: u16) -> Result<SocketAddr> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(listener) => Ok(listener.local_addr()?),
        Err(_) => free_address(),
    }
}
