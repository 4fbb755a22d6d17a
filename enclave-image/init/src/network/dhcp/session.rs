//! Discover, request, and a thread that renews.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use rustix::rand::{GetRandomFlags, getrandom};

use super::DhcpError;
use super::packet::{self, Ask, Kind, Reply, Request};
use crate::console::say;
use crate::network::netlink::Netlink;
use crate::network::settings::Address;
use crate::network::{Device, Lease};
use crate::os::Doing;

/// How long the first lease may take, altogether.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one answer is waited for; it doubles up to the second value.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(8);
/// No renewal comes sooner, whatever a server says.
const SHORTEST: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

struct Session {
    socket: UdpSocket,
    hardware: [u8; 6],
}

/// Gets a lease for the device, whose link is up, and leaves a thread behind that renews it.
pub fn start(device: &Device, netlink: &mut Netlink) -> Result<Lease, DhcpError> {
    // Without an address there is no route yet, and a broadcast needs one to know its device.
    netlink.route(device.index, Address::host(Ipv4Addr::BROADCAST), None)?;
    let socket =
        UdpSocket::bind((Ipv4Addr::UNSPECIFIED, packet::CLIENT_PORT)).doing("bind", "port 68")?;
    socket.set_broadcast(true).doing("set up", "port 68")?;
    let session = Session {
        socket,
        hardware: device.hardware,
    };
    let reply = session.first()?;
    let lease = Lease {
        address: reply.address,
        gateway: reply.gateway,
        dns: reply.dns.clone(),
    };
    thread::spawn(move || session.renew_forever(reply));
    Ok(lease)
}

impl Session {
    fn first(&self) -> Result<Reply, DhcpError> {
        let deadline = Instant::now() + PATIENCE;
        let mut wait = FIRST_WAIT;
        while Instant::now() < deadline {
            if let Some(reply) = self.negotiate(wait)? {
                return Ok(reply);
            }
            wait = (wait * 2).min(LAST_WAIT);
        }
        Err(DhcpError::NoAnswer(PATIENCE.as_secs()))
    }

    /// One round: an offer, and its acknowledgement.
    fn negotiate(&self, wait: Duration) -> Result<Option<Reply>, DhcpError> {
        let transaction = transaction()?;
        let discover = self.request(transaction, Ask::Discover);
        let Some(offer) = self.exchange(&discover, Kind::Offer, wait)? else {
            return Ok(None);
        };
        let ask = Ask::Request {
            address: offer.address.ip,
            server: offer.server,
        };
        self.exchange(&self.request(transaction, ask), Kind::Acknowledgement, wait)
    }

    fn request(&self, transaction: u32, ask: Ask) -> Request {
        Request {
            transaction,
            hardware: self.hardware,
            ask,
        }
    }

    /// Sends, and waits for the first reply of the wanted kind; `None` if none came, or a refusal did.
    fn exchange(
        &self,
        request: &Request,
        wanted: Kind,
        wait: Duration,
    ) -> Result<Option<Reply>, DhcpError> {
        let server = (Ipv4Addr::BROADCAST, packet::SERVER_PORT);
        self.socket
            .send_to(&request.encode(), server)
            .doing("send to", "port 67")?;
        let deadline = Instant::now() + wait;
        let mut buffer = [0u8; packet::LARGEST];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.socket
                .set_read_timeout(Some(left))
                .doing("set up", "port 68")?;
            let length = match self.socket.recv(&mut buffer) {
                Ok(length) => length,
                Err(error) if is_pause(error.kind()) => continue,
                Err(error) => return Err(error).doing("read from", "port 68")?,
            };
            match packet::parse(&buffer[..length], request) {
                Ok(reply) if reply.kind == wanted => return Ok(Some(reply)),
                Ok(reply) if reply.kind == Kind::Refusal => return Ok(None),
                // Somebody else's, of another stage, or nonsense.
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Asks for the same address again, at half of its time. If nobody answers, the address is kept all the same:
    /// the wire is the host's, and a guest that takes itself off it helps nobody.
    fn renew_forever(&self, first: Reply) {
        let mut lease = first.lease;
        loop {
            thread::sleep((lease / 2).clamp(SHORTEST, LONGEST));
            match self.renew(first.address.ip) {
                Ok(Some(reply)) if reply.address.ip == first.address.ip => lease = reply.lease,
                Ok(Some(_)) => say("network: DHCP gave another address, which is not taken"),
                Ok(None) => say("network: DHCP did not renew the address, which is kept"),
                Err(error) => say(format_args!("network: DHCP: {error}")),
            }
        }
    }

    fn renew(&self, address: Ipv4Addr) -> Result<Option<Reply>, DhcpError> {
        let request = self.request(transaction()?, Ask::Renew { address });
        self.exchange(&request, Kind::Acknowledgement, LAST_WAIT)
    }
}

fn is_pause(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

fn transaction() -> Result<u32, DhcpError> {
    let mut bytes = [0; 4];
    getrandom(&mut bytes, GetRandomFlags::empty()).doing("draw from", "the random pool")?;
    Ok(u32::from_ne_bytes(bytes))
}
