//! Bytes of DHCP (RFC 2131 §2, options of RFC 2132). Big-endian.
//!
//! | bytes | field |
//! |---|---|
//! | 0 | op: 1 request, 2 reply |
//! | 1, 2, 3 | hardware type 1, its length 6, hops |
//! | 4..8 | xid, ours |
//! | 8..10, 10..12 | seconds, flags: 0x8000 asks for a broadcast |
//! | 12..16, 16..20 | ciaddr, yiaddr: the address given |
//! | 28..44 | chaddr, ours in its first six bytes |
//! | 236..240 | magic cookie |
//! | 240.. | options: code 1, length 1, value; 0 is padding, 255 ends them |
//!
//! Options that overflow into the name fields (52) are not followed; one that is there twice and that we read makes
//! the reply malformed, since servers and clients disagree on what that means.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::network::settings::{Address, is_host};

pub const CLIENT_PORT: u16 = 68;
pub const SERVER_PORT: u16 = 67;
/// More than an Ethernet frame carries.
pub const LARGEST: usize = 1500;

const FIXED: usize = 240;
/// The least that RFC 1542 lets relays expect.
const SMALLEST: usize = 300;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const BROADCAST: [u8; 2] = [0x80, 0];

const MASK: u8 = 1;
const ROUTER: u8 = 3;
const DNS: u8 = 6;
const REQUESTED: u8 = 50;
const LEASE: u8 = 51;
const KIND: u8 = 53;
const SERVER: u8 = 54;
const WANTED: u8 = 55;
const END: u8 = 255;

const DNS_LIMIT: usize = 3;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Discover,
    Request {
        address: Ipv4Addr,
        server: Ipv4Addr,
    },
    /// For the address that the interface has (RFC 2131 §4.3.2, REBINDING).
    Renew {
        address: Ipv4Addr,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    pub transaction: u32,
    pub hardware: [u8; 6],
    pub ask: Ask,
}

impl Request {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; FIXED];
        bytes[..3].copy_from_slice(&[1, 1, 6]);
        bytes[4..8].copy_from_slice(&self.transaction.to_be_bytes());
        bytes[10..12].copy_from_slice(&BROADCAST);
        bytes[28..34].copy_from_slice(&self.hardware);
        bytes[236..240].copy_from_slice(&COOKIE);
        let kind = match self.ask {
            Ask::Discover => 1,
            Ask::Request { .. } | Ask::Renew { .. } => 3,
        };
        bytes.extend_from_slice(&[KIND, 1, kind]);
        match self.ask {
            Ask::Discover => {}
            Ask::Request { address, server } => {
                option(&mut bytes, REQUESTED, address);
                option(&mut bytes, SERVER, server);
            }
            Ask::Renew { address } => bytes[12..16].copy_from_slice(&address.octets()),
        }
        bytes.extend_from_slice(&[WANTED, 4, MASK, ROUTER, DNS, LEASE, END]);
        bytes.resize(bytes.len().max(SMALLEST), 0);
        bytes
    }
}

fn option(bytes: &mut Vec<u8>, code: u8, address: Ipv4Addr) {
    bytes.extend_from_slice(&[code, 4]);
    bytes.extend_from_slice(&address.octets());
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Offer,
    Acknowledgement,
    /// DHCPNAK
    Refusal,
}

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub kind: Kind,
    /// Unspecified in a refusal.
    pub address: Address,
    pub server: Ipv4Addr,
    pub gateway: Option<Ipv4Addr>,
    pub dns: Vec<Ipv4Addr>,
    pub lease: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    #[error("{0} bytes are too few, or too many")]
    Length(usize),

    #[error("it is not a reply over Ethernet")]
    NotAReply,

    /// To another transaction or another machine.
    #[error("it is not for us")]
    NotForUs,

    #[error("the option at byte {0} goes beyond the end")]
    Overrun(usize),

    #[error("option {0} is there twice")]
    Twice(u8),

    #[error("option {0} is missing")]
    Missing(u8),

    #[error("option {0} has a value that cannot be")]
    Value(u8),

    #[error("{0} is no address for a machine")]
    Address(Ipv4Addr),
}

