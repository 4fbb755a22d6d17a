//! The file `network`: `dhcp`, or an address with what belongs to it.

use std::fmt;
use std::net::Ipv4Addr;

use super::Lease;
use crate::lines::{Item, Line, items};

const DNS_LIMIT: usize = 3;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("line {0} is not one of dhcp, address, gateway, dns, or its value cannot be read")]
    Line(usize),

    #[error("line {0} says something again, or too often")]
    Again(usize),

    #[error("it is neither dhcp alone nor an address")]
    Neither,

    #[error("it is not UTF-8")]
    Text,
}

/// An IPv4 address and the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    pub ip: Ipv4Addr,
    /// 0 to 32.
    pub prefix: u8,
}

impl Address {
    pub fn host(ip: Ipv4Addr) -> Self {
        Self { ip, prefix: 32 }
    }

    /// The default route's destination.
    pub fn everything() -> Self {
        Self {
            ip: Ipv4Addr::UNSPECIFIED,
            prefix: 0,
        }
    }

    pub fn reaches(&self, other: Ipv4Addr) -> bool {
        let mask = u32::MAX
            .checked_shl(32 - u32::from(self.prefix))
            .unwrap_or(0);
        (self.ip.to_bits() ^ other.to_bits()) & mask == 0
    }

    /// `10.0.2.15/24`, for a machine: not unspecified, not loopback, not many.
    pub fn parse(text: &str) -> Option<Self> {
        let (ip, prefix) = text.split_once('/')?;
        let canonical = prefix.bytes().all(|byte| byte.is_ascii_digit()) && prefix.len() <= 2;
        let prefix = prefix.parse().ok().filter(|_| canonical)?;
        let ip = ip.parse().ok().filter(|ip| is_host(*ip))?;
        (1..=32).contains(&prefix).then_some(Self { ip, prefix })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

/// Whether one machine on a wire may have this address.
pub fn is_host(ip: Ipv4Addr) -> bool {
    let first = ip.octets()[0];
    first != 0 && first != 127 && first < 224
}

/// How the interface gets its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settings {
    Dhcp,
    Static(Lease),
}

/// Reads the file. Where there is none, DHCP holds.
pub fn parse(file: Option<&[u8]>) -> Result<Settings, SettingsError> {
    let Some(bytes) = file else {
        return Ok(Settings::Dhcp);
    };
    let text = std::str::from_utf8(bytes).map_err(|_| SettingsError::Text)?;
    let mut read = Read::default();
    for item in items(text) {
        match item {
            Item::Blank => {}
            Item::Line(line) => read.take(line)?,
        }
    }
    read.finish()
}

#[derive(Default)]
struct Read {
    dhcp: bool,
    address: Option<Address>,
    gateway: Option<Ipv4Addr>,
    dns: Vec<Ipv4Addr>,
}

impl Read {
    fn take(&mut self, line: Line<'_>) -> Result<(), SettingsError> {
        let wrong = || SettingsError::Line(line.number);
        let again = match line.key {
            "dhcp" if line.value.is_empty() => std::mem::replace(&mut self.dhcp, true),
            "address" => {
                let address = Address::parse(line.value).ok_or_else(wrong)?;
                self.address.replace(address).is_some()
            }
            "gateway" => self
                .gateway
                .replace(host(line.value).ok_or_else(wrong)?)
                .is_some(),
            "dns" => {
                self.dns.push(host(line.value).ok_or_else(wrong)?);
                self.dns.len() > DNS_LIMIT
            }
            _ => return Err(wrong()),
        };
        if again {
            return Err(SettingsError::Again(line.number));
        }
        Ok(())
    }

    fn finish(self) -> Result<Settings, SettingsError> {
        let Self {
            dhcp,
            address,
            gateway,
            dns,
        } = self;
        match (dhcp, address) {
            (true, None) if gateway.is_none() && dns.is_empty() => Ok(Settings::Dhcp),
            (false, Some(address)) => Ok(Settings::Static(Lease {
                address,
                gateway,
                dns,
            })),
            _ => Err(SettingsError::Neither),
        }
    }
}

fn host(text: &str) -> Option<Ipv4Addr> {
    text.parse().ok().filter(|ip| is_host(*ip))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_missing_network_file_means_dhcp() {
        assert_eq!(parse(None), Ok(Settings::Dhcp));
        assert_eq!(parse(Some(b"# our lab\ndhcp\n")), Ok(Settings::Dhcp));
    }

    #[test]
    fn a_static_address_is_read_with_what_belongs_to_it() {
        let file = b"address 10.0.2.15/24\ngateway 10.0.2.2\ndns 10.0.2.3\ndns 10.0.2.4\n";
        let Ok(Settings::Static(lease)) = parse(Some(file)) else {
            panic!("it is as the contract has it");
        };
        assert_eq!(lease.address.to_string(), "10.0.2.15/24");
        assert_eq!(lease.gateway, Some(Ipv4Addr::new(10, 0, 2, 2)));
        assert_eq!(lease.dns.len(), 2);
    }

    #[test]
    fn unknown_repeated_or_conflicting_network_settings_are_refused() {
        for (file, error) in [
            ("dhcpv6\n", SettingsError::Line(1)),
            ("dhcp now\n", SettingsError::Line(1)),
            ("\naddress 10.0.2.15\n", SettingsError::Line(2)),
            ("address 10.0.2.15/33\n", SettingsError::Line(1)),
            ("address 10.0.2.15/0\n", SettingsError::Line(1)),
            ("address 10.0.2.15/+8\n", SettingsError::Line(1)),
            ("address 127.0.0.1/8\n", SettingsError::Line(1)),
            ("address 0.0.0.0/8\n", SettingsError::Line(1)),
            ("address 224.0.0.1/8\n", SettingsError::Line(1)),
            (
                "address 10.0.2.15/24\ngateway 255.255.255.255\n",
                SettingsError::Line(2),
            ),
            ("address 10.0.2.15/24\ndns x\n", SettingsError::Line(2)),
            (
                "address 10.0.2.15/24\naddress 10.0.2.16/24\n",
                SettingsError::Again(2),
            ),
            (
                "dns 1.1.1.1\ndns 1.1.1.1\ndns 1.1.1.1\ndns 1.1.1.1\n",
                SettingsError::Again(4),
            ),
            ("dhcp\ndns 10.0.2.3\n", SettingsError::Neither),
            ("dhcp\naddress 10.0.2.15/24\n", SettingsError::Neither),
            ("gateway 10.0.2.2\n", SettingsError::Neither),
            ("", SettingsError::Neither),
        ] {
            assert_eq!(parse(Some(file.as_bytes())), Err(error), "{file:?}");
        }
        assert_eq!(parse(Some(b"\xff")), Err(SettingsError::Text));
    }

    #[test]
    fn an_address_without_a_gateway_reaches_its_subnet_only() {
        let address = |text| Address::parse(text).expect("it is an address");
        let gateway = Ipv4Addr::new(10, 0, 3, 1);
        assert!(address("10.0.2.15/16").reaches(gateway));
        assert!(!address("10.0.2.15/24").reaches(gateway));
        assert!(!address("10.0.2.15/32").reaches(gateway));
        assert!(Address::everything().reaches(gateway));
        assert!(Address::host(gateway).reaches(gateway));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in "(dhcp|address|gateway|dns|#| |\n|[0-9./]){0,40}") {
            let _ = parse(Some(&bytes));
            let _ = parse(Some(text.as_bytes()));
        }
    }
}
