//! Organisations, tenants, users and service accounts: their lives over HTTP and on the command line, what disabling
//! refuses, and the labels of requests.

#[path = "tenants/holders.rs"]
mod holders;
#[path = "tenants/labels.rs"]
mod labels;
#[path = "tenants/refused.rs"]
mod refused;
#[path = "tenants/usage.rs"]
mod usage;

use std::net::SocketAddr;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use blackbox::asking::{CHAT, chat, error};
use blackbox::world::{Alone, MODEL};
use testkit::client::{Answer, TlsClient};
use testkit::service::free_address;

/// A service with an admin listener.
struct Administered {
    world: Alone,
    address: SocketAddr,
    operator: String,
}

impl Administered {
    async fn new(name: &str) -> Result<Self> {
        let address = free_address()?;
        let listener = format!("[admin]\nlisten = \"{address}\"\n");
        let world = Alone::new(name, |config, _| config.and(&listener)).await?;
        let output = world
            .enclave
            .cli(&["admin", "create", "--role", "operator"])
            .await?;
        let operator = String::from_utf8(output.stdout)?.trim().to_owned();
        Ok(Self {
            world,
            address,
            operator,
        })
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> Result<Answer> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.operator))
            .header("content-type", "application/json");
        let mut connection = TlsClient::observing().connect(self.address).await?;
        let body = match body {
            Value::Null => Bytes::new(),
            body => Bytes::from(body.to_string()),
        };
        connection.send(request, body).await
    }

    /// The answer to a request that has to be accepted.
    async fn done(&self, method: &str, path: &str, body: Value) -> Result<Value> {
        let answer = self.send(method, path, &body).await?;
        let status = answer.status;
        let answer = answer.json().await?;
        anyhow::ensure!(status.is_success(), "{method} {path}: {status} {answer}");
        Ok(answer)
    }

    /// Status, code and parameter of a refusal.
    async fn refused(&self, method: &str, path: &str, body: Value) -> Result<Refusal> {
        refusal(self.send(method, path, &body).await?).await
    }

    /// A new key over HTTP.
    async fn key(&self, body: Value) -> Result<String> {
        let made = self.done("POST", "/admin/v1/keys", body).await?;
        Ok(made["key"].as_str().context("a key")?.to_owned())
    }

    /// Runs a command, which has to succeed; returns its standard output.
    async fn cli(&self, arguments: &[&str]) -> Result<String> {
        let output = self.world.enclave.cli(arguments).await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        anyhow::ensure!(output.status.success(), "{arguments:?}: {said}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Status and code of a question with this key.
    async fn ask(&self, key: &str) -> Result<(u16, Option<String>)> {
        let refusal = self.ask_with(key, &[]).await?;
        Ok((refusal.status, refusal.code))
    }

    async fn ask_with(&self, key: &str, headers: &[(&str, &str)]) -> Result<Refusal> {
        let mut request = Request::builder()
            .method("POST")
            .uri(CHAT)
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut connection = self.world.enclave.connect().await?;
        let body = Bytes::from(chat(MODEL, "may I?").to_string());
        let answer = connection.send(request, body).await?;
        match answer.status.as_u16() {
            200 => {
                answer.bytes().await?;
                Ok(Refusal {
                    status: 200,
                    code: None,
                    param: None,
                    message: String::new(),
                })
            }
            _ => refusal(answer).await,
        }
    }
}

#[derive(Debug, PartialEq)]
struct Refusal {
    status: u16,
    code: Option<String>,
    param: Option<String>,
    message: String,
}

impl Refusal {
    fn is(&self, status: u16, code: &str) -> bool {
        self.status == status && self.code.as_deref() == Some(code)
    }
}

async fn refusal(answer: Answer) -> Result<Refusal> {
    let refused = error(answer).await?;
    Ok(Refusal {
        status: refused.status,
        code: refused.code,
        param: refused.param,
        message: refused.message,
    })
}

fn served() -> (u16, Option<String>) {
    (200, None)
}

fn code(status: u16, code: &str) -> (u16, Option<String>) {
    (status, Some(code.to_owned()))
}
