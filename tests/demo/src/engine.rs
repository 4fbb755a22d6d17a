//! The engine behind the enclave: the built-in one, or one that is already running.

use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::{Context, Result, ensure};

use testkit::client::Connection;
use testkit::engine::{CHAT_MODEL, Engine};

pub enum Backend {
    BuiltIn(Engine),
    Running { url: String, model: String },
}

impl Backend {
    pub async fn start(url: Option<&str>) -> Result<Self> {
        match url {
            None => Ok(Self::BuiltIn(Engine::start().await?)),
            Some(url) => {
                let url = url.trim_end_matches('/').to_owned();
                let model = first_model(&url)
                    .await
                    .with_context(|| format!("no models can be had from {url}/models"))?;
                Ok(Self::Running { url, model })
            }
        }
    }

    pub fn url(&self) -> String {
        match self {
            Self::BuiltIn(engine) => engine.base_url(),
            Self::Running { url, .. } => url.clone(),
        }
    }

    /// What the engine calls its model.
    pub fn model(&self) -> &str {
        match self {
            Self::BuiltIn(_) => CHAT_MODEL,
            Self::Running { model, .. } => model,
        }
    }

    /// How many prompts have reached it, if it is ours and counts.
    pub fn prompts(&self) -> Option<u64> {
        match self {
            Self::BuiltIn(engine) => Some(engine.stats().prompts),
            Self::Running { .. } => None,
        }
    }
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
