//! One trusted connection, for one request.

use std::sync::Arc;

use attest_core::TrustedPeer;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;

use crate::body::{LeasedBody, LeasedConnection};
use crate::error::{NotSent, SendError};
use crate::http1::{BoxError, Http1, Sent, address, boxed};
use crate::origin::Origin;
use crate::owner::ConnectionOwner;

/// The right to send one request to [`peer`](Self::peer). If it is dropped unused, its connection returns to the
/// pool; if it is dropped while sending, the connection is closed.
pub struct Lease {
    /// `None` while a request is under way on it.
    http: Option<Http1>,
    peer: Arc<TrustedPeer>,
    origin: Origin,
    /// `None`: the connection is used once and then closed.
    owner: Option<Arc<dyn ConnectionOwner>>,
    history: History,
}

enum History {
    New,
    /// It was idle, and the peer may have closed it in the meantime.
    Pooled,
}

impl Lease {
    pub(crate) fn pooled(
        http: Http1,
        peer: Arc<TrustedPeer>,
        origin: Origin,
        owner: Arc<dyn ConnectionOwner>,
    ) -> Self {
        let mut lease = Self::fresh(http, peer, origin, owner);
        lease.history = History::Pooled;
        lease
    }

    pub(crate) fn fresh(
        http: Http1,
        peer: Arc<TrustedPeer>,
        origin: Origin,
        owner: Arc<dyn ConnectionOwner>,
    ) -> Self {
        let mut lease = Self::single_use(http, peer, origin);
        lease.owner = Some(owner);
        lease
    }

    pub(crate) fn single_use(http: Http1, peer: Arc<TrustedPeer>, origin: Origin) -> Self {
        Lease {
            http: Some(http),
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
    pub async fn send<B>(mut self, request: Request<B>) -> Result<Response<LeasedBody>, SendError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut request = request.map(boxed);
        address(&mut request, &self.origin)
            .map_err(|_| SendError::NotSent(NotSent::WrongOrigin))?;
        loop {
            // Taken out of the lease: if this future is dropped, `Drop` finds no connection to put back, and the
            // local variable closes it.
            let mut http = self.http.take().ok_or(SendError::NotSent(NotSent::Stale))?;
            match http.send(request).await {
                Sent::Answered(response)
                    if response.status() == StatusCode::MISDIRECTED_REQUEST =>
                {
                    if let Some(owner) = &self.owner {
                        owner.close_idle(self.peer.spki());
                    }
                    return Err(SendError::Misdirected);
                }
                Sent::Answered(response) => {
                    let connection = LeasedConnection {
                        http,
                        spki: self.peer.spki(),
                        owner: self.owner.take(),
                    };
                    return Ok(response.map(|body| LeasedBody::new(body, connection)));
                }
                Sent::Failed(error) => return Err(error),
                Sent::Unsent(unsent) => request = unsent,
            }
            drop(http);
            self.http = self.replacement().await.map_err(SendError::NotSent)?;
        }
    }

    async fn replacement(&mut self) -> Result<Option<Http1>, NotSent> {
        match (&self.history, &self.owner) {
            (History::Pooled, Some(owner)) => {
                // One replacement only: a peer that closes fresh connections is not dialed in a loop.
                self.history = History::New;
                owner.reconnect(&self.peer).await.map_err(NotSent::Channel)
            }
            _ => Ok(None),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let (Some(http), Some(owner)) = (self.http.take(), self.owner.take()) {
            owner.put_back(http, self.peer.spki());
        }
    }
}
