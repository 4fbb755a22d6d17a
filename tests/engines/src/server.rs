//! The engine as a process on loopback.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

use crate::Installed;
use testkit::client::Connection;
use testkit::process::Process;
use testkit::scratch::ScratchDir;
use testkit::service::free_address;

/// How long the weights may take to load.
const START: Duration = Duration::from_secs(60);

/// What a server is asked for: llama.cpp serves chats or embeddings, not both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serving {
    Chats,
    Embeddings,
}

/// A running engine; killed when dropped.
pub struct Server {
    process: Process,
    address: SocketAddr,
    model: String,
    _directory: ScratchDir,
}

impl Server {
    /// Starts an engine and waits until it has loaded its model.
    pub async fn start(installed: &Installed, serving: Serving) -> Result<Self> {
        let directory = ScratchDir::new("engine")?;
        let address = free_address()?;
        let mut arguments = vec![
            "--host".to_owned(),
            address.ip().to_string(),
            "--port".to_owned(),
            address.port().to_string(),
            "--model".to_owned(),
            installed.model.file.display().to_string(),
            "--alias".to_owned(),
            installed.model.name.clone(),
            "--threads".to_owned(),
            threads().to_string(),
        ];
        if let Some(template) = installed.model.template {
            let file = directory.write("chat.jinja", template)?;
            arguments.push("--chat-template-file".to_owned());
            arguments.push(file.display().to_string());
        }
        arguments.extend(FIXED.map(str::to_owned));
        if serving == Serving::Embeddings {
            arguments.extend(["--embeddings", "--pooling", "mean"].map(str::to_owned));
        }
        let command = installed.llama.server(arguments);
        let process = Process::start(&command.program, command.arguments, &command.directory)?;
        let mut server = Self {
            process,
            address,
            model: installed.model.name.clone(),
            _directory: directory,
        };
        server.wait_until_ready().await?;
        Ok(server)
    }

    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the engine calls its model.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Everything that it has printed.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// One of the engine's metrics, such as `requests_processing`.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let mut connection = Connection::plain(self.address).await?;
        let text = connection.get("/metrics").await?.bytes().await?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let value = text.lines().find_map(|line| {
            let rest = line.strip_prefix("llamacpp:")?.strip_prefix(name)?;
            rest.strip_prefix(' ')?.trim().parse().ok()
        });
        match value {
            Some(value) => Ok(value),
            None => bail!("the engine has no metric {name}:\n{text}"),
        }
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            if let Ok(mut connection) = Connection::plain(self.address).await
                && let Ok(answer) = connection.get("/health").await
                && answer.status == 200
            {
                return Ok(());
            }
            if !self.process.is_running() {
                sleep(Duration::from_millis(100)).await;
                bail!("llama.cpp's server ended while starting:\n{}", self.log());
            }
            if Instant::now() > deadline {
                bail!("llama.cpp's server is not ready in time:\n{}", self.log());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Two conversations at a time with 2048 tokens each, 200 tokens of an answer unless a request says otherwise, the most
/// likely token each time, and no way out of this machine.
const FIXED: [&str; 12] = [
    "--offline",
    "--no-ui",
    "--no-slots",
    "--metrics",
    "--parallel",
    "2",
    "--ctx-size",
    "4096",
    "--predict",
    "200",
    "--temp",
    "0",
];

/// One processor is left to everything else: the engine's threads wait for each other by spinning, and where one of them
/// does not run, none gets on.
fn threads() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    processors.saturating_sub(1).clamp(1, 4)
}
