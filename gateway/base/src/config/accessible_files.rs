//! The files that the service must be able to open, for the sandbox that `harden` sets up.
//!
//! Read: the configuration's directory, every file it names, and those that two environment variables name.
//! Written: the state directory, the guest's report interface and, with GPUs, the driver's device files.

use std::path::{Path, PathBuf};

use super::{Config, EventLogChoice, Gpus, TeeKind, signature_file};
use harden::AllowedFiles;

/// What the library of NVIDIA's driver reads beside its device files. Not tested: no such machine was available.
const NVIDIA: &[&str] = &["/proc/driver/nvidia", "/sys/bus/pci", "/sys/devices"];

/// The default path of the guest's report interface.
const TSM: &str = attest_collect::DEFAULT_BASE;

impl Config {
    /// Every path that this configuration names.
    pub fn accessible_files(&self) -> AllowedFiles {
        AllowedFiles {
            read: read(self),
            written: written(self),
        }
    }
}

fn written(config: &Config) -> Vec<PathBuf> {
    let mut paths = vec![config.server.state_dir.clone()];
    if config.tee.kind != TeeKind::None {
        let tsm = config.tee.tsm_path.as_deref();
        paths.push(tsm.unwrap_or(Path::new(TSM)).to_owned());
    }
    if config.tee.gpus != Gpus::None {
        paths.extend(nvidia_devices());
    }
    paths
}

/// The driver's device files. Its library opens them again for some calls.
fn nvidia_devices() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"nvidia"));
    named.map(|entry| entry.path()).collect()
}

fn read(config: &Config) -> Vec<PathBuf> {
    let parent = config.file.parent();
    let beside = parent.filter(|parent| !parent.as_os_str().is_empty());
    let mut paths = vec![beside.unwrap_or(Path::new(".")).to_owned()];
    for trust in config.attestation.values() {
        paths.push(trust.policy_file.clone());
        paths.extend(trust.roots_dir.clone());
    }
    if let Some(named) = &config.retention.policy {
        paths.push(named.file.clone());
        paths.push(signature_file(&named.file));
    }
    let authorization = config.authorization.policy.as_ref();
    paths.extend(authorization.map(|named| named.file.clone()));
    match &config.tee.event_log {
        EventLogChoice::None => {}
        EventLogChoice::Firmware { .. } => paths.push(attest_collect::ACPI_TABLES.into()),
        EventLogChoice::File(path) => paths.push(path.clone()),
    }
    if config.tee.gpus != Gpus::None {
        paths.extend(NVIDIA.iter().map(PathBuf::from));
    }
    let rims = config.tee.collateral.rims.as_ref();
    paths.extend(rims.map(|folder| folder.path().to_owned()));
    for issuer in &config.identity.issuers {
        paths.extend(
            issuer
                .authorities
                .as_ref()
                .map(|pinned| pinned.file.clone()),
        );
    }
    let prices = config.prices.table.as_ref();
    paths.extend(prices.map(|table| table.file.clone()));
    for upstream in config.models.iter().flat_map(|model| &model.upstreams) {
        paths.extend(upstream.api_key.as_ref().map(|key| key.file.clone()));
    }
    for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        paths.extend(std::env::var_os(variable).map(PathBuf::from));
    }
    paths
}
