//! A DHCP client (RFC 2131), as small as one interface needs.
//!
//! The server is the host, or stands in its network. It is believed in what it may decide anyway: an address, a
//! gateway, name servers. Anything malformed is dropped and waited past. The client asks for broadcast answers, since
//! it has no raw socket; servers that ignore the wish are not understood, and the static configuration is there for them.

pub mod packet;
mod session;

pub use session::start;

use crate::network::netlink::NetlinkError;
use crate::os::OsError;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DhcpError {
    #[error("no server offered an address within {0} seconds")]
    NoAnswer(u64),

    #[error(transparent)]
    Netlink(#[from] NetlinkError),

    #[error(transparent)]
    Os(#[from] OsError),
}
