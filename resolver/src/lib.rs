//! Name resolution for a process that has confined itself.
//!
//! The system's resolver reads `/etc/resolv.conf`, `/etc/hosts`, `nsswitch.conf` and files of its modules at every
//! lookup, and other programs replace those files by renaming. Landlock's rules are bound to the files that existed:
//! a confined process could not read the new ones. So lookups are made by another process, which is started
//! before the confinement ([`start`]), is the same program under another name ([`Helper`]), has none of the
//! service's data, and answers names with addresses over a socket pair.
//!
//! [`lookup`] is the function to call. If no such process was started, or if it has ended, it calls the
//! system's resolver in this process.

mod client;
mod helper;
mod wire;

use std::net::{IpAddr, SocketAddr};

pub use client::start;
pub use helper::Helper;

/// Why a name has no addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// Not a name that can be looked up.
    #[error("not a host name")]
    InvalidName,
    /// The resolver's message, for people. It contains neither the host's name nor anything a peer sent.
    #[error("{0}")]
    Failed(String),
    /// The name exists and has no address.
    #[error("the name has no address")]
    NoAddress,
}

/// All addresses of `host`, in the resolver's order, with `port`. An address in place of a name is returned as it is
/// (an IPv6 address without brackets). The caller bounds the time.
pub async fn lookup(host: &str, port: u16) -> Result<Vec<SocketAddr>, LookupError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    if !wire::is_name(host) {
        return Err(LookupError::InvalidName);
    }
    let mut found = match client::lookup(host).await {
        Some(answer) => answer?,
        None => in_this_process(host).await?,
    };
    if found.is_empty() {
        return Err(LookupError::NoAddress);
    }
    for address in &mut found {
        address.set_port(port);
    }
    Ok(found)
}

async fn in_this_process(host: &str) -> Result<Vec<SocketAddr>, LookupError> {
    match tokio::net::lookup_host((host, 0)).await {
        Ok(found) => Ok(found.collect()),
        Err(error) => Err(LookupError::Failed(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_is_not_looked_up() {
        let four = lookup("192.0.2.1", 443).await;
        assert_eq!(four, Ok(vec![([192, 0, 2, 1], 443).into()]));
        let six = lookup("::1", 80).await;
        assert_eq!(six, Ok(vec!["[::1]:80".parse().expect("an address")]));
    }

    #[tokio::test]
    async fn an_invalid_name_is_not_looked_up() {
        for host in ["", "two words", "line\nend", "ünïcode"] {
            assert_eq!(lookup(host, 1).await, Err(LookupError::InvalidName));
        }
        assert_eq!(
            lookup(&"a".repeat(300), 1).await,
            Err(LookupError::InvalidName)
        );
    }

    #[tokio::test]
    async fn looks_up_in_this_process_without_a_helper() {
        let found = lookup("localhost", 7).await.expect("localhost resolves");
        assert!(
            found
                .iter()
                .all(|at| at.ip().is_loopback() && at.port() == 7)
        );
    }
}
