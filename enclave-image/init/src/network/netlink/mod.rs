//! Configures links, addresses and routes in the kernel (`rtnetlink(7)`).

pub mod message;

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with,
};

use super::settings::Address;
use crate::os::{Doing, OsError};
use message::{Answer, AnswerError, Message};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetlinkError {
    #[error("the kernel did not {0}: {1}")]
    Refused(&'static str, OsError),

    #[error("the kernel's answer: {0}")]
    Answer(#[from] AnswerError),

    #[error(transparent)]
    Os(#[from] OsError),
}

/// A socket to the kernel's routing tables.
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    pub fn open() -> Result<Self, NetlinkError> {
        // Protocol 0 of the family is the routing tables (`NETLINK_ROUTE`).
        let protocol = None;
        let kind = SocketType::RAW;
        let socket = socket_with(AddressFamily::NETLINK, kind, SocketFlags::CLOEXEC, protocol);
        let socket = socket.doing("open", "a netlink socket")?;
        set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_TIMEOUT))
            .doing("set up", "a netlink socket")?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// Switches a link on.
    pub fn up(&mut self, link: u32) -> Result<(), NetlinkError> {
        self.request("switch the link on", &Message::link_up(link))
    }

    /// Gives a link an address.
    pub fn address(&mut self, link: u32, address: Address) -> Result<(), NetlinkError> {
        self.request("set the address", &Message::add_address(link, address))
    }

    /// Sends what goes to `destination` out of `link`, by way of `gateway` or right onto the wire.
    pub fn route(
        &mut self,
        link: u32,
        destination: Address,
        gateway: Option<Ipv4Addr>,
    ) -> Result<(), NetlinkError> {
        self.request(
            "set the route",
            &Message::add_route(link, destination, gateway),
        )
    }

    fn request(&mut self, doing: &'static str, message: &Message) -> Result<(), NetlinkError> {
        self.sequence += 1;
        let bytes = message.encode(self.sequence);
        let kernel = SocketAddrNetlink::new(0, 0);
        sendto(&self.socket, &bytes, SendFlags::empty(), &kernel)
            .doing("write to", "a netlink socket")?;
        let mut buffer = [0u8; 4096];
        loop {
            let (length, _) = recv(&self.socket, &mut buffer, RecvFlags::empty())
                .doing("read from", "a netlink socket")?;
            match message::answer(&buffer[..length.min(4096)], self.sequence)? {
                Answer::Other => {}
                Answer::Done => return Ok(()),
                Answer::Errno(errno) => {
                    let cause = io::Error::from_raw_os_error(errno);
                    return Err(NetlinkError::Refused(
                        doing,
                        OsError::new(doing, "netlink", &cause),
                    ));
                }
            }
        }
    }
}
