//! A program as it is shipped, in front of an engine, and its databases.

use anyhow::{Context, Result};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};

use blackbox::asking::{CHAT, chat};
use blackbox::world::identity;
use testkit::client::Connection;
use testkit::config::{Config, Model};
use testkit::engine::{CHAT_MODEL, Engine};
use testkit::scratch::ScratchDir;
use testkit::service::{Program, Service, free_address};

pub const MODEL: &str = "plain-model";

pub struct Place {
    pub service: Service,
    pub key: String,
    pub metrics: std::net::SocketAddr,
    _engine: Engine,
    _directory: ScratchDir,
}

impl Place {
    /// With all hardening that is on by default, and these sections in the configuration.
    pub async fn new(name: &str, more: &str) -> Result<Self> {
        Self::in_directory(ScratchDir::new(name)?, more).await
    }

    /// Under a retention policy of these terms.
    pub async fn under_policy(name: &str, terms: &str) -> Result<Self> {
        let directory = ScratchDir::new(name)?;
        let policy = format!("format = \"sealgate/retention/2\"\nepoch = 1\n[default]\n{terms}\n");
        directory.write("retention.toml", &policy)?;
        Self::in_directory(directory, "[retention]\npolicy = \"retention.toml\"\n").await
    }

    async fn in_directory(directory: ScratchDir, more: &str) -> Result<Self> {
        let engine = Engine::start().await?;
        let (address, metrics) = (free_address()?, free_address()?);
        let config = Config {
            tee: "none",
            ..Config::direct(address)
        }
        .and(&format!("[metrics]\nlisten = \"{metrics}\"\n{more}"))
        .serving(Model::plain(MODEL, engine.base_url()).known_upstream_as(CHAT_MODEL));
        let shipped = identity("none").run_as(Program::Shipped);
        let service = Service::start(directory.path(), shipped, address, &config.text()).await?;
        let key = service.create_key("tests").await?;
        Ok(Self {
            service,
            key,
            metrics,
            _engine: engine,
            _directory: directory,
        })
    }

    /// A connection of another process to `ledger.sqlite` or `audit.sqlite`.
    pub async fn database(&self, file: &str) -> Result<SqliteConnection> {
        let path = self.service.directory().join("state").join(file);
        let options = SqliteConnectOptions::new().filename(&path);
        Ok(SqliteConnection::connect_with(&options).await?)
    }

    /// Runs statements on the ledger as another process.
    pub async fn change_ledger(&self, statements: &'static str) -> Result<()> {
        let mut connection = self.database("ledger.sqlite").await?;
        sqlx::raw_sql(statements).execute(&mut connection).await?;
        Ok(())
    }

    pub async fn count(&self, file: &str, table: &'static str) -> Result<usize> {
        let query = format!("SELECT count(*) FROM {table}");
        let mut connection = self.database(file).await?;
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .fetch_one(&mut connection)
            .await;
        // Waited for: an open connection keeps the service's last one from writing the log back into the file.
        connection.close().await?;
        let count: i64 = count?;
        Ok(usize::try_from(count)?)
    }

    /// Has one chat answered; the receipt id.
    pub async fn answered(&self) -> Result<String> {
        let mut connection = self.service.connect().await?;
        answered_on(&mut connection, &self.key).await
    }

    /// What `/readyz` says.
    pub async fn readiness(&self) -> Result<(u16, String)> {
        let answer = self.service.connect().await?.get("/readyz").await?;
        let status = answer.status.as_u16();
        Ok((status, String::from_utf8(answer.bytes().await?)?))
    }

    /// The value of a metric.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let mut connection = Connection::plain(self.metrics).await?;
        let answer = connection.get("/metrics").await?;
        let text = String::from_utf8(answer.bytes().await?)?;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let value = line.with_context(|| format!("no {name} in:\n{text}"))?;
        Ok(value.trim().parse()?)
    }
}

pub async fn answered_on(connection: &mut Connection, key: &str) -> Result<String> {
    let answer = connection.post(key, CHAT, &chat(MODEL, "hi")).await?;
    let status = answer.status;
    let id = answer.header("x-receipt-id").context("an id")?.to_owned();
    answer.bytes().await?;
    anyhow::ensure!(status == 200, "status {status}");
    Ok(id)
}
