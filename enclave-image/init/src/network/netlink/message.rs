//! The bytes of three requests (set a link up, add an address, add a route) and of the kernel's answer. Numbers are in
//! native byte order, addresses in the network's.
//!
//! A message is `nlmsghdr` (length 4, type 2, flags 2, sequence 4, port 4), a body that depends on its type, and
//! attributes (`rtattr`: length 2, type 2, value, padded to 4).

use std::net::Ipv4Addr;

use crate::network::settings::Address;

const HEADER: usize = 16;
const ERROR: u16 = 2;
const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;

/// `NLM_F_REQUEST | NLM_F_ACK`
const ASK: u16 = 0x1 | 0x4;
/// `NLM_F_CREATE | NLM_F_REPLACE`
const CREATE: u16 = 0x400 | 0x100;

const INET: u8 = 2;
const UP: u32 = 1;

/// `IFA_ADDRESS`, `IFA_LOCAL`
const ADDRESS: (u16, u16) = (1, 2);
const ROUTE_DESTINATION: u16 = 1;
const ROUTE_LINK: u16 = 4;
const ROUTE_GATEWAY: u16 = 5;

/// `RT_TABLE_MAIN`, `RTPROT_BOOT`, `RTN_UNICAST`
const MAIN: u8 = 254;
const BOOT: u8 = 3;
const UNICAST: u8 = 1;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;

/// A request without its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    kind: u16,
    flags: u16,
    body: Vec<u8>,
}

impl Message {
    /// `ifinfomsg`: family 1, pad 1, type 2, index 4, flags 4, change 4.
    pub fn link_up(link: u32) -> Self {
        let mut body = vec![0; 4];
        body.extend_from_slice(&link.to_ne_bytes());
        body.extend_from_slice(&UP.to_ne_bytes());
        body.extend_from_slice(&UP.to_ne_bytes());
        Self {
            kind: NEW_LINK,
            flags: ASK,
            body,
        }
    }

    /// `ifaddrmsg`: family 1, prefix 1, flags 1, scope 1, index 4.
    pub fn add_address(link: u32, address: Address) -> Self {
        let mut body = vec![INET, address.prefix, 0, SCOPE_UNIVERSE];
        body.extend_from_slice(&link.to_ne_bytes());
        for kind in [ADDRESS.1, ADDRESS.0] {
            attribute(&mut body, kind, address.ip.octets());
        }
        Self {
            kind: NEW_ADDRESS,
            flags: ASK | CREATE,
            body,
        }
    }

    /// `rtmsg`: family 1, destination's prefix 1, source's 1, tos 1, table 1, protocol 1, scope 1, type 1, flags 4.
    pub fn add_route(link: u32, destination: Address, gateway: Option<Ipv4Addr>) -> Self {
        let scope = if gateway.is_some() {
            SCOPE_UNIVERSE
        } else {
            SCOPE_LINK
        };
        let mut body = vec![
            INET,
            destination.prefix,
            0,
            0,
            MAIN,
            BOOT,
            scope,
            UNICAST,
            0,
            0,
            0,
            0,
        ];
        if destination.prefix > 0 {
            attribute(&mut body, ROUTE_DESTINATION, destination.ip.octets());
        }
        if let Some(gateway) = gateway {
            attribute(&mut body, ROUTE_GATEWAY, gateway.octets());
        }
        attribute(&mut body, ROUTE_LINK, link.to_ne_bytes());
        Self {
            kind: NEW_ROUTE,
            flags: ASK | CREATE,
            body,
        }
    }

