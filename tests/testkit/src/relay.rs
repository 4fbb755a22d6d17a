//! A man in the middle: terminates TLS with another key and passes every byte on.
//!
//! What it relays is genuine — the report, its signature, the quote. Only the key of the
//! connection is not the one that was attested.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use rcgen::generate_simple_self_signed;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::client::{observing_connector, server_name};

/// A running relay; it stops when this is dropped.
pub struct Relay {
    address: SocketAddr,
    bytes_from_clients: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// Relays a free loopback port to `upstream`.
    pub async fn start(upstream: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let acceptor = acceptor()?;
        let bytes_from_clients = Arc::new(AtomicU64::new(0));
        let counter = bytes_from_clients.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, counter) = (acceptor.clone(), counter.clone());
                tokio::spawn(async move {
                    if let Ok((from_client, _)) = relay(client, upstream, acceptor).await {
                        counter.fetch_add(from_client, Ordering::SeqCst);
                    }
                });
            }
        });
        Ok(Self {
            address,
            bytes_from_clients,
            accepting,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that clients sent through connections that have ended.
    pub fn bytes_from_clients(&self) -> u64 {
        self.bytes_from_clients.load(Ordering::SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn acceptor() -> Result<TlsAcceptor> {
    let own = generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    let key =
        PrivateKeyDer::try_from(own.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn relay(
    client: TcpStream,
    upstream: SocketAddr,
    acceptor: TlsAcceptor,
) -> Result<(u64, u64)> {
    let mut client = acceptor.accept(client).await?;
    let upstream = TcpStream::connect(upstream).await?;
    let mut upstream = observing_connector()
        .connect(server_name(), upstream)
        .await?;
    Ok(copy_bidirectional(&mut client, &mut upstream).await?)
}
