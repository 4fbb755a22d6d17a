//! Upstreams without evidence, in two types.
//!
//! [`LocalEngine`] is the engine inside this machine: connected over loopback only, which is checked on the resolved
//! address. [`PlainUpstream`] is an ordinary API elsewhere, for models that are not flagged confidential. Neither can be
//! used where a verified upstream is required.

use http::Response;
use std::sync::Arc;
use std::time::Duration;

use super::connection::SendFailure;
use super::pool::{AllowedAddresses, ConnectFailure, Connector, Pool, PooledBody};
use super::prompt_body::OutgoingPrompt;
use super::target::{Target, TargetError};
use attest_channel::TcpDialer;
use gateway_base::config::{Scheme, Upstream};
use gateway_base::request::Endpoint;
use gateway_base::request::Name;
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

/// Why such an upstream cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlainError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("a local engine must be at http:// on a loopback address")]
    NotLocal,
    #[error("its host is not a name a certificate can carry")]
    ServerName,
    #[error("this machine has no certificate authorities to check it with")]
    NoAuthorities,
}

/// An engine on this machine's loopback interface.
pub struct LocalEngine(HttpUpstream);

/// An ordinary API: at best TLS under WebPKI rules. No evidence, no session.
pub struct PlainUpstream(HttpUpstream);

/// An HTTP origin without evidence: its connections, and the fixed parts of requests to it.
pub struct HttpUpstream {
    target: Target,
    pool: Arc<Pool>,
}

impl LocalEngine {
    pub fn new(
        upstream: &Upstream,
        model_id: &Name,
        connect: Duration,
        tcp: Arc<TcpDialer>,
    ) -> Result<Self, PlainError> {
        if upstream.url.scheme != Scheme::Http || !upstream.url.is_loopback() {
            return Err(PlainError::NotLocal);
        }
        let target = Target::new(upstream, model_id)?;
        Ok(Self(HttpUpstream {
            target,
            pool: Pool::new(connector(
                upstream,
                AllowedAddresses::Loopback,
                None,
                connect,
                tcp,
            )),
        }))
    }

    pub fn http(&self) -> &HttpUpstream {
        &self.0
    }
}

impl PlainUpstream {
    pub fn new(
        upstream: &Upstream,
        model_id: &Name,
        connect: Duration,
        tcp: Arc<TcpDialer>,
        authorities: &WebPki,
    ) -> Result<Self, PlainError> {
        let tls = match upstream.url.scheme {
            Scheme::Http => None,
            Scheme::Https => {
                let name = ServerName::try_from(upstream.url.host.clone());
                Some((
                    authorities.connector()?,
                    name.map_err(|_| PlainError::ServerName)?,
                ))
            }
        };
        let target = Target::new(upstream, model_id)?;
        Ok(Self(HttpUpstream {
            target,
            pool: Pool::new(connector(
                upstream,
                AllowedAddresses::All,
                tls,
                connect,
                tcp,
            )),
        }))
    }

    pub fn http(&self) -> &HttpUpstream {
        &self.0
    }
}

fn connector(
    upstream: &Upstream,
    allowed: AllowedAddresses,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    connect_timeout: Duration,
    tcp: Arc<TcpDialer>,
) -> Connector {
    Connector {
        host: upstream.url.host.clone(),
        port: upstream.url.port,
        allowed,
        tls,
        connect_timeout,
        tcp,
    }
}

/// Why a plain exchange failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlainFailure {
    #[error(transparent)]
    Connect(#[from] ConnectFailure),
    #[error(transparent)]
    Send(#[from] SendFailure),
}

impl HttpUpstream {
    pub fn name(&self) -> &Name {
        &self.target.name
    }

    /// What this upstream calls the model.
    pub fn model(&self) -> &Name {
        &self.target.model
    }

    /// Sends on an idle connection; if that turns out to be closed before a byte was written, once more on a new one.
    pub(super) async fn send(
        &self,
        endpoint: Endpoint,
        stream: bool,
        prompt: &OutgoingPrompt,
    ) -> Result<Response<PooledBody>, PlainFailure> {
        let request = || self.target.request(endpoint, stream, prompt);
        match self.pool.lease().await?.send(request()).await {
            Err(SendFailure::NotSent) => Ok(self.pool.connect().await?.send(request()).await?),
            other => Ok(other?),
        }
    }
}

/// The certificate authorities that this machine trusts, read at most once.
#[derive(Default)]
// One for each epoch, set by its first `https` upstream: without one, a machine that has no authorities is no error.
pub struct WebPki(std::sync::OnceLock<Result<TlsConnector, PlainError>>);

impl WebPki {
    /// Only these authorities.
    #[cfg(test)]
    pub(super) fn trusting(roots: rustls::RootCertStore) -> Self {
        Self(std::sync::OnceLock::from(Ok(connector_for(roots))))
    }

    fn connector(&self) -> Result<TlsConnector, PlainError> {
        self.0.get_or_init(system_authorities).clone()
    }
}

fn system_authorities() -> Result<TlsConnector, PlainError> {
    let roots = tls_client::system_authorities();
    if roots.is_empty() {
        return Err(PlainError::NoAuthorities);
    }
    Ok(connector_for(roots))
}

fn connector_for(roots: rustls::RootCertStore) -> TlsConnector {
    TlsConnector::from(Arc::new(tls_client::client_config(roots)))
}
