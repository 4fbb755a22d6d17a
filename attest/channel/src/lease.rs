//! One trusted connection, for one request.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};

use crate::error::{ChannelError, NotSent, SendError};
use crate::origin::Origin;
use crate::transport::{
    Connection, KnownPeer, LeasedBody, OutgoingRequest, PooledConnection, Unanswered,
};
use attest_core::{SpkiDigest, TrustedPeer};

/// A connection in an attested channel's pool leads to the holder of this key. Whether the key is trusted is checked
/// on every lease.
impl KnownPeer for SpkiDigest {}

/// The body of a response from an attested peer.
pub type AttestedBody = LeasedBody<SpkiDigest>;

/// `None`: another peer answers at the address now.
pub(crate) type Reconnecting<'a> = Pin<
    Box<
        dyn Future<Output = Result<Option<PooledConnection<SpkiDigest>>, ChannelError>> + Send + 'a,
    >,
>;

/// The channel as a lease sees it, so that the channel can depend on leases.
pub(crate) trait LeaseOwner: Send + Sync {
    /// Closes every idle connection to this key: the peer serves no more requests on them.
    fn close_idle(&self, spki: SpkiDigest);

    /// Opens another connection to exactly this peer, for a request whose connection turned out to be closed.
    fn reconnect<'a>(&'a self, peer: &'a Arc<TrustedPeer>) -> Reconnecting<'a>;
}

/// The right to send one request to [`peer`](Self::peer). If it is dropped unused, its connection returns to the
/// pool; if it is dropped while sending, the connection is closed.
pub struct Lease {
    connection: PooledConnection<SpkiDigest>,
    peer: Arc<TrustedPeer>,
    origin: Origin,
    /// `None`: the connection is used once and then closed.
    owner: Option<Arc<dyn LeaseOwner>>,
    history: History,
}

enum History {
    New,
    /// It was idle, and the peer may have closed it in the meantime.
    Pooled,
}

impl Lease {
    pub(crate) fn pooled(
        connection: PooledConnection<SpkiDigest>,
        peer: Arc<TrustedPeer>,
        origin: Origin,
        owner: Arc<dyn LeaseOwner>,
    ) -> Self {
        Lease {
            connection,
            peer,
            origin,
            owner: Some(owner),
            history: History::Pooled,
        }
    }

    pub(crate) fn fresh(
        connection: PooledConnection<SpkiDigest>,
        peer: Arc<TrustedPeer>,
        origin: Origin,
        owner: Arc<dyn LeaseOwner>,
    ) -> Self {
        Lease {
            history: History::New,
            ..Self::pooled(connection, peer, origin, owner)
        }
    }

    pub(crate) fn single_use(http: Connection, peer: Arc<TrustedPeer>, origin: Origin) -> Self {
        Lease {
            connection: PooledConnection::single_use(http, peer.spki()),
            peer,
            origin,
            owner: None,
            history: History::New,
        }
    }

    /// The peer that will see the request.
    pub fn peer(&self) -> &Arc<TrustedPeer> {
        &self.peer
    }

    /// Sends `request` and waits for the head of the response. `Host` is set here.
    ///
    /// A pooled connection that turns out to be closed before anything was written is replaced once,
    /// by another one to the same peer. A peer whose epoch has ended answers 421; the other idle connections to it are
    /// closed then, and the caller leases again. Dropping the future closes the connection.
    pub async fn send(
        self,
        mut request: Request<Bytes>,
    ) -> Result<Response<AttestedBody>, SendError> {
        self.origin
            .address(&mut request)
            .map_err(|_| SendError::NotSent(NotSent::WrongOrigin))?;
        self.send_rendered(&request.into()).await
    }

    /// Sends a request whose head was rendered for this origin, like [`send`](Self::send).
    pub async fn send_rendered(
        self,
        request: &OutgoingRequest,
    ) -> Result<Response<AttestedBody>, SendError> {
        let sent = match (self.connection.send(request).await, &self.owner) {
            // One replacement only: a peer that closes fresh connections is not dialed in a loop.
            (Err(Unanswered::NotSent), Some(owner)) if matches!(self.history, History::Pooled) => {
                let other = owner.reconnect(&self.peer).await;
                match other.map_err(|error| SendError::NotSent(NotSent::Channel(error)))? {
                    Some(connection) => connection.send(request).await,
                    None => Err(Unanswered::NotSent),
                }
            }
            (sent, _) => sent,
        };
        match sent {
            Ok(response) if response.status() == StatusCode::MISDIRECTED_REQUEST => {
                if let Some(owner) = &self.owner {
                    owner.close_idle(self.peer.spki());
                }
                Err(SendError::Misdirected)
            }
            Ok(response) => Ok(response),
            Err(Unanswered::NotSent) => Err(SendError::NotSent(NotSent::Stale)),
            Err(Unanswered::MaybeSent(error)) => Err(SendError::Interrupted(error.to_string())),
        }
    }
}
