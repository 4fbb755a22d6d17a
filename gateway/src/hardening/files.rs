//! The files this process may touch.
//!
//! Read: the configuration's directory and every file the configuration named when the process began. Written: the
//! state directory, the guest's report interface and, where GPUs are shown, their driver's device files. Besides, what name resolution and the machine's certificate
//! authorities need. Everything else is out of reach for good: a reload cannot name a file elsewhere.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    path_beneath_rules,
};

use crate::config::{Config, EventLogChoice, Gpus, TeeKind, signature_file};

/// What libraries read while the service runs: resolver, time zone, certificate authorities, loadable resolver modules.
const LIBRARIES: &[&str] = &[
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/run/systemd/resolve",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/dev/null",
    "/dev/urandom",
];

/// What the library of NVIDIA's driver reads beside its device files. Untried: no such machine has been at hand.
const NVIDIA: &[&str] = &["/proc/driver/nvidia", "/sys/bus/pci", "/sys/devices"];

/// Nothing of ours is there, and everybody may look: it tells whether we can.
const OUTSIDE: &str = "/proc/version";

/// Where the guest's report interface is unless the configuration says otherwise.
const TSM: &str = attest_collect::DEFAULT_BASE;

/// Confines this thread and those it starts. Whether that took is observed, not reported.
pub(super) fn confine(config: &Config) {
    // Rules need something to stand on.
    let _ = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config.server.state_dir);
    let _ = apply(config);
}

fn apply(config: &Config) -> Result<(), RulesetError> {
    let abi = ABI::V5;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .create()?
        .add_rules(path_beneath_rules(readable(config), read))?
        .add_rules(path_beneath_rules(
            writable(config),
            AccessFs::from_all(abi) & !AccessFs::Execute,
        ))?
        .restrict_self()?;
    Ok(())
}

fn writable(config: &Config) -> Vec<PathBuf> {
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

/// The driver's device files, which its library opens again for some questions.
fn nvidia_devices() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"nvidia"));
    named.map(|entry| entry.path()).collect()
}

fn readable(config: &Config) -> Vec<PathBuf> {
    let parent = config.file.parent();
    let beside = parent.filter(|parent| !parent.as_os_str().is_empty());
    let mut paths = vec![beside.unwrap_or(Path::new(".")).to_owned()];
    paths.extend(LIBRARIES.iter().map(PathBuf::from));
    for trust in config.attestation.values() {
        paths.push(trust.policy_file.clone());
        paths.extend(trust.roots_dir.clone());
    }
    if let Some(named) = &config.retention.policy {
        paths.push(named.file.clone());
        paths.push(signature_file(&named.file));
    }
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
    for upstream in config.models.iter().flat_map(|model| &model.upstreams) {
        paths.extend(upstream.api_key.as_ref().map(|key| key.file.clone()));
    }
    for variable in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
        paths.extend(std::env::var_os(variable).map(PathBuf::from));
    }
    paths
}

/// Tries it.
pub(super) fn is_confined() -> bool {
    let refused = std::fs::File::open(OUTSIDE).err();
    refused.is_some_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}
