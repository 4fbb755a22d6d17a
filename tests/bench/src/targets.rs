//! What is measured: no gateway, nginx, the bare proxy, and the gateway in each of its roles. All on loopback, in one
//! throwaway folder.

mod floor;
mod gateway;
mod litellm;
mod nginx;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::client::{Endpoint, fetch};
use crate::process::{Core, Precedence, Process, free_address, set_precedence, signal};
use crate::rows::Ledger;
use crate::shape::Shape;

pub const NO_GATEWAY: &str = "no gateway";
pub const FLOOR: &str = "bare proxy on our stack";
pub const PLAIN: &str = "sealgate, no TEE, plain out";
pub const DIRECT: &str = "sealgate, direct, receipts";
pub const DIRECT_DEFERRED: &str = "sealgate, direct, receipts signed on fetch";
pub const AGGREGATOR: &str = "sealgate, attested TLS out, receipts";
pub const DIRECT_TWO_CORES: &str = "sealgate, direct, on two cores";
pub const NGINX: &str = "nginx, TLS in, plain out";
pub const LITELLM: &str = "LiteLLM, TLS in, plain out";

/// The model name the plain gateway, nginx and the engine go by.
pub const MODEL: &str = "mock";

/// Something that answers chat completions.
pub struct Target {
    pub name: &'static str,
    pub url: String,
    pub model: &'static str,
    pub key: Option<String>,
    /// The process whose CPU time is the target's; nginx does its work in a child of the one that was started.
    pub pid: Option<u32>,
    process: Option<Process>,
    /// What has to run for it beside the process under test.
    support: Vec<Process>,
    /// Where its rows are counted, if it writes any.
    pub ledger: Option<Ledger>,
    /// How many requests it has answered.
    pub answered: u64,
    shapes: &'static [Shape],
}

impl Target {
    pub fn new(name: &'static str, url: String, model: &'static str) -> Self {
        Self {
            name,
            url,
            model,
            key: None,
            pid: None,
            process: None,
            support: Vec::new(),
            ledger: None,
            answered: 0,
            shapes: &Shape::ALL,
        }
    }

    /// The process does the work itself.
    fn run_by(mut self, process: Process) -> Self {
        self.pid = Some(process.id());
        self.process = Some(process);
        self
    }

    fn with_key(mut self, key: String) -> Self {
        self.key = Some(key);
        self
    }

    /// Measured under these shapes only.
    fn only_under(mut self, shapes: &'static [Shape]) -> Self {
        self.shapes = shapes;
        self
    }

    pub fn is_measured_under(&self, shape: Shape) -> bool {
        self.shapes.contains(&shape)
    }

    /// Stopped, it does not disturb what is measured meanwhile.
    pub fn stop(&self) {
        self.pid.iter().for_each(|pid| signal(*pid, "STOP"));
    }

    pub fn go_on(&self) {
        self.pid.iter().for_each(|pid| signal(*pid, "CONT"));
    }

    /// For everything that works for it.
    pub fn set_precedence(&self, precedence: Precedence) {
        let support = self.support.iter().map(Process::id);
        support
            .chain(self.pid)
            .for_each(|pid| set_precedence(pid, precedence));
    }

    pub fn last_words(&self) -> String {
        self.process
            .as_ref()
            .map(Process::last_words)
            .unwrap_or_default()
    }
}

impl Drop for Target {
    /// A stopped process would not end.
    fn drop(&mut self) {
        self.go_on();
    }
}

/// Everything that runs while measuring.
pub struct Bench {
    pub targets: Vec<Target>,
    /// What a reader of the table has to know: rows that are missing, and why.
    pub notes: Vec<String>,
    pub engine: Process,
    _folder: Folder,
}

/// A folder below the build's own, removed at the end.
pub struct Folder(PathBuf);

