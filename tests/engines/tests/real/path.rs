//! The processes: engine, enclave, gateway, verifying proxy.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use blackbox::world::{MODEL, gateway_trusting, proxy, start, trusting_directory};
use engines::{Installed, Place, Server, Serving, installed};
use testkit::client::{Answer, Connection};
use testkit::config::{Config, Model};
use testkit::process::{Process, run, sibling};
use testkit::scratch::ScratchDir;
use testkit::service::{Service, free_address};

/// The exit status of `sealgate-verify` for what it rejects.
pub const REJECTED: i32 = 10;

pub struct RealPath {
    pub engine: Server,
    directory: ScratchDir,
    gateway: Service,
    key: String,
    proxy: SocketAddr,
    _enclave: Service,
    _proxy: Process,
}

/// The engine, if it was downloaded; otherwise the test is skipped.
pub fn engine_or_skip(what: &str) -> Option<Installed> {
    let found = installed(&Place::from_environment());
    if found.is_none() {
        println!("skipped: a real engine, {what}: it is not there; engine-setup downloads it");
    }
    found
}

impl RealPath {
    /// The whole path to an engine; `None` where there is no engine.
    pub async fn new(what: &str, serving: Serving) -> Result<Option<Self>> {
        let Some(installed) = engine_or_skip(what) else {
            return Ok(None);
        };
        let directory = trusting_directory("real-engine")?;
        let engine = Server::start(&installed, serving).await?;
        let model = Model::confidential(MODEL, engine.url()).known_upstream_as(engine.model());
        let config = Config::direct(free_address()?).serving(model);
        let enclave = start(&directory, "enclave", config).await?;
        let key_file = directory.write("enclave.key", enclave.create_key("gateway").await?)?;
        let model = Model::confidential(MODEL, enclave.url()).with_key_from(&key_file);
        let config = gateway_trusting(&directory, "enclave")?.serving(model);
        let gateway = start(&directory, "gateway", config).await?;
        let key = gateway.create_key("tests").await?;
        let (running, address) =
            proxy(directory.path(), &gateway.url(), &["--require-receipt"]).await?;
        Ok(Some(Self {
            engine,
            directory,
            gateway,
            key,
            proxy: address,
            _enclave: enclave,
            _proxy: running,
        }))
    }

    /// Sends a request on a connection that stays open as long as the answer.
    pub async fn send(&self, path: &str, request: &Value) -> Result<Answer> {
        let mut connection = Connection::plain(self.proxy).await?;
        let answer = connection.post(&self.key, path, request).await?;
        Ok(answer.keeping(connection))
    }

    /// Sends a request, insists on success and on a receipt over exactly these bytes, and returns the answer's bytes.
    pub async fn answer(&self, path: &str, request: &Value) -> Result<Vec<u8>> {
        let answer = self.send(path, request).await?;
        let status = answer.status;
        let id = answer.header("x-receipt-id").map(str::to_owned);
        let bytes = answer.bytes().await?;
        ensure!(
            status == 200,
            "{status}: {}",
            String::from_utf8_lossy(&bytes)
        );
        let id = id.context("there is no X-Receipt-Id")?;
        let request = request.to_string();
        let verdict = self.verify_receipt(&id, request.as_bytes(), &bytes).await?;
        ensure!(verdict == 0, "the receipt was judged with {verdict}");
        let mut altered = bytes.clone();
        let middle = altered.len() / 2;
        altered[middle] ^= 1;
        let verdict = self
            .verify_receipt(&id, request.as_bytes(), &altered)
            .await?;
        ensure!(
            verdict == REJECTED,
            "with a flipped bit it was judged with {verdict}"
        );
        Ok(bytes)
    }

    pub async fn answer_json(&self, path: &str, request: &Value) -> Result<Value> {
        Ok(serde_json::from_slice(&self.answer(path, request).await?)?)
    }

    /// The exit status of `sealgate-verify receipt` for these bytes.
    async fn verify_receipt(&self, id: &str, request: &[u8], response: &[u8]) -> Result<i32> {
        let mut connection = self.gateway.connect().await?;
        let path = format!("/v1/aci/receipts/{id}");
        let receipt = connection.get_as(&self.key, &path).await?.bytes().await?;
        self.directory.write("receipt.json", &receipt)?;
        self.directory.write("request.json", request)?;
        self.directory.write("response", response)?;
        let url = self.gateway.url();
        let arguments = [
            "receipt",
            "receipt.json",
            "--endpoint",
            &url,
            "--request",
            "request.json",
            "--response",
            "response",
            "--policy",
            "gateway-policy.toml",
            "--roots",
            "roots",
        ];
        let program = sibling("sealgate-verify")?;
        let output = run(&program, arguments, self.directory.path()).await?;
        output.status.code().context("sealgate-verify was killed")
    }
}

/// A chat of one question with a short answer.
pub fn question(text: &str) -> Value {
    json!({
        "model": MODEL,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 48,
    })
}

/// The data of each event of a stream, in order.
pub fn events(stream: &[u8]) -> Result<Vec<String>> {
    let text = std::str::from_utf8(stream)?;
    let mut events = Vec::new();
    for event in text.split("\n\n").filter(|event| !event.trim().is_empty()) {
        let data = event.strip_prefix("data: ");
        events.push(
            data.with_context(|| format!("no event: {event:?}"))?
                .to_owned(),
        );
    }
    Ok(events)
}
