//! A service with prices, an admin listener and metrics.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};
use tokio::time::{Instant, sleep};

use blackbox::asking::{CHAT, TIMEOUT, chat};
use blackbox::world::{Alone, MODEL};
use testkit::client::{Answer, Connection, TlsClient};
use testkit::engine::Script;
use testkit::scratch::ScratchDir;
use testkit::service::free_address;

/// A million tokens of the prompt cost one unit, of the answer two.
pub const PRICES: &str = r#"
currency = "USD"

[[price]]
model = "sealed-model"
input = "1"
cached_input = "0.25"
output = "2"
reasoning = "4"
request = "0.001"
image = "0.01"
"#;

pub struct Priced {
    pub world: Alone,
    pub admin: SocketAddr,
    pub operator: String,
    metrics: SocketAddr,
    files: ScratchDir,
}

impl Priced {
    pub async fn new(name: &str) -> Result<Self> {
        Self::with(name, PRICES, "cost_header = true").await
    }

    /// With this price table, and more of the configuration: first what belongs to `[prices]`, then whole sections.
    pub async fn with(name: &str, prices: &str, more: &str) -> Result<Self> {
        let files = ScratchDir::new(&format!("{name}-prices"))?;
        let file = files.write("prices.toml", prices)?;
        let (admin, metrics) = (free_address()?, free_address()?);
        let sections = format!(
            "[admin]\nlisten = \"{admin}\"\n[metrics]\nlisten = \"{metrics}\"\n[prices]\nfile = {:?}\n{more}\n",
            file.display().to_string()
        );
        let world = Alone::new(name, |config, _| config.and(&sections)).await?;
        let output = world
            .enclave
            .cli(&["admin", "create", "--role", "operator"])
            .await?;
        anyhow::ensure!(output.status.success(), "{output:?}");
        Ok(Self {
            operator: String::from_utf8(output.stdout)?.trim().to_owned(),
            world,
            admin,
            metrics,
            files,
        })
    }

    /// Replaces the price table; a reload reads it.
    pub fn write_prices(&self, prices: &str) -> Result<()> {
        self.files.write("prices.toml", prices)?;
        Ok(())
    }

    pub async fn ask(&self, body: &Value) -> Result<Answer> {
        let mut connection = self.world.enclave.connect().await?;
        let answer = connection.post(&self.world.key, CHAT, body).await?;
        Ok(answer.keeping(connection))
    }

    /// From now on the engine answers with this text and usage.
    pub fn answers_with(&self, usage: Value) {
        let answer = json!({
            "id": "chatcmpl-1", "object": "chat.completion", "model": "demo-model",
            "choices": [{ "index": 0, "message": { "role": "assistant", "content": "yes" }, "finish_reason": "stop" }],
            "usage": usage,
        });
        let script = Script::json(200, answer.to_string());
        self.world
            .engine
            .script(testkit::engine::CHAT_MODEL, script);
    }

    pub async fn administer(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.operator))
            .header("content-type", "application/json");
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let mut connection: Connection = TlsClient::observing().connect(self.admin).await?;
        let answer = connection.send(request, body).await?;
        Ok(answer.keeping(connection))
    }

    /// The value of a sample, zero if there is none.
    pub async fn metric(&self, sample: &str) -> Result<f64> {
        let mut connection = Connection::plain(self.metrics).await?;
        let answer = connection.get("/metrics").await?;
        let text = String::from_utf8(answer.bytes().await?)?;
        let found = text.lines().find_map(|line| line.strip_prefix(sample));
        Ok(found.map_or(Ok(0.0), |value| value.trim().parse())?)
    }

    pub async fn database(&self) -> Result<SqliteConnection> {
        let file = self.world.enclave.directory().join("state/ledger.sqlite");
        Ok(SqliteConnection::connect(&format!("sqlite://{}", file.display())).await?)
    }

    /// The costs of the requests so far, in the order of their admission, once there are this many.
    pub async fn costs(&self, count: usize) -> Result<Vec<Option<String>>> {
        let deadline = Instant::now() + TIMEOUT;
        let mut database = self.database().await?;
        loop {
            let rows: Vec<(Option<i64>,)> =
                sqlx::query_as("SELECT cost_nanos FROM usage ORDER BY rowid")
                    .fetch_all(&mut database)
                    .await?;
            if rows.len() >= count {
                return Ok(rows.into_iter().map(|(cost,)| cost.map(decimal)).collect());
            }
            anyhow::ensure!(Instant::now() < deadline, "{} rows", rows.len());
            sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

/// Billionths as a decimal number with nine digits after the point.
pub fn decimal(nanos: i64) -> String {
    format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

/// The sum of the usage API for the one tenant and model.
pub async fn summed(service: &Priced) -> Result<Value> {
    let answer = service.administer("GET", "/admin/v1/usage", None).await?;
    let usage = answer.json().await?;
    usage["usage"].get(0).cloned().context("a sum")
}

pub fn question() -> Value {
    chat(MODEL, "what does it cost?")
}

/// A request's body is a token for four of its bytes, where nothing counts them.
pub fn tokens_by_length(body: &Value) -> i64 {
    body.to_string().len().div_ceil(4) as i64
}
