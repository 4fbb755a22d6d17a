//! The network: one Ethernet device, IPv4, configured by the file `network` or by DHCP.
//!
//! The host controls both, since it is its network. Nothing here is trusted for more than reachability;
//! TLS and evidence decide which peers the gateway accepts. IPv6 is switched off, so that no router
//! advertisement can give the guest an address.

pub mod dhcp;
pub mod netlink;
pub mod settings;

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::console::say;
use crate::os::{Doing, OsError};
use dhcp::DhcpError;
use netlink::{Netlink, NetlinkError};
use settings::{Address, Settings, SettingsError};

const DEVICE_TIMEOUT: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(100);
const ETHERNET: &str = "1";

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    #[error("there is no Ethernet device")]
    NoDevice,

    #[error("the file network: {0}")]
    Settings(#[from] SettingsError),

    #[error("DHCP: {0}")]
    Dhcp(#[from] DhcpError),

    #[error(transparent)]
    Netlink(#[from] NetlinkError),

    #[error(transparent)]
    Os(#[from] OsError),
}

/// An Ethernet device of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    pub name: String,
    pub index: u32,
    pub hardware: [u8; 6],
}

/// What an interface gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub address: Address,
    pub gateway: Option<Ipv4Addr>,
    pub dns: Vec<Ipv4Addr>,
}

/// Loopback, which services and their readiness need. Its address comes with it.
pub fn loopback() -> Result<(), NetworkError> {
    Ok(Netlink::open()?.up(1)?)
}

/// Brings the network up. With DHCP a thread stays that renews the lease.
pub fn start(settings: &Settings) -> Result<(), NetworkError> {
    let device = wait_for_device()?;
    let mut netlink = Netlink::open()?;
    netlink.up(device.index)?;
    let lease = match settings {
        Settings::Static(lease) => lease.clone(),
        Settings::Dhcp => dhcp::start(&device, &mut netlink)?,
    };
    apply(&device, &lease, &mut netlink)?;
    say(format_args!(
        "network {} on {}",
        device.name,
        hex(&device.hardware)
    ));
    say(format_args!("address {}", lease.address));
    Ok(())
}

fn apply(device: &Device, lease: &Lease, netlink: &mut Netlink) -> Result<(), NetworkError> {
    netlink.address(device.index, lease.address)?;
    if let Some(gateway) = lease.gateway {
        if !lease.address.reaches(gateway) {
            // Some clouds hand out /32 and a gateway outside of it: it is on the wire all the same.
            netlink.route(device.index, Address::host(gateway), None)?;
        }
        netlink.route(device.index, Address::everything(), Some(gateway))?;
    }
    let place = "/run/resolv.conf";
    fs::write(place, resolv_conf(&lease.dns)).doing("write", place)?;
    let readable = fs::Permissions::from_mode(0o444);
    fs::set_permissions(place, readable).doing("set the mode of", place)?;
    Ok(())
}

/// As `resolv.conf(5)`; at most three, which is what resolvers read.
pub fn resolv_conf(dns: &[Ipv4Addr]) -> String {
    dns.iter()
        .take(3)
        .map(|server| format!("nameserver {server}\n"))
        .collect()
}

fn wait_for_device() -> Result<Device, NetworkError> {
    let deadline = Instant::now() + DEVICE_TIMEOUT;
    loop {
        let found = devices(Path::new("/sys/class/net"))?;
        match found.into_iter().next() {
            Some(device) => return Ok(device),
            None if Instant::now() < deadline => sleep(PAUSE),
            None => return Err(NetworkError::NoDevice),
        }
    }
}

/// Ethernet devices with a hardware behind them, the one the kernel found first before the others.
pub fn devices(class: &Path) -> Result<Vec<Device>, OsError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(class).doing("list", class)? {
        let entry = entry.doing("list", class)?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let folder = entry.path();
        let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
        if read("type").trim_end() != ETHERNET || !folder.join("device").exists() {
            continue;
        }
        let index = read("ifindex").trim_end().parse();
        if let (Ok(index), Some(hardware)) = (index, hardware_address(read("address").trim_end())) {
            found.push(Device {
                name,
                index,
                hardware,
            });
        }
    }
    found.sort_by_key(|device| device.index);
    Ok(found)
}

/// `52:54:00:12:34:56`
fn hardware_address(text: &str) -> Option<[u8; 6]> {
    let mut address = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut address {
        let part = parts.next().filter(|part| part.len() == 2)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(address)
}

fn hex(hardware: &[u8; 6]) -> String {
    let parts: Vec<String> = hardware.iter().map(|byte| format!("{byte:02x}")).collect();
    parts.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_real_ethernet_device_is_taken() {
        let class = std::env::temp_dir().join(format!("enclave-init-net-{}", std::process::id()));
        let files = [
            ("lo", "772", "1", "00:00:00:00:00:00", false),
            ("eth1", "1", "3", "52:54:00:12:34:57", true),
            ("eth0", "1", "2", "52:54:00:12:34:56", true),
            ("dummy0", "1", "4", "52:54:00:12:34:58", false),
            ("odd", "1", "5", "52:54", true),
        ];
        for (name, kind, index, address, real) in files {
            let folder = class.join(name);
            fs::create_dir_all(&folder).expect("a folder can be made");
            for (file, text) in [("type", kind), ("ifindex", index), ("address", address)] {
                fs::write(folder.join(file), format!("{text}\n")).expect("a file can be written");
            }
            if real {
                fs::create_dir_all(folder.join("device")).expect("a folder can be made");
            }
        }
        let found = devices(&class).expect("it can be listed");
        fs::remove_dir_all(&class).expect("it can be removed");
        let names: Vec<&str> = found.iter().map(|device| device.name.as_str()).collect();
        assert_eq!(names, ["eth0", "eth1"]);
        assert_eq!(found[0].hardware, [0x52, 0x54, 0, 0x12, 0x34, 0x56]);
        assert_eq!(hex(&found[0].hardware), "52:54:00:12:34:56");
    }

    #[test]
    fn resolvers_get_three_servers_at_most() {
        let servers: Vec<Ipv4Addr> = (1..=5).map(|n| Ipv4Addr::new(10, 0, 2, n)).collect();
        let text = resolv_conf(&servers);
        assert_eq!(
            text,
            "nameserver 10.0.2.1\nnameserver 10.0.2.2\nnameserver 10.0.2.3\n"
        );
        assert_eq!(resolv_conf(&[]), "");
    }
}
