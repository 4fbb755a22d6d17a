//! A proxy in front of the test service.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::service::Service;
use attest_channel::{AttestedChannel, Origin, SystemClock, Timeouts, Trust};
use attest_core::AttestationPolicy;
use sealgate_verify::proxy::{self, MemoryJournal, Options, Proxy, ReceiptArchive, Upstreams};
use testkit::TdMeasurements;
use testkit::policy::pinned_policy;

pub const PROMPT: &str = r#"{"model":"demo-model","messages":[{"role":"user","content":"hi"}]}"#;

pub struct Running {
    pub address: SocketAddr,
    pub journal: Arc<MemoryJournal>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
pub struct Setup {
    pub require_receipt: bool,
    pub upstreams: Upstreams,
    pub keep: Option<std::path::PathBuf>,
    pub measured: Option<TdMeasurements>,
    /// Reached instead of the service itself.
    pub address: Option<SocketAddr>,
}

pub async fn start(service: &Service, setup: Setup) -> Running {
    let measured = setup.measured.unwrap_or_else(|| service.measurements());
    let policy = AttestationPolicy::parse(&pinned_policy("test", &measured)).unwrap();
    let trust = Trust {
        roots: service.roots(),
        policy,
        collateral: None,
    };
    let origin = Origin::parse(&format!(
        "https://{}",
        setup.address.unwrap_or(service.address)
    ))
    .unwrap();
    let channel = AttestedChannel::new(
        origin,
        Arc::new(trust),
        Timeouts::default(),
        Arc::new(SystemClock),
    );
    let journal = Arc::new(MemoryJournal::default());
    let archive = setup.keep.map(|dir| ReceiptArchive::open(&dir).unwrap());
    let options = Options {
        require_receipt: setup.require_receipt,
        upstreams: setup.upstreams,
        archive,
        max_body: 1 << 20,
    };
    let proxy = Proxy::new(
        channel,
        options,
        Arc::clone(&journal) as Arc<dyn proxy::Journal>,
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let serving = tokio::spawn(proxy::serve(listener, proxy, async {
        let _ = stopped.await;
    }));
    Running {
        address,
        journal,
        stop: Some(stop),
        serving,
    }
}

impl Running {
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    }

    pub async fn chat(&self) -> Response<Incoming> {
        self.post("/v1/chat/completions", PROMPT).await
    }

    pub async fn post(&self, path: &str, body: &str) -> Response<Incoming> {
        let request = Request::post(path)
            .header("host", "localhost")
            .header("authorization", "Bearer secret-key")
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap();
        self.send(request).await
    }

    pub async fn get(&self, path: &str) -> Response<Incoming> {
        self.send(
            Request::get(path)
                .header("host", "localhost")
                .body(Full::default())
                .unwrap(),
        )
        .await
    }

    /// Waits until the journal has a line that contains `part`.
    pub async fn logged(&self, part: &str) -> String {
        for _ in 0..400 {
            if let Some(line) = self
                .journal
                .lines()
                .into_iter()
                .find(|line| line.contains(part))
            {
                return line;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no line contains {part:?}: {:?}", self.journal.lines());
    }

    pub async fn stop(mut self) -> Vec<String> {
        let _ = self.stop.take().unwrap().send(());
        (&mut self.serving).await.unwrap();
        self.journal.lines()
    }
}

pub async fn json(response: Response<Incoming>) -> Value {
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}
