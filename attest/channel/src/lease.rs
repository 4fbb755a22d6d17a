//! One trusted connection, for one request.

use std::sync::Arc;

use attest_core::TrustedPeer;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;

use crate::body::{Held, LeasedBody};
use crate::connection::AttestedConnection;
use crate::error::{NotSent, SendError};
use crate::http1::{BoxError, Http1, Sent, address, boxed};
use crate::{AttestedChannel, Origin};

/// The right to send one request to [`peer`](Self::peer). Dropped unused, the connection goes back;
/// dropped while sending, it is closed.
pub struct Lease {
    http: Option<Http1>,
    peer: Arc<TrustedPeer>,
    origin: Origin,
    home: Option<Arc<AttestedChannel>>,
    history: History,
}

enum History {
    New,
    /// It may have been closed by the peer in the meantime.
    Pooled,
}

impl Lease {
    pub(crate) fn pooled(http: Http1, peer: Arc<TrustedPeer>, home: Arc<AttestedChannel>) -> Self {
        Lease {
            http: Some(http),
            peer,
            origin: home.origin().clone(),
            home: Some(home),
            history: History::Pooled,
        }
    }

    pub(crate) fn fresh(connection: AttestedConnection, home: Arc<AttestedChannel>) -> Self {
        let mut lease = Self::alone(connection);
        lease.home = Some(home);
        lease
    }

    pub(crate) fn alone(connection: AttestedConnection) -> Self {
        Lease {
            http: Some(connection.http),
            peer: connection.peer,
            origin: connection.origin,
            home: None,
            history: History::New,
        }
    }

    /// Who will see the request.
    pub fn peer(&self) -> &Arc<TrustedPeer> {
        &self.peer
    }

    /// Sends `request` and waits for the head of the response. `Host` is set here.
    ///
    /// A pooled connection that turns out to be closed before anything was written is replaced once,
    /// by another to the very same peer. Dropping the future closes the connection.
    pub async fn send<B>(mut self, request: Request<B>) -> Result<Response<LeasedBody>, SendError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut request = request.map(boxed);
        address(&mut request, &self.origin)
            .map_err(|_| SendError::NotSent(NotSent::WrongOrigin))?;
        loop {
            let mut http = self.http.take().ok_or(SendError::NotSent(NotSent::Stale))?;
            match http.send(request).await {
                Sent::Answered(response) => {
                    let held = Held {
                        http,
                        spki: self.peer.spki(),
                        home: self.home.take(),
                    };
                    return Ok(response.map(|body| LeasedBody::new(body, held)));
                }
                Sent::Failed(error) => return Err(error),
                Sent::Unsent(unsent) => request = unsent,
            }
            drop(http);
            self.http = self.replacement().await.map_err(SendError::NotSent)?;
        }
    }

    async fn replacement(&mut self) -> Result<Option<Http1>, NotSent> {
        match (&self.history, &self.home) {
            (History::Pooled, Some(home)) => {
                self.history = History::New;
                home.connect_again(&self.peer)
                    .await
                    .map_err(NotSent::Channel)
            }
            _ => Ok(None),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let (Some(http), Some(home)) = (self.http.take(), self.home.take()) {
            home.keep(http, self.peer.spki());
        }
    }
}
