//! Gets a lease (discover, request), and renews it on a thread that runs until the machine is off.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
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

/// How long getting the first lease may take in total.
const LEASE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long to wait for one answer; it doubles up to the second value.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LAST_WAIT: Duration = Duration::from_secs(8);
/// The shortest interval between renewals, whatever lease a server grants.
const SHORTEST: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

struct Session {
    socket: UdpSocket,
    hardware: [u8; 6],
    /// The address that requests are sent to: broadcast.
    server: SocketAddr,
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
        server: (Ipv4Addr::BROADCAST, packet::SERVER_PORT).into(),
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
        let deadline = Instant::now() + LEASE_TIMEOUT;
        let mut wait = FIRST_WAIT;
        while Instant::now() < deadline {
            if let Some(reply) = self.negotiate(wait)? {
                return Ok(reply);
            }
            wait = (wait * 2).min(LAST_WAIT);
        }
        Err(DhcpError::NoAnswer(LEASE_TIMEOUT.as_secs()))
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

    /// Sends, and waits for the first reply of the expected kind; `None` if none came, or a refusal did.
    fn exchange(
        &self,
        request: &Request,
        expected: Kind,
        wait: Duration,
    ) -> Result<Option<Reply>, DhcpError> {
        self.socket
            .send_to(&request.encode(), self.server)
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
                Ok(reply) if reply.kind == expected => return Ok(Some(reply)),
                // A refusal ends the round: waiting on would only take the time of the next one.
                Ok(reply) if reply.kind == Kind::Refusal => return Ok(None),
                // For another client, of another stage, or malformed: dropped, and the wait continues.
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Requests the same address again at half of its lease time. Without an answer the address is kept: the network is
    /// the host's, and a guest that stops using its address gains no security.
    fn renew_forever(&self, first: Reply) {
        let mut lease = first.lease;
        loop {
            thread::sleep((lease / 2).clamp(SHORTEST, LONGEST));
            match self.renew(first.address.ip) {
                Ok(Some(reply)) if reply.address.ip == first.address.ip => lease = reply.lease,
                // Services are bound to the first address, and its certificate may name it.
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::JoinHandle;

    const HARDWARE: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
    const OFFER: u8 = 2;
    const ACKNOWLEDGEMENT: u8 = 5;
    const REFUSAL: u8 = 6;
    const PLENTY: Duration = Duration::from_secs(60);

    /// A reply of this kind to the request, as a server would give it.
    fn reply(request: &[u8], kind: u8) -> Vec<u8> {
        let mut bytes = request[..240].to_vec();
        bytes[0] = 2;
        bytes[12..16].fill(0);
        bytes[16..20].copy_from_slice(&[10, 0, 2, 15]);
        bytes.extend_from_slice(&[53, 1, kind, 54, 4, 10, 0, 2, 2, 1, 4, 255, 255, 255, 0]);
        bytes.extend_from_slice(&[51, 4, 0, 0, 0, 120, 255]);
        bytes
    }

    /// What a server sends on a request.
    type Answers = fn(&[u8]) -> Vec<Vec<u8>>;

    /// A server that answers each request with the next of these, and gives the requests back.
    fn serve(script: Vec<Answers>) -> (Session, JoinHandle<Vec<Vec<u8>>>) {
        let server = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        let session = Session {
            socket,
            hardware: HARDWARE,
            server: server.local_addr().expect("it is bound"),
        };
        let thread = thread::spawn(move || {
            let mut requests = Vec::new();
            for answers in script {
                let mut buffer = [0; packet::LARGEST];
                let (length, from) = server.recv_from(&mut buffer).expect("a request comes");
                for answer in answers(&buffer[..length]) {
                    server.send_to(&answer, from).expect("it can be sent");
                }
                requests.push(buffer[..length].to_vec());
            }
            requests
        });
        (session, thread)
    }

    /// The kind of message that a request is: its first option.
    fn kind(request: &[u8]) -> u8 {
        request[242]
    }

    #[test]
    fn dhcp_ignores_malformed_packets_and_replies_to_other_machines() {
        let (session, server) = serve(vec![
            |request| {
                let mut other = reply(request, OFFER);
                other[28] ^= 1;
                let early = reply(request, ACKNOWLEDGEMENT);
                vec![
                    b"nonsense".to_vec(),
                    Vec::new(),
                    other,
                    early,
                    reply(request, OFFER),
                ]
            },
            |request| vec![reply(request, OFFER), reply(request, ACKNOWLEDGEMENT)],
        ]);
        let got = session
            .negotiate(PLENTY)
            .expect("sockets work")
            .expect("it was acknowledged");
        assert_eq!(got.address.to_string(), "10.0.2.15/24");
        assert_eq!(got.lease, Duration::from_secs(120));
        let requests = server.join().expect("the server has ended");
        assert_eq!([kind(&requests[0]), kind(&requests[1])], [1, 3]);
        assert_eq!(requests[0][4..8], requests[1][4..8], "one transaction");
        assert_eq!(
            requests[1][243..249],
            [50, 4, 10, 0, 2, 15],
            "the address offered"
        );
    }

    #[test]
    fn a_request_that_is_refused_ends_the_round_at_once() {
        let (session, server) = serve(vec![|request| vec![reply(request, OFFER)], |request| {
            vec![reply(request, REFUSAL)]
        }]);
        assert_eq!(session.negotiate(PLENTY), Ok(None));
        server.join().expect("the server has ended");
    }

    #[test]
    fn silence_ends_the_round_after_its_time() {
        let (session, server) = serve(vec![|_| Vec::new()]);
        assert_eq!(session.negotiate(Duration::from_millis(50)), Ok(None));
        server.join().expect("the server has ended");
    }

    #[test]
    fn a_dhcp_renewal_requests_the_present_address() {
        let (session, server) = serve(vec![|request| vec![reply(request, ACKNOWLEDGEMENT)]]);
        let address = Ipv4Addr::new(10, 0, 2, 15);
        let renewed = session
            .renew(address)
            .expect("sockets work")
            .expect("it was acknowledged");
        assert_eq!(renewed.address.ip, address);
        let requests = server.join().expect("the server has ended");
        assert_eq!(requests[0][12..16], address.octets(), "as the one in use");
        assert_eq!(kind(&requests[0]), 3);
    }
}
