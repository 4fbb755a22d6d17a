//! The gateway in this process, with a configuration, a platform and an engine of the test's choice.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use attest_core::UnixTime;
use gateway_contract::platform::Platform;
use gateway_contract::rotation::Reload;
use gateway_path::admit::ApiToken;
use gateway_store::ledger::{Ledger, NewKey};
use sealgate::Controls;
use sealgate::ServeError;
use sealgate::serve_with;
use testkit::client::{Answer, Connection, TlsClient};
use testkit::engine::{CHAT_MODEL, Engine};
use testkit::scratch::ScratchDir;

pub mod platform;
pub mod policies;

pub const CHAT: &str = "/v1/chat/completions";
pub const TIMEOUT: Duration = Duration::from_secs(20);

pub struct Gateway {
    pub directory: ScratchDir,
    pub address: SocketAddr,
    pub engine: Engine,
    pub key: String,
    reload: mpsc::Sender<Reload>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), ServeError>>,
}

/// What differs from test to test: members of `[server]`, whole sections, and the TEE.
#[derive(Clone)]
pub struct Setup {
    pub server: String,
    pub sections: String,
    pub kind: &'static str,
    /// More members of `[tee]`.
    pub tee: &'static str,
    /// Files beside the configuration.
    pub files: Vec<(&'static str, String)>,
}

impl Setup {
    pub fn new(server: &str, sections: &str) -> Self {
        Self {
            server: server.into(),
            sections: sections.into(),
            kind: "none",
            tee: "",
            files: Vec::new(),
        }
    }

    pub fn attested(sections: &str) -> Self {
        Self {
            kind: "tdx",
            ..Self::new("", sections)
        }
    }

    pub fn text(&self, engine: &Engine) -> String {
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nnames = [\"localhost\", \"127.0.0.1\"]\nstate_dir = \"state\"\n\
             mode = \"direct\"\n{}\n[tee]\nkind = \"{}\"\n{}\n{}\n\
             [[model]]\nid = \"{CHAT_MODEL}\"\naliases = [\"alias/of-it\"]\n\
             [[model.upstream]]\nname = \"engine\"\nurl = \"{}\"\n",
            self.server,
            self.kind,
            self.tee,
            self.sections,
            engine.base_url()
        )
    }
}

impl Gateway {
    pub async fn plain() -> Self {
        Self::start(Setup::new("", ""), Arc::new(platform::NoTee)).await
    }

    pub async fn start(setup: Setup, platform: Arc<dyn Platform>) -> Self {
        let directory = ScratchDir::new("service").expect("a directory");
        Self::start_in(directory, setup, platform).await
    }

    /// In a directory that may hold the state of an earlier service.
    pub async fn start_in(
        directory: ScratchDir,
        setup: Setup,
        platform: Arc<dyn Platform>,
    ) -> Self {
        let engine = Engine::start().await.expect("an engine");
        let file = directory
            .write("sealgate.toml", setup.text(&engine))
            .expect("written");
        for (name, contents) in &setup.files {
            directory.write(name, contents).expect("written");
        }
        let key = create_key(&directory, "acme").await;
        let (reload, requests) = mpsc::channel(1);
        let (stop, stopped) = oneshot::channel::<()>();
        let (report_address, reported_address) = oneshot::channel();
        let controls = Controls {
            shutdown: Box::pin(async move {
                let _ = stopped.await;
            }),
            reload: requests,
            ready: Box::new(move |address| {
                let _ = report_address.send(address);
            }),
        };
        let task = tokio::spawn(async move { serve_with(&file, platform, controls).await });
        let address = match reported_address.await {
            Ok(address) => address,
            Err(_) => panic!(
                "the gateway did not start: {:?}",
                task.await.expect("no panic").err()
            ),
        };
        Self {
            directory,
            address,
            engine,
            key,
            reload,
            stop: Some(stop),
            task,
        }
    }

    pub async fn connect(&self) -> Connection {
        TlsClient::observing()
            .connect(self.address)
            .await
            .expect("a connection")
    }

    pub async fn chat(&self) -> Answer {
        let mut connection = self.connect().await;
        let answer = connection
            .post(&self.key, CHAT, &chat("hello"))
            .await
            .expect("an answer");
        answer.keeping(connection)
    }

    pub fn write_config(&self, text: &str) {
        self.directory
            .write("sealgate.toml", text)
            .expect("written");
    }

    pub async fn ask_for_reload(&self) {
        assert!(self.reload.send(Reload).await.is_ok(), "the gateway runs");
    }

    /// Asks for a new epoch and waits until it is there.
    pub async fn reload(&self) {
        let before = self.connect().await.spki_sha256();
        self.ask_for_reload().await;
        eventually("a new epoch", async || {
            self.connect().await.spki_sha256() != before
        })
        .await;
    }

    /// Asks the gateway to stop, without waiting for it.
    pub fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until it has stopped.
    pub async fn stopped(&mut self) {
        self.begin_stop();
        let outcome = tokio::time::timeout(TIMEOUT, &mut self.task)
            .await
            .expect("it stops in time");
        outcome.expect("no panic").expect("a clean stop");
    }

    /// The database, beside the service.
    pub async fn database(&self) -> sqlx::SqliteConnection {
        let file = self.directory.path().join("state/ledger.sqlite");
        <sqlx::SqliteConnection as sqlx::Connection>::connect(&format!(
            "sqlite://{}",
            file.display()
        ))
        .await
        .expect("a database")
    }

    pub async fn create_key(&self, tenant: &str) -> String {
        create_key(&self.directory, tenant).await
    }

    pub async fn revoke(&self, key: &str) -> bool {
        let ledger = Ledger::open_for_keys(&self.directory.path().join("state"))
            .await
            .expect("a ledger");
        let id = key.split('-').nth(2).expect("an id");
        let revoked = ledger
            .keys()
            .revoke(id, UnixTime::from_secs(1))
            .await
            .expect("a change");
        ledger.close().await;
        revoked
    }
}

async fn create_key(directory: &ScratchDir, tenant: &str) -> String {
    let ledger = Ledger::open_for_keys(&directory.path().join("state"))
        .await
        .expect("a ledger");
    let (id, token) = ApiToken::generate().expect("a key");
    let key = NewKey {
        id: id.to_string(),
        tenant: gateway_base::request::Name::from_operator(tenant).expect("a name"),
        user: None,
        name: None,
        digest: token.digest(),
        created_at: UnixTime::from_secs(1),
        expires_at: None,
        restrictions: gateway_base::request::Restrictions::default(),
    };
    ledger.keys().add(key).await.expect("added");
    ledger.close().await;
    token.expose().to_owned()
}

pub fn chat(text: &str) -> Value {
    json!({ "model": CHAT_MODEL, "messages": [{ "role": "user", "content": text }] })
}

pub fn streamed(text: &str) -> Value {
    let mut body = chat(text);
    body["stream"] = true.into();
    body
}

/// Status, type, code and param of an error in OpenAI's shape.
pub async fn error(answer: Answer) -> (u16, String, Value, Value) {
    let status = answer.status.as_u16();
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json().await.expect("JSON");
    let error = &body["error"];
    assert!(
        error["message"]
            .as_str()
            .is_some_and(|text| !text.is_empty()),
        "{body}"
    );
    let kind = error["type"].as_str().expect("a type").to_owned();
    (status, kind, error["code"].clone(), error["param"].clone())
}

pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + TIMEOUT;
    while !holds().await {
        assert!(
            tokio::time::Instant::now() < deadline,
            "not in time: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
