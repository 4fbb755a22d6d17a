//! The files this process may touch: those that its configuration needs ([`Reach`]), and what name resolution and the
//! machine's certificate authorities need. Everything else is out of reach for good: a reload cannot name a file
//! elsewhere.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    path_beneath_rules,
};

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

/// Nothing of ours is there, and everybody may look: it tells whether we can.
const OUTSIDE: &str = "/proc/version";

/// The files and folders that a service needs, as they are named when it begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    pub read: Vec<PathBuf>,
    pub written: Vec<PathBuf>,
}

/// Confines this thread and those it starts. Whether that took is observed, not reported.
pub(super) fn confine(reach: &Reach) {
    let _ = apply(reach);
}

fn apply(reach: &Reach) -> Result<(), RulesetError> {
    let abi = ABI::V5;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .create()?
        .add_rules(path_beneath_rules(LIBRARIES.iter().map(Path::new), read))?
        .add_rules(path_beneath_rules(&reach.read, read))?
        .add_rules(path_beneath_rules(
            &reach.written,
            AccessFs::from_all(abi) & !AccessFs::Execute,
        ))?
        .restrict_self()?;
    Ok(())
}

/// Tries it.
pub(super) fn is_confined() -> bool {
    let refused = std::fs::File::open(OUTSIDE).err();
    refused.is_some_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}