impl Folder {
    fn create() -> Result<Self> {
        let programs = programs()?;
        let target = programs
            .parent()
            .context("programs lie in a folder of the build")?;
        let path = target.join(format!("bench-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left_for_the_next_clean = std::fs::remove_dir_all(&self.0);
    }
}

pub fn start() -> Result<Bench> {
    let folder = Folder::create()?;
    let (engine, engine_address) = start_engine(&folder)?;

    let url = format!("http://{engine_address}/v1/chat/completions");
    let mut targets = vec![Target::new(NO_GATEWAY, url, MODEL).only_under(&NO_GATEWAY_SHAPES)];
    let mut notes = Vec::new();
    match nginx::start(&folder, engine_address)? {
        Some(target) => targets.push(target),
        None => notes.push(format!(
            "skipped: {NGINX}: nginx is not installed (tests/bench/nginx.sh unpacks Debian's; BENCH_NGINX says where its program is)"
        )),
    }
    match litellm::start(&folder, engine_address)? {
        Some(target) => targets.push(target),
        None => notes.push(format!(
            "skipped: {LITELLM}: it is not installed (pip install 'litellm[proxy]'; BENCH_LITELLM says where its program is)"
        )),
    }
    targets.push(floor::start(&folder, engine_address)?);
    targets.extend(gateway::start(&folder, engine_address)?);
    ready(targets, notes, engine, folder)
}

/// For the latencies that a gateway adds.
const NO_GATEWAY_SHAPES: [Shape; 6] = [
    Shape::Saturated,
    Shape::Rate,
    Shape::Stream,
    Shape::Burst,
    Shape::OneConnection,
    Shape::ThousandConnections,
];

/// A gateway whose ledger is to be filled, and the bare proxy beside it.
pub fn start_for_growth() -> Result<Bench> {
    let folder = Folder::create()?;
    let (engine, engine_address) = start_engine(&folder)?;
    let targets = vec![
        gateway::direct(&folder, engine_address, DIRECT, Core::Target)?,
        floor::start(&folder, engine_address)?,
    ];
    ready(targets, Vec::new(), engine, folder)
}

/// The gateway in front of the engine, as it is and with memory that is not wiped.
pub fn start_wiping_and_not() -> Result<Bench> {
    let folder = Folder::create()?;
    let (engine, engine_address) = start_engine(&folder)?;
    let targets = gateway::start_wiping_and_not(&folder, engine_address)?;
    ready(targets, Vec::new(), engine, folder)
}

/// The gateway with every duty, without some of them, and the bare proxy.
pub fn start_for_duties() -> Result<Bench> {
    let folder = Folder::create()?;
    let (engine, engine_address) = start_engine(&folder)?;
    let mut targets = vec![floor::start(&folder, engine_address)?];
    targets.extend(gateway::start_with_and_without_duties(
        &folder,
        engine_address,
    )?);
    let shapes: &[Shape] = &[Shape::Saturated, Shape::Rate];
    let targets = targets.into_iter().map(|target| target.only_under(shapes));
    ready(targets.collect(), Vec::new(), engine, folder)
}

fn start_engine(folder: &Folder) -> Result<(Process, SocketAddr)> {
    let engine_address = free_address()?;
    let mut engine = Process::start(
        Core::Load,
        &std::env::current_exe()?,
        &[
            "engine".into(),
            "--listen".into(),
            engine_address.to_string(),
        ],
        folder.path().join("engine.log"),
    )?;
    engine.wait_for(engine_address).context("the mock engine")?;
    Ok((engine, engine_address))
}

fn ready(
    mut targets: Vec<Target>,
    notes: Vec<String>,
    engine: Process,
    folder: Folder,
) -> Result<Bench> {
    for target in &mut targets {
        answers(target).with_context(|| format!("{}: {}", target.name, target.last_words()))?;
        target.answered += 1;
    }
    Ok(Bench {
        targets,
        notes,
        engine,
        _folder: folder,
    })
}

/// One whole answer, so that nothing is measured that does not work.
fn answers(target: &Target) -> Result<()> {
    let endpoint = Endpoint::parse(&target.url)?;
    let body = serde_json::json!({"model": target.model, "max_tokens": 1, "messages": [{"role": "user", "content": "hello"}]});
    let request = endpoint.request("POST", target.key.as_deref(), &body.to_string());
    let (status, text) = fetch(&endpoint, &request)?;
    ensure!(
        status == 200,
        "answered {status}: {}",
        String::from_utf8_lossy(&text)
    );
    Ok(())
}

/// The folder the programs were built into: where this one is.
fn programs() -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    Ok(this
        .parent()
        .context("a program lies in a folder")?
        .to_owned())
}

fn program(name: &str) -> Result<PathBuf> {
    let path = programs()?.join(name);
    ensure!(
        path.is_file(),
        "{} is not built; `make bench` builds it",
        path.display()
    );
    Ok(path)
}

/// A certificate for loopback and its key, as the paths of two PEM files.
fn write_certificate(folder: &Path, name: &str) -> Result<(String, String)> {
    let key = rcgen::KeyPair::generate()?;
    let certificate =
        rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()])?.self_signed(&key)?;
    let write = |end: &str, text: String| -> Result<String> {
        let path = folder.join(format!("{name}.{end}"));
        std::fs::write(&path, text)?;
        let path = path.to_str().context("the build's path is UTF-8")?;
        Ok(path.to_owned())
    };
    Ok((
        write("pem", certificate.pem())?,
        write("key", key.serialize_pem())?,
    ))
}

fn chat_url(address: SocketAddr) -> String {
    format!("https://{address}/v1/chat/completions")
}
