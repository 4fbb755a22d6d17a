//! The server: TLS identities, a log of requests, connections that can be counted and cut.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::PublicKeyData;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use attest_channel::Origin;
use attest_core::SpkiDigest;

pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// One TLS key with its self-signed certificate.
#[derive(Clone)]
pub struct Identity {
    config: Arc<ServerConfig>,
    pub spki: SpkiDigest,
    pub certificate: CertificateDer<'static>,
}

impl Identity {
    pub fn generate() -> Self {
        Self::with_versions(&[&rustls::version::TLS13])
    }

    pub fn tls12_only() -> Self {
        Self::with_versions(&[&rustls::version::TLS12])
    }

    fn with_versions(versions: &[&'static rustls::SupportedProtocolVersion]) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["not-the-host.example".to_owned()])
            .expect("a certificate");
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .expect("a server configuration");
        let spki = SpkiDigest::from_spki_der(&made.signing_key.subject_public_key_info());
        Identity {
            config: Arc::new(config),
            spki,
            certificate,
        }
    }
}

impl Identity {
    /// Presents this certificate and signs with another key, as anyone who copied the certificate could.
    pub fn presented_without_its_key(&self) -> Self {
        let other = rcgen::KeyPair::generate().expect("a key");
        let other = PrivateKeyDer::try_from(other.serialize_der()).expect("a key");
        let other = rustls::crypto::ring::sign::any_supported_type(&other).expect("a signer");
        let certified = CertifiedKey::new(vec![self.certificate.clone()], other);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        Identity {
            config: Arc::new(config),
            ..self.clone()
        }
    }
}

/// What the server was sent and by how many connections.
#[derive(Default)]
pub struct Seen {
    requests: Mutex<Vec<String>>,
    hosts: Mutex<Vec<String>>,
    handshakes: AtomicUsize,
    ended: AtomicUsize,
}

impl Seen {
    /// "GET /path", in order.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("not poisoned").clone()
    }

    pub fn hosts(&self) -> Vec<String> {
        self.hosts.lock().expect("not poisoned").clone()
    }

    pub fn reports(&self) -> usize {
        self.requests()
            .iter()
            .filter(|request| *request == "GET /v1/aci/attestation")
            .count()
    }

    pub fn others(&self) -> usize {
        self.requests().len() - self.reports()
    }

    pub fn handshakes(&self) -> usize {
        self.handshakes.load(Ordering::SeqCst)
    }

    /// Waits for the handshakes: the client finishes a TLS 1.3 handshake before the server does.
    pub async fn expect_handshakes(&self, expected: usize) {
        super::eventually("handshakes", || self.handshakes() >= expected).await;
        assert_eq!(self.handshakes(), expected, "handshakes");
    }

    pub fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
    }

    pub fn open(&self) -> usize {
        self.handshakes() - self.ended()
    }

    fn record<B>(&self, request: &Request<B>) {
        let line = format!("{} {}", request.method(), request.uri().path());
        self.requests.lock().expect("not poisoned").push(line);
        let host = request
            .headers()
            .get(http::header::HOST)
            .map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned())
            .unwrap_or_default();
        self.hosts.lock().expect("not poisoned").push(host);
    }
}

pub type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// Called with each request and the identity that its connection presented.
pub type Answers = Arc<dyn Fn(Request<Incoming>, &Identity) -> Answer + Send + Sync>;

pub struct Server {
    pub address: SocketAddr,
    pub seen: Arc<Seen>,
    identities: Arc<Mutex<Vec<Identity>>>,
    connections: Arc<tokio::sync::Mutex<JoinSet<()>>>,
    listener: JoinHandle<()>,
}

impl Server {
    /// Connection N presents identity N modulo their number.
    pub async fn start(identities: Vec<Identity>, answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Self::start_on(listener, identities, answers)
    }

    pub fn start_on(listener: TcpListener, identities: Vec<Identity>, answers: Answers) -> Self {
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Seen::default());
        let identities = Arc::new(Mutex::new(identities));
        let connections = Arc::new(tokio::sync::Mutex::new(JoinSet::new()));
        let accepting = accept(
            listener,
            Arc::clone(&identities),
            answers,
            Arc::clone(&seen),
            Arc::clone(&connections),
        );
        Server {
            address,
            seen,
            identities,
            connections,
            listener: tokio::spawn(accepting),
        }
    }

    pub fn origin(&self) -> Origin {
        Origin::parse(&format!("https://{}", self.address)).expect("an origin")
    }

    /// New connections present these identities from now on.
    pub fn present(&self, identities: Vec<Identity>) {
        *self.identities.lock().expect("not poisoned") = identities;
    }

    /// Cuts every open connection.
    pub async fn cut(&self) {
        self.connections.lock().await.shutdown().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn accept(
    listener: TcpListener,
    identities: Arc<Mutex<Vec<Identity>>>,
    answers: Answers,
    seen: Arc<Seen>,
    connections: Arc<tokio::sync::Mutex<JoinSet<()>>>,
) {
    let mut count = 0;
    while let Ok((stream, _)) = listener.accept().await {
        let identity = {
            let identities = identities.lock().expect("not poisoned");
            identities[count % identities.len()].clone()
        };
        count += 1;
        let connection = serve(stream, identity, Arc::clone(&answers), Arc::clone(&seen));
        connections.lock().await.spawn(connection);
    }
}

async fn serve(stream: TcpStream, identity: Identity, answers: Answers, seen: Arc<Seen>) {
    let acceptor = TlsAcceptor::from(Arc::clone(&identity.config));
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    seen.handshakes.fetch_add(1, Ordering::SeqCst);
    let _ended = Ended(Arc::clone(&seen));
    let service = service_fn(move |request: Request<Incoming>| {
        seen.record(&request);
        let answer = answers(request, &identity);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

struct Ended(Arc<Seen>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

pub fn respond(status: u16, bytes: impl Into<Bytes>) -> Response<Body> {
    Response::builder()
        .status(status)
        .body(full(bytes))
        .expect("a response")
}

/// The same answer to each request.
pub fn always(make: impl Fn() -> Response<Body> + Send + Sync + 'static) -> Answers {
    Arc::new(move |_, _| {
        let response = make();
        Box::pin(async move { response })
    })
}