    /// With its header.
    pub fn encode(&self, sequence: u32) -> Vec<u8> {
        let length = HEADER + self.body.len();
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&(length as u32).to_ne_bytes());
        bytes.extend_from_slice(&self.kind.to_ne_bytes());
        bytes.extend_from_slice(&self.flags.to_ne_bytes());
        bytes.extend_from_slice(&sequence.to_ne_bytes());
        bytes.extend_from_slice(&0u32.to_ne_bytes());
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Every attribute here has four bytes, so nothing needs padding.
fn attribute(body: &mut Vec<u8>, kind: u16, value: [u8; 4]) {
    body.extend_from_slice(&8u16.to_ne_bytes());
    body.extend_from_slice(&kind.to_ne_bytes());
    body.extend_from_slice(&value);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    /// Positive, as in `errno(3)`.
    Errno(i32),
    /// To another request, or not an acknowledgement.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes are no netlink message")]
pub struct AnswerError(usize);

/// Reads the acknowledgement (`nlmsgerr`: error 4, the request's header 16) to the request with this sequence.
pub fn answer(bytes: &[u8], sequence: u32) -> Result<Answer, AnswerError> {
    let word = |at: usize| -> Option<[u8; 4]> { bytes.get(at..at + 4)?.try_into().ok() };
    let short = || AnswerError(bytes.len());
    let length = u32::from_ne_bytes(word(0).ok_or_else(short)?) as usize;
    let kind = u16::from_ne_bytes([
        *bytes.get(4).ok_or_else(short)?,
        *bytes.get(5).ok_or_else(short)?,
    ]);
    let about = u32::from_ne_bytes(word(8).ok_or_else(short)?);
    if length < HEADER || length > bytes.len() {
        return Err(short());
    }
    if kind != ERROR || about != sequence {
        return Ok(Answer::Other);
    }
    match i32::from_ne_bytes(word(HEADER).ok_or_else(short)?) {
        0 => Ok(Answer::Done),
        error => Ok(Answer::Errno(error.saturating_neg())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address() -> Address {
        Address::parse("10.0.2.15/24").expect("it is an address")
    }

    /// Written out from linux/rtnetlink.h, little-endian as the machines are that this runs on.
    #[test]
    #[cfg(target_endian = "little")]
    fn requests_have_the_bytes_that_the_headers_ask_for() {
        let up = Message::link_up(2).encode(7);
        assert_eq!(
            up,
            [
                32, 0, 0, 0, 16, 0, 5, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0,
                0, 1, 0, 0, 0
            ]
        );
        let add = Message::add_address(2, address()).encode(1);
        assert_eq!(add[..8], [40, 0, 0, 0, 20, 0, 5, 5]);
        assert_eq!(add[16..24], [2, 24, 0, 0, 2, 0, 0, 0]);
        assert_eq!(
            add[24..],
            [8, 0, 2, 0, 10, 0, 2, 15, 8, 0, 1, 0, 10, 0, 2, 15]
        );
        let gateway = Ipv4Addr::new(10, 0, 2, 2);
        let route = Message::add_route(2, Address::everything(), Some(gateway)).encode(1);
        assert_eq!(route[..8], [44, 0, 0, 0, 24, 0, 5, 5]);
        assert_eq!(route[16..28], [2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0]);
        assert_eq!(
            route[28..],
            [8, 0, 5, 0, 10, 0, 2, 2, 8, 0, 4, 0, 2, 0, 0, 0]
        );
        let wire = Message::add_route(2, Address::host(gateway), None).encode(1);
        assert_eq!(wire[16..28], [2, 32, 0, 0, 254, 3, 253, 1, 0, 0, 0, 0]);
        assert_eq!(
            wire[28..],
            [8, 0, 1, 0, 10, 0, 2, 2, 8, 0, 4, 0, 2, 0, 0, 0]
        );
    }

    fn acknowledgement(error: i32, sequence: u32) -> Vec<u8> {
        let mut bytes = 36u32.to_ne_bytes().to_vec();
        bytes.extend_from_slice(&ERROR.to_ne_bytes());
        bytes.extend_from_slice(&0u16.to_ne_bytes());
        bytes.extend_from_slice(&sequence.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&error.to_ne_bytes());
        bytes.extend_from_slice(&[0; 16]);
        bytes
    }

    #[test]
    fn distinguishes_the_kernels_answer_from_others() {
        assert_eq!(answer(&acknowledgement(0, 3), 3), Ok(Answer::Done));
        assert_eq!(answer(&acknowledgement(-17, 3), 3), Ok(Answer::Errno(17)));
        assert_eq!(
            answer(&acknowledgement(i32::MIN, 3), 3),
            Ok(Answer::Errno(i32::MAX))
        );
        assert_eq!(answer(&acknowledgement(0, 2), 3), Ok(Answer::Other));
        let mut other = acknowledgement(0, 3);
        other[4..6].copy_from_slice(&NEW_LINK.to_ne_bytes());
        assert_eq!(answer(&other, 3), Ok(Answer::Other));
    }

    #[test]
    fn a_cut_answer_is_an_error() {
        let whole = acknowledgement(0, 3);
        for length in 0..whole.len() {
            assert_eq!(answer(&whole[..length], 3), Err(AnswerError(length)));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100), sequence: u32) {
            let _ = answer(&bytes, sequence);
        }
    }
}
