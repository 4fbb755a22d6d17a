//! An identity provider on the loopback: discovery and key set over HTTP, with any fault that a test asks for.
//!
//! Its tokens are those of [`vendors::identity`].

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub use vendors::identity::{TokenKey, base64url, hmac_token, key_set, unsigned_token};

/// How the provider answers a request for its key set.
#[derive(Clone, Debug)]
pub enum KeysAnswer {
    Document(String),
    Status(u16),
    /// This many bytes of a key set that would be valid.
    Large(usize),
    /// Nothing, on an open connection.
    Silence,
}

struct State {
    answer: KeysAnswer,
    /// The `issuer` of the discovery document, if another than its address.
    claimed_issuer: Option<String>,
    fetches: usize,
}

/// A running provider.
pub struct IdentityProvider {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl IdentityProvider {
    /// Publishes these keys.
    pub async fn start(keys: &[&TokenKey]) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State {
            answer: document(keys),
            claimed_issuer: None,
            fetches: 0,
        }));
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = shared.clone();
                // A client that hangs up is part of some tests.
                tokio::spawn(async move { serve(stream, address, &shared).await.ok() });
            }
        });
        Ok(Self {
            address,
            state,
            task,
        })
    }

    /// The `iss` of its tokens.
    pub fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn publish(&self, keys: &[&TokenKey]) {
        self.answer(document(keys));
    }

    pub fn answer(&self, answer: KeysAnswer) {
        locked(&self.state).answer = answer;
    }

    pub fn claim_issuer(&self, issuer: &str) {
        locked(&self.state).claimed_issuer = Some(issuer.to_owned());
    }

    /// How often its key set was requested.
    pub fn fetches(&self) -> usize {
        locked(&self.state).fetches
    }
}

impl Drop for IdentityProvider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn document(keys: &[&TokenKey]) -> KeysAnswer {
    let entries: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    KeysAnswer::Document(key_set(&entries))
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(mut stream: TcpStream, address: SocketAddr, state: &Mutex<State>) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let (status, body) = if head.starts_with(b"GET /.well-known/openid-configuration ") {
        let claimed = locked(state).claimed_issuer.clone();
        let issuer = claimed.unwrap_or_else(|| format!("http://{address}"));
        let jwks_uri = format!("http://{address}/jwks");
        (
            200,
            json!({ "issuer": issuer, "jwks_uri": jwks_uri }).to_string(),
        )
    } else {
        let answer = {
            let mut state = locked(state);
            state.fetches += 1;
            state.answer.clone()
        };
        match answer {
            KeysAnswer::Document(document) => (200, document),
            KeysAnswer::Status(status) => (status, String::new()),
            KeysAnswer::Large(bytes) => {
                let entry = TokenKey::p256("large").jwk();
                let padding = " ".repeat(bytes);
                (200, format!("{{\"keys\":[{padding}{entry}]}}"))
            }
            KeysAnswer::Silence => {
                // Ends when the client closes.
                stream.read_u8().await?;
                return Ok(());
            }
        }
    };
    let head = format!(
        "HTTP/1.1 {status} Answer\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    Ok(())
}
