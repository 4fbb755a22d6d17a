//! Networks of client addresses, as `192.0.2.0/24`, `2001:db8::/32` or a single address.

use std::fmt;
use std::net::IpAddr;

/// Addresses with the same first bits. An IPv4 address that is written as IPv6 (`::ffff:192.0.2.1`) counts as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    /// How many bits an address shares with `first`: 0 to 32, or to 128.
    prefix: u8,
}

/// Why a text is not a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    #[error("does not begin with an IP address")]
    Address,
    #[error("has a prefix length that its addresses do not have")]
    Prefix,
    #[error("has bits set after its prefix")]
    HostBits,
}

impl Network {
    pub fn parse(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let first: IpAddr = address.parse().map_err(|_| NetworkError::Address)?;
        // Written as IPv6 it would have a prefix of IPv6: ambiguous, so it is refused.
        if first != first.to_canonical() {
            return Err(NetworkError::Address);
        }
        let most = if first.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => most,
            // Digits alone: `u8::from_str` also takes a sign.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| NetworkError::Prefix)?
            }
            Some(_) => return Err(NetworkError::Prefix),
        };
        if prefix > most {
            return Err(NetworkError::Prefix);
        }
        let network = Self { first, prefix };
        if network.suffix(first) != 0 {
            return Err(NetworkError::HostBits);
        }
        Ok(network)
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4()
            && bits(address) ^ bits(self.first) == self.suffix(address) ^ self.suffix(self.first)
    }

    /// The bits after the prefix.
    fn suffix(&self, address: IpAddr) -> u128 {
        let width: u32 = if address.is_ipv4() { 32 } else { 128 };
        let length = width.saturating_sub(u32::from(self.prefix));
        let mask = match length {
            128 => u128::MAX,
            length => (1 << length) - 1,
        };
        bits(address) & mask
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn contains_the_addresses_that_share_its_prefix() {
        for (network, inside, outside) in [
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("10.0.0.0/8", "::ffff:10.9.8.7", "11.0.0.0"),
            ("0.0.0.0/0", "203.0.113.1", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::/0", "2001:db8::", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
        ] {
            let parsed = Network::parse(network).expect("a network");
            assert!(parsed.contains(address(inside)), "{network} {inside}");
            assert!(!parsed.contains(address(outside)), "{network} {outside}");
            assert_eq!(Network::parse(&parsed.to_string()), Ok(parsed));
        }
    }

    #[test]
    fn rejects_what_is_not_exactly_a_network() {
        for (text, error) in [
            ("", NetworkError::Address),
            ("host", NetworkError::Address),
            ("192.0.2", NetworkError::Address),
            (" 192.0.2.0/24", NetworkError::Address),
            ("::ffff:192.0.2.0/120", NetworkError::Address),
            ("192.0.2.0/33", NetworkError::Prefix),
            ("192.0.2.0/", NetworkError::Prefix),
            ("192.0.2.0/+8", NetworkError::Prefix),
            ("2001:db8::/129", NetworkError::Prefix),
            ("192.0.2.1/24", NetworkError::HostBits),
            ("2001:db8::1/64", NetworkError::HostBits),
        ] {
            assert_eq!(Network::parse(text), Err(error), "{text:?}");
        }
    }
}
