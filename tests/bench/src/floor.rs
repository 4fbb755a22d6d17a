//! The floor: a bare proxy on the gateway's own stack (hyper, tokio, tokio-rustls on ring, the gateway's transport), TLS in
//! and plain out. It checks nothing and keeps nothing, so what the gateway costs above it are the gateway's duties.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use attest_channel::TcpDialer;
use attest_channel::transport::{
    Choice, Connection, Destination, KnownPeer, LeasedBody, Pool, PooledConnection, Stream,
};

#[derive(clap::Args)]
pub struct Settings {
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long)]
    engine: SocketAddr,
    /// PEM.
    #[arg(long)]
    certificate: PathBuf,
    /// PEM.
    #[arg(long)]
    key: PathBuf,
}

const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// Nothing is known of the engine.
struct AnyPeer;

impl KnownPeer for AnyPeer {}

type Answer = Response<Either<LeasedBody<AnyPeer>, Full<Bytes>>>;

struct Engine {
    host: String,
    port: u16,
    tcp: TcpDialer,
    pool: Arc<Pool<AnyPeer>>,
}

pub fn serve(settings: &Settings) -> Result<()> {
    let engine = Arc::new(Engine {
        host: settings.engine.ip().to_string(),
        port: settings.engine.port(),
        tcp: TcpDialer::default(),
        pool: Pool::new(1024, IDLE_TIMEOUT),
    });
    let acceptor = TlsAcceptor::from(Arc::new(tls(settings)?));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(settings.listen).await?;
        loop {
            let (tcp, _) = listener.accept().await?;
            tcp.set_nodelay(true)?;
            let (acceptor, engine) = (acceptor.clone(), Arc::clone(&engine));
            tokio::spawn(async move {
                let Ok(tls) = acceptor.accept(tcp).await else {
                    return;
                };
                let service = service_fn(|request| answer(&engine, request));
                // A peer that hangs up ends its connection, and nothing else.
                let _ended = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(tls), service)
                    .await;
            });
        }
    })
}

async fn answer(engine: &Engine, request: Request<Incoming>) -> Result<Answer, Infallible> {
    Ok(match engine.forward(request).await {
        Ok(response) => response.map(Either::Left),
        Err(error) => {
            let mut response = Response::new(Either::Right(Full::from(format!("{error:#}"))));
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
    })
}

impl Engine {
    async fn forward(&self, request: Request<Incoming>) -> Result<Response<LeasedBody<AnyPeer>>> {
        let connection = match self.pool.lease(|_| Choice::Take(())) {
            Some((connection, ())) => connection,
            None => Box::pin(self.connect()).await?,
        };
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let request = Request::from_parts(head, body).into();
        let sent = connection.send(&request).await;
        sent.ok().context("the engine gave no response")
    }

    async fn connect(&self) -> Result<PooledConnection<AnyPeer>> {
        let to = Destination {
            host: &self.host,
            port: self.port,
            allowed: |_| true,
            tls: None,
        };
        let deadline = Instant::now() + Duration::from_secs(5);
        let stream = Stream::open(&self.tcp, to, deadline).await?;
        Ok(self.pool.hold(Connection::new(stream), AnyPeer))
    }
}

fn tls(settings: &Settings) -> Result<rustls::ServerConfig> {
    let certificate = CertificateDer::from_pem_file(&settings.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&settings.key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?)
}
