//! Where a connection returns to after use, as leases and bodies see it. They hold this trait and not the channel,
//! so that the channel can depend on them.

use std::pin::Pin;
use std::sync::Arc;

use attest_core::{SpkiDigest, TrustedPeer};

use crate::error::ChannelError;
use crate::http1::Http1;

/// `None`: another peer answers at the address now.
pub(crate) type Reconnecting<'a> =
    Pin<Box<dyn Future<Output = Result<Option<Http1>, ChannelError>> + Send + 'a>>;

/// The owner of a pool of connections.
pub(crate) trait ConnectionOwner: Send + Sync {
    /// Takes a connection back on which no request is under way.
    fn put_back(&self, http: Http1, spki: SpkiDigest);

    /// Closes every idle connection to this key: the peer serves no more requests on them.
    fn close_idle(&self, spki: SpkiDigest);

    /// Opens another connection to exactly this peer, for a request whose connection turned out to be closed.
    fn reconnect<'a>(&'a self, peer: &'a Arc<TrustedPeer>) -> Reconnecting<'a>;
}
