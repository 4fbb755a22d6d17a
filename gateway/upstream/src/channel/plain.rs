//! Upstreams without evidence, in two types.
//!
//! [`LocalEngine`] is the engine inside this machine: connected over loopback only, which is checked on the resolved
//! address. [`PlainUpstream`] is an ordinary API elsewhere, for models that are not flagged confidential. Neither can be
//! used where a verified upstream is required.

use std::sync::Arc;

use http::Response;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;

use super::connector::{ConnectFailure, Connector, PeerCheck, Unattested};
use super::prompt_body::OutgoingPrompt;
use super::send_failure::SendFailure;
use super::target::{Target, TargetError};
use attest_channel::TcpDialer;
use attest_channel::transport::{Choice, LeasedBody, Pool, PooledConnection, Unanswered};
use gateway_base::config::{Scheme, Timeouts, Upstream};
use gateway_base::request::Endpoint;
use gateway_base::request::Name;

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

/// Idle connections to one origin; beyond that, the one that was idle longest is closed.
const MAX_IDLE: usize = 256;

/// An HTTP origin without evidence: its connections, and the fixed parts of requests to it.
pub struct HttpUpstream {
    target: Target,
    connector: Connector,
    pool: Arc<Pool<Unattested>>,
}

impl LocalEngine {
    pub fn new(
        upstream: &Upstream,
        model_id: &Name,
        timeouts: &Timeouts,
        tcp: Arc<TcpDialer>,
    ) -> Result<Self, PlainError> {
        if upstream.url.scheme != Scheme::Http || !upstream.url.is_loopback() {
            return Err(PlainError::NotLocal);
        }
        let http = HttpUpstream::new(upstream, model_id, PeerCheck::Loopback, timeouts, tcp)?;
        Ok(Self(http))
    }

    pub fn http(&self) -> &HttpUpstream {
        &self.0
    }
}

impl PlainUpstream {
    pub fn new(
        upstream: &Upstream,
        model_id: &Name,
        timeouts: &Timeouts,
        tcp: Arc<TcpDialer>,
        authorities: &WebPki,
    ) -> Result<Self, PlainError> {
        let check = match upstream.url.scheme {
            Scheme::Http => PeerCheck::Nothing,
            Scheme::Https => {
                let name = ServerName::try_from(upstream.url.host.clone());
                PeerCheck::WebPki(
                    authorities.client_config()?,
                    name.map_err(|_| PlainError::ServerName)?,
                )
            }
        };
        let http = HttpUpstream::new(upstream, model_id, check, timeouts, tcp)?;
        Ok(Self(http))
    }

    pub fn http(&self) -> &HttpUpstream {
        &self.0
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
    fn new(
        upstream: &Upstream,
        model_id: &Name,
        check: PeerCheck,
        timeouts: &Timeouts,
        tcp: Arc<TcpDialer>,
    ) -> Result<Self, TargetError> {
        Ok(Self {
            target: Target::new(upstream, model_id)?,
            connector: Connector {
                host: upstream.url.host.clone(),
                port: upstream.url.port,
                check,
                connect_timeout: timeouts.connect,
                tcp,
            },
            pool: Pool::new(MAX_IDLE, timeouts.pool_idle),
        })
    }

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
    ) -> Result<Response<LeasedBody<Unattested>>, PlainFailure> {
        let request = self.target.request(endpoint, stream, prompt);
        let connection = match self.pool.lease(|_| Choice::Take(())) {
            Some((connection, ())) => connection,
            // Boxed: most requests use a pooled connection, and this future is large.
            None => Box::pin(self.connect()).await?,
        };
        let sent = match connection.send(&request).await {
            Err(Unanswered::NotSent) => Box::pin(self.connect()).await?.send(&request).await,
            other => other,
        };
        Ok(sent.map_err(SendFailure::from)?)
    }

    async fn connect(&self) -> Result<PooledConnection<Unattested>, ConnectFailure> {
        Ok(self.pool.hold(self.connector.connect().await?, Unattested))
    }
}

/// The certificate authorities that this machine trusts, read at most once.
#[derive(Default)]
// One for each epoch, set by its first `https` upstream: without one, a machine that has no authorities is no error.
pub struct WebPki(std::sync::OnceLock<Result<Arc<ClientConfig>, PlainError>>);

impl WebPki {
    /// Only these authorities.
    #[cfg(test)]
    pub(super) fn trusting(roots: rustls::RootCertStore) -> Self {
        let config = Arc::new(tls_client::client_config(roots));
        Self(std::sync::OnceLock::from(Ok(config)))
    }

    fn client_config(&self) -> Result<Arc<ClientConfig>, PlainError> {
        self.0.get_or_init(system_authorities).clone()
    }
}

fn system_authorities() -> Result<Arc<ClientConfig>, PlainError> {
    let roots = tls_client::system_authorities();
    if roots.is_empty() {
        return Err(PlainError::NoAuthorities);
    }
    Ok(Arc::new(tls_client::client_config(roots)))
}
