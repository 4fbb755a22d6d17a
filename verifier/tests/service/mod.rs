//! A small attested service for the proxy's and the endpoint command's tests: genuine evidence of
//! the software platform, keys per replica that can be rotated, receipts that can be made to lie.

#![allow(dead_code, reason = "each test binary uses its part")]

mod answers;
pub mod epoch;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use attest_core::{Roots, Serving, UnixTime};
use testkit::{SoftwarePlatform, TdMeasurements};

pub use epoch::Epoch;

/// What the service does wrong, if anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    #[default]
    Honest,
    /// The receipt is for another response.
    OtherResponse,
    /// The receipt is for another request.
    OtherRequest,
    /// The receipt was changed after it was signed.
    Edited,
    /// The receipt is named but never served.
    Withheld,
    /// No receipt is named.
    Unnamed,
    /// The response stops in the middle.
    BreaksOff,
    /// The receipt has another id than the response named.
    OtherId,
    /// The receipt is about another endpoint.
    OtherEndpoint,
    /// The receipt names another keyset.
    OtherKeyset,
    /// The receipt is signed by another key.
    OtherKey,
    /// Served after the keyset had ended.
    ServedLate,
    /// Served by an upstream that was not verified.
    UnverifiedUpstream,
    /// Served by a verified upstream.
    VerifiedUpstream,
}

/// One replica: its current keys. A connection keeps the TLS key it was made with.
pub struct Replica(Mutex<Arc<Epoch>>);

impl Replica {
    pub fn current(&self) -> Arc<Epoch> {
        Arc::clone(&self.0.lock().unwrap())
    }
}

pub struct State {
    pub platform: SoftwarePlatform,
    replicas: Vec<Replica>,
    pub behaviour: Mutex<Behaviour>,
    pub receipts: Mutex<HashMap<String, (String, Option<String>)>>,
    pub prompts: Mutex<Vec<Bytes>>,
    /// Requests of any kind, `METHOD path`.
    pub requests: Mutex<Vec<String>>,
    /// Whether it serves itself, as its report says.
    pub serving: Mutex<Serving>,
    /// The answer to `/v1/models`, with its status.
    pub models: Mutex<(u16, String)>,
    pub steps: Mutex<Option<mpsc::Receiver<Bytes>>>,
    next: AtomicUsize,
}

pub struct Service {
    pub address: SocketAddr,
    pub state: Arc<State>,
    accepting: JoinHandle<()>,
}

pub fn now() -> UnixTime {
    UnixTime::from_secs(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs(),
    )
}

pub fn platform() -> SoftwarePlatform {
    SoftwarePlatform::from_seed(&[7; 32], now())
}

impl Service {
    pub async fn start() -> Self {
        Self::with_replicas(platform(), 1).await
    }

    pub async fn with_replicas(platform: SoftwarePlatform, count: usize) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let replicas = (0..count)
            .map(|_| Replica(Mutex::new(Arc::new(Epoch::begin()))))
            .collect();
        let state = Arc::new(State {
            platform,
            replicas,
            behaviour: Mutex::default(),
            receipts: Mutex::default(),
            prompts: Mutex::default(),
            requests: Mutex::default(),
            serving: Mutex::new(Serving::Direct),
            models: Mutex::new((200, r#"{"object":"list","data":[]}"#.to_owned())),
            steps: Mutex::default(),
            next: AtomicUsize::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self {
            address,
            state,
            accepting,
        }
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub fn roots(&self) -> Roots {
        self.state.platform.roots()
    }

    pub fn measurements(&self) -> TdMeasurements {
        self.state.platform.measurements().clone()
    }

    pub fn behave(&self, behaviour: Behaviour) {
        *self.state.behaviour.lock().unwrap() = behaviour;
    }

    /// It forwards, and lists these models.
    pub fn aggregates(&self, models: &str) {
        *self.state.serving.lock().unwrap() = Serving::Aggregator;
        self.lists(200, models);
    }

    pub fn lists(&self, status: u16, models: &str) {
        *self.state.models.lock().unwrap() = (status, models.to_owned());
    }

    /// New keys on every replica; open connections stay open.
    pub fn rotate(&self) {
        for replica in &self.state.replicas {
            *replica.0.lock().unwrap() = Arc::new(Epoch::begin());
        }
    }

    pub fn keyset_digests(&self) -> Vec<String> {
        self.state
            .replicas
            .iter()
            .map(|r| r.current().keyset.digest().to_string())
            .collect()
    }

    pub fn prompts(&self) -> Vec<Bytes> {
        self.state.prompts.lock().unwrap().clone()
    }

    /// The next streamed response sends what comes through here, piece by piece.
    pub fn step(&self) -> mpsc::Sender<Bytes> {
        let (tx, rx) = mpsc::channel(1);
        *self.state.steps.lock().unwrap() = Some(rx);
        tx
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let turn = state.next.fetch_add(1, Ordering::SeqCst) % state.replicas.len();
        tokio::spawn(connection(stream, Arc::clone(&state), turn));
    }
}

async fn connection(stream: TcpStream, state: Arc<State>, turn: usize) {
    let config = state.replicas[turn].current().tls.clone();
    let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else {
        return;
    };
    let service = service_fn(move |request| answers::answer(Arc::clone(&state), turn, request));
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl State {
    pub fn replica(&self, turn: usize) -> Arc<Epoch> {
        self.replicas[turn].current()
    }
}
