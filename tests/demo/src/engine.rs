//! The engine behind the enclave: llama.cpp on a real model, the built-in one, or one that is already running.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::say;
use engines::{Installed, Place, Server, Serving, Unavailable};
use testkit::client::Connection;
use testkit::engine::{CHAT_MODEL, Engine};

/// Which engine answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// llama.cpp on the pinned model, or the built-in engine where it cannot be had.
    Pinned,
    /// llama.cpp on a model of the user's, a GGUF file.
    File(PathBuf),
    /// The built-in engine; nothing is downloaded.
    BuiltIn,
    /// One that is running on this machine.
    Running(String),
}

pub enum Backend {
    Llama(Box<Server>),
    BuiltIn(Engine),
    Running { url: String, model: String },
}

impl Backend {
    pub async fn start(choice: &Choice) -> Result<Self> {
        match choice {
            Choice::BuiltIn => Self::built_in().await,
            Choice::Pinned => match install(None) {
                Ok(installed) => Self::llama(&installed).await,
                Err(reason) => {
                    say::note(&format!("skipped: the real engine: {reason}"));
                    say::note("The built-in engine without a model answers in its place.");
                    Self::built_in().await
                }
            },
            Choice::File(file) => {
                ensure!(file.is_file(), "there is no model {}", file.display());
                Self::llama(&install(Some(file.clone()))?).await
            }
            Choice::Running(url) => Self::running(url).await,
        }
    }

    async fn built_in() -> Result<Self> {
        Ok(Self::BuiltIn(Engine::start().await?))
    }

    async fn llama(installed: &Installed) -> Result<Self> {
        let began = Instant::now();
        let server = Server::start(installed, Serving::Chats).await?;
        say::note(&format!(
            "llama.cpp has loaded {} in {:.1} s, on the CPU",
            server.model(),
            began.elapsed().as_secs_f64()
        ));
        Ok(Self::Llama(Box::new(server)))
    }

    async fn running(url: &str) -> Result<Self> {
        let url = url.trim_end_matches('/').to_owned();
        let model = first_model(&url)
            .await
            .with_context(|| format!("no models can be had from {url}/models"))?;
        Ok(Self::Running { url, model })
    }

    pub fn url(&self) -> String {
        match self {
            Self::Llama(server) => server.url(),
            Self::BuiltIn(engine) => engine.base_url(),
            Self::Running { url, .. } => url.clone(),
        }
    }

    /// What the engine calls its model.
    pub fn model(&self) -> &str {
        match self {
            Self::Llama(server) => server.model(),
            Self::BuiltIn(_) => CHAT_MODEL,
            Self::Running { model, .. } => model,
        }
    }

    /// How many prompts have reached it, if it is ours and counts.
    pub fn prompts(&self) -> Option<u64> {
        match self {
            Self::BuiltIn(engine) => Some(engine.stats().prompts),
            Self::Llama(_) | Self::Running { .. } => None,
        }
    }
}

/// Downloads what is missing, and reports how long that took.
fn install(model: Option<PathBuf>) -> Result<Installed, Unavailable> {
    let place = Place::from_environment();
    let began = Instant::now();
    let is_downloading = std::cell::Cell::new(false);
    let report = |line: &str| {
        is_downloading.set(true);
        say::note(line);
    };
    let installed = match model {
        None => engines::install(&place, &report)?,
        Some(file) => engines::install_with_model(&place, file, &report)?,
    };
    if is_downloading.get() {
        say::note(&format!(
            "downloaded and verified in {:.1} s",
            began.elapsed().as_secs_f64()
        ));
    }
    Ok(installed)
}

async fn first_model(url: &str) -> Result<String> {
    let rest = url
        .strip_prefix("http://")
        .context("the engine's URL must begin with http://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let authority = if authority.contains(':') {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let address: SocketAddr = authority
        .to_socket_addrs()?
        .next()
        .context("the host has no address")?;
    ensure!(
        address.ip().is_loopback(),
        "the engine must be on this machine: an enclave sends prompts in plain text over loopback only"
    );
    // It has to stay until the last of the answer is here.
    let mut connection = Connection::plain(address).await?;
    let answer = connection.get(&format!("/{path}/models")).await?;
    let models = answer.json().await?;
    let model = models["data"][0]["id"]
        .as_str()
        .context("the list of models is empty")?;
    Ok(model.to_owned())
}