/// Reads a reply to this request.
pub fn parse(bytes: &[u8], request: &Request) -> Result<Reply, PacketError> {
    if !(FIXED..=LARGEST).contains(&bytes.len()) {
        return Err(PacketError::Length(bytes.len()));
    }
    if bytes[..3] != [2, 1, 6] || bytes[236..240] != COOKIE {
        return Err(PacketError::NotAReply);
    }
    if bytes[4..8] != request.transaction.to_be_bytes() || bytes[28..34] != request.hardware {
        return Err(PacketError::NotForUs);
    }
    let options = Options::read(bytes)?;
    let kind = match options.need(KIND)? {
        [2] => Kind::Offer,
        [5] => Kind::Acknowledgement,
        [6] => Kind::Refusal,
        _ => return Err(PacketError::Value(KIND)),
    };
    let server = first(options.need(SERVER)?, SERVER)?;
    if kind == Kind::Refusal {
        return Ok(Reply {
            kind,
            address: Address::everything(),
            server,
            gateway: None,
            dns: Vec::new(),
            lease: Duration::ZERO,
        });
    }
    let given = Ipv4Addr::new(bytes[16], bytes[17], bytes[18], bytes[19]);
    if !is_host(given) {
        return Err(PacketError::Address(given));
    }
    let prefix = prefix(options.need(MASK)?).ok_or(PacketError::Value(MASK))?;
    Ok(Reply {
        kind,
        address: Address { ip: given, prefix },
        server,
        gateway: options
            .get(ROUTER)
            .map(|value| first(value, ROUTER))
            .transpose()?,
        dns: addresses(options.get(DNS).unwrap_or_default(), DNS)?,
        lease: lease(options.need(LEASE)?)?,
    })
}

/// The values of the options that are read, by code.
struct Options<'a>(Vec<(u8, &'a [u8])>);

impl<'a> Options<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, PacketError> {
        let mut found: Vec<(u8, &[u8])> = Vec::new();
        let mut at = FIXED;
        while let Some(&code) = bytes.get(at) {
            match code {
                0 => at += 1,
                END => break,
                _ => {
                    let overrun = PacketError::Overrun(at);
                    let length = usize::from(*bytes.get(at + 1).ok_or(overrun)?);
                    let value = bytes.get(at + 2..at + 2 + length).ok_or(overrun)?;
                    at += 2 + length;
                    let read = matches!(code, MASK | ROUTER | DNS | LEASE | KIND | SERVER);
                    if read && found.iter().any(|(there, _)| *there == code) {
                        return Err(PacketError::Twice(code));
                    }
                    if read {
                        found.push((code, value));
                    }
                }
            }
        }
        Ok(Self(found))
    }

    fn get(&self, code: u8) -> Option<&'a [u8]> {
        let found = self.0.iter().find(|(there, _)| *there == code);
        found.map(|(_, value)| *value)
    }

    fn need(&self, code: u8) -> Result<&'a [u8], PacketError> {
        self.get(code).ok_or(PacketError::Missing(code))
    }
}

/// The addresses of an option, at most as many as are used.
fn addresses(value: &[u8], code: u8) -> Result<Vec<Ipv4Addr>, PacketError> {
    if !value.len().is_multiple_of(4) {
        return Err(PacketError::Value(code));
    }
    let all = value
        .chunks_exact(4)
        .map(|b| Ipv4Addr::new(b[0], b[1], b[2], b[3]));
    let used: Vec<Ipv4Addr> = all.take(DNS_LIMIT).collect();
    match used.iter().find(|address| !is_host(**address)) {
        Some(address) => Err(PacketError::Address(*address)),
        None => Ok(used),
    }
}

fn first(value: &[u8], code: u8) -> Result<Ipv4Addr, PacketError> {
    let all = addresses(value, code)?;
    all.first().copied().ok_or(PacketError::Value(code))
}

/// A mask of ones and then zeros, at least one of the former.
fn prefix(mask: &[u8]) -> Option<u8> {
    let mask = u32::from_be_bytes(mask.try_into().ok()?);
    let ones = mask.leading_ones();
    let contiguous = mask.count_ones() == ones && ones > 0;
    contiguous.then(|| u8::try_from(ones).ok()).flatten()
}

