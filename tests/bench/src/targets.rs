//! What is measured: nothing at all, nginx, and the gateway in each of its roles. All on loopback, in one throwaway folder.

mod gateway;
mod litellm;
mod nginx;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::client::Endpoint;
use crate::process::{Core, Process, free_address};

pub const DIRECT: &str = "direct";
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
}

impl Target {
    pub fn last_words(&self) -> String {
        self.process
            .as_ref()
            .map(Process::last_words)
            .unwrap_or_default()
    }
}

/// Everything that runs while measuring.
pub struct Bench {
    pub targets: Vec<Target>,
    /// What a reader of the table has to know: rows that are missing, and why.
    pub notes: Vec<String>,
    _engine: Process,
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

    let mut targets = vec![Target {
        name: DIRECT,
        url: format!("http://{engine_address}/v1/chat/completions"),
        model: MODEL,
        key: None,
        pid: None,
        process: None,
        support: Vec::new(),
    }];
    let mut notes = Vec::new();
    match nginx::start(&folder, engine_address)? {
        Some(target) => targets.push(target),
        None => notes.push(format!(
            "skipped: {NGINX}: nginx is not installed (apt-get install nginx-light)"
        )),
    }
    match litellm::start(&folder, engine_address)? {
        Some(target) => targets.push(target),
        None => notes.push(format!(
            "skipped: {LITELLM}: it is not installed (pip install 'litellm[proxy]'; BENCH_LITELLM says where its program is)"
        )),
    }
    targets.extend(gateway::start(&folder, engine_address)?);
    ready(targets, notes, engine, folder)
}

/// The gateway in front of the engine, as it is and with memory that is not wiped.
pub fn start_wiping_and_not() -> Result<Bench> {
    let folder = Folder::create()?;
    let (engine, engine_address) = start_engine(&folder)?;
    let targets = gateway::start_wiping_and_not(&folder, engine_address)?;
    ready(targets, Vec::new(), engine, folder)
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
    targets: Vec<Target>,
    notes: Vec<String>,
    engine: Process,
    folder: Folder,
) -> Result<Bench> {
    for target in &targets {
        answers(target).with_context(|| format!("{}: {}", target.name, target.last_words()))?;
    }
    Ok(Bench {
        targets,
        notes,
        _engine: engine,
        _folder: folder,
    })
}

/// One whole answer, so that nothing is measured that does not work.
fn answers(target: &Target) -> Result<()> {
    let endpoint = Endpoint::parse(&target.url)?;
    let body = serde_json::json!({"model": target.model, "max_tokens": 1, "messages": [{"role": "user", "content": "hello"}]});
    let request = endpoint.request("POST", target.key.as_deref(), &body.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (status, text) = runtime.block_on(async {
        let exchange = async {
            let mut connection = endpoint.connect().await?;
            connection.send(&request).await?;
            let head = connection.head().await?;
            let mut text = Vec::new();
            connection
                .body(&head, |piece| text.extend_from_slice(piece))
                .await?;
            anyhow::Ok((head.status, text))
        };
        tokio::time::timeout(Duration::from_secs(20), exchange).await?
    })?;
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

fn chat_url(address: SocketAddr) -> String {
    format!("https://{address}/v1/chat/completions")
}