fn lease(value: &[u8]) -> Result<Duration, PacketError> {
    let seconds: [u8; 4] = value.try_into().map_err(|_| PacketError::Value(LEASE))?;
    Ok(Duration::from_secs(u32::from_be_bytes(seconds).into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HARDWARE: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

    fn request(ask: Ask) -> Request {
        Request {
            transaction: 0x0102_0304,
            hardware: HARDWARE,
            ask,
        }
    }

    fn reply(options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; FIXED];
        bytes[..3].copy_from_slice(&[2, 1, 6]);
        bytes[4..8].copy_from_slice(&[1, 2, 3, 4]);
        bytes[16..20].copy_from_slice(&[10, 0, 2, 15]);
        bytes[28..34].copy_from_slice(&HARDWARE);
        bytes[236..240].copy_from_slice(&COOKIE);
        bytes.extend_from_slice(options);
        bytes
    }

    /// What QEMU's user network answers.
    const OPTIONS: &[u8] = &[
        53, 1, 2, 54, 4, 10, 0, 2, 2, 1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 2, 2, 6, 4, 10, 0, 2, 3,
        51, 4, 0, 1, 81, 128, 255,
    ];

    fn read(bytes: &[u8]) -> Result<Reply, PacketError> {
        parse(bytes, &request(Ask::Discover))
    }

    #[test]
    fn requests_have_the_fields_where_the_rfc_has_them() {
        let server = Ipv4Addr::new(10, 0, 2, 2);
        let address = Ipv4Addr::new(10, 0, 2, 15);
        let discover = request(Ask::Discover).encode();
        assert_eq!(discover.len(), SMALLEST);
        assert_eq!(discover[..12], [1, 1, 6, 0, 1, 2, 3, 4, 0, 0, 0x80, 0]);
        assert_eq!(discover[28..34], HARDWARE);
        assert_eq!(
            discover[236..250],
            [99, 130, 83, 99, 53, 1, 1, 55, 4, 1, 3, 6, 51, 255]
        );
        let asked = request(Ask::Request { address, server }).encode();
        assert_eq!(
            asked[240..255],
            [53, 1, 3, 50, 4, 10, 0, 2, 15, 54, 4, 10, 0, 2, 2]
        );
        assert_eq!(asked[12..16], [0; 4]);
        let renewed = request(Ask::Renew { address }).encode();
        assert_eq!(renewed[12..16], [10, 0, 2, 15]);
        assert_eq!(renewed[240..245], [53, 1, 3, 55, 4]);
    }

    #[test]
    fn reads_address_gateway_and_lease_of_a_dhcp_offer() {
        let offer = read(&reply(OPTIONS)).expect("it is as the RFC has it");
        assert_eq!(offer.kind, Kind::Offer);
        assert_eq!(offer.address.to_string(), "10.0.2.15/24");
        assert_eq!(offer.gateway, Some(Ipv4Addr::new(10, 0, 2, 2)));
        assert_eq!(offer.dns, [Ipv4Addr::new(10, 0, 2, 3)]);
        assert_eq!(offer.lease, Duration::from_secs(86_400));
    }

    #[test]
    fn dhcp_options_after_the_end_marker_and_unknown_ones_are_ignored() {
        let mut options = vec![0, 0, 15, 3, b'a', b'b', b'c'];
        options.extend_from_slice(OPTIONS);
        options.extend_from_slice(&[53, 1, 6]);
        assert_eq!(
            read(&reply(&options)).map(|reply| reply.kind),
            Ok(Kind::Offer)
        );
    }

    #[test]
    fn a_dhcp_refusal_without_an_address_is_accepted() {
        let refusal = reply(&[53, 1, 6, 54, 4, 10, 0, 2, 2, 255]);
        assert_eq!(read(&refusal).map(|reply| reply.kind), Ok(Kind::Refusal));
    }

    #[test]
    fn dhcp_packets_to_other_machines_and_non_replies_are_refused() {
        for (at, error) in [
            (0, PacketError::NotAReply),
            (1, PacketError::NotAReply),
            (2, PacketError::NotAReply),
            (239, PacketError::NotAReply),
            (4, PacketError::NotForUs),
            (7, PacketError::NotForUs),
            (28, PacketError::NotForUs),
            (33, PacketError::NotForUs),
        ] {
            let mut bytes = reply(OPTIONS);
            bytes[at] ^= 0x10;
            assert_eq!(read(&bytes), Err(error), "byte {at}");
        }
    }

    #[test]
    fn a_reply_that_is_cut_anywhere_is_refused_or_lacks_something() {
        let whole = reply(OPTIONS);
        for length in 0..whole.len() - 1 {
            let error = read(&whole[..length]).expect_err("it is cut");
            let named = matches!(
                error,
                PacketError::Length(_) | PacketError::Overrun(_) | PacketError::Missing(_)
            );
            assert!(named, "{length}: {error:?}");
        }
        assert_eq!(
            read(&vec![2; LARGEST + 1]),
            Err(PacketError::Length(LARGEST + 1))
        );
    }

    #[test]
    fn values_that_cannot_be_are_refused_by_their_option() {
        let changed = |from: &[u8], to: &[u8]| {
            let at = OPTIONS
                .windows(from.len())
                .position(|w| w == from)
                .expect("it is there");
            let mut options = OPTIONS.to_vec();
            options.splice(at..at + from.len(), to.iter().copied());
            read(&reply(&options))
        };
        assert_eq!(
            changed(&[53, 1, 2], &[53, 1, 9]),
            Err(PacketError::Value(KIND))
        );
        assert_eq!(
            changed(&[53, 1, 2], &[53, 0]),
            Err(PacketError::Value(KIND))
        );
        assert_eq!(
            changed(&[1, 4, 255, 255, 255, 0], &[1, 4, 255, 0, 255, 0]),
            Err(PacketError::Value(MASK))
        );
        assert_eq!(
            changed(&[1, 4, 255, 255, 255, 0], &[1, 4, 0, 0, 0, 0]),
            Err(PacketError::Value(MASK))
        );
        assert_eq!(
            changed(&[1, 4, 255, 255, 255, 0], &[1, 3, 255, 255, 255]),
            Err(PacketError::Value(MASK))
        );
        assert_eq!(
            changed(&[3, 4, 10, 0, 2, 2], &[3, 0]),
            Err(PacketError::Value(ROUTER))
        );
        assert_eq!(
            changed(&[3, 4, 10, 0, 2, 2], &[3, 5, 10, 0, 2, 2, 1]),
            Err(PacketError::Value(ROUTER))
        );
        let loopback = Ipv4Addr::new(127, 0, 0, 1);
        assert_eq!(
            changed(&[6, 4, 10, 0, 2, 3], &[6, 4, 127, 0, 0, 1]),
            Err(PacketError::Address(loopback))
        );
        assert_eq!(
            changed(&[51, 4, 0, 1, 81, 128], &[51, 2, 0, 1]),
            Err(PacketError::Value(LEASE))
        );
        assert_eq!(
            changed(&[51, 4, 0, 1, 81, 128], &[]),
            Err(PacketError::Missing(LEASE))
        );
        assert_eq!(
            changed(&[51, 4, 0, 1, 81, 128], &[53, 1, 2]),
            Err(PacketError::Twice(KIND))
        );
        let mut many = reply(OPTIONS);
        many[16..20].copy_from_slice(&[255; 4]);
        assert_eq!(read(&many), Err(PacketError::Address(Ipv4Addr::BROADCAST)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(options in proptest::collection::vec(any::<u8>(), 0..400), cut in 0usize..700) {
            let whole = reply(&options);
            let _ = read(&whole);
            let _ = read(&whole[..cut.min(whole.len())]);
        }

        #[test]
        fn whatever_is_accepted_is_an_address_that_a_machine_may_have(options in proptest::collection::vec(prop_oneof![Just(1u8), Just(3), Just(4), Just(6), Just(51), Just(53), Just(54), Just(2), Just(255), any::<u8>()], 0..80), given: [u8; 4]) {
            let mut bytes = reply(&options);
            bytes[16..20].copy_from_slice(&given);
            if let Ok(reply) = read(&bytes) && reply.kind != Kind::Refusal {
                prop_assert!(is_host(reply.address.ip));
                prop_assert!((1..=32).contains(&reply.address.prefix));
                prop_assert!(reply.dns.len() <= DNS_LIMIT);
            }
        }
    }
}
