//! The files this process may touch: those that it is configured with ([`Reach`]), and what libraries read while it
//! runs. Everything else cannot be opened for as long as the process lives: a reload cannot name a file elsewhere.
//!
//! Rules are bound to what lies at a path now. A file that another replaces by renaming needs a rule on its directory.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    path_beneath_rules,
};

/// What libraries read while a service runs: certificate authorities, loadable resolver modules, and the resolver's
/// files. The last are for the case that the process that resolves names has ended; single files among them cannot be
/// read once they were replaced.
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
    "/usr/share/zoneinfo",
    "/run/systemd/resolve",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    // How many processors there are: the memory allocator asks.
    "/sys/devices/system/cpu",
    "/dev/null",
    "/dev/urandom",
];

/// Nothing of ours is there, and everybody may look: it tells whether we can.
const OUTSIDE: &str = "/proc/version";

/// Directories that hold too much to be readable for the sake of one file in them. So are those directly below `/`.
const BROAD: &[&str] = &["/usr/local", "/var/lib", "/var/tmp", "/var/run"];

/// The files and directories that a service needs, as they are named when it begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Directories with all that is below them. Of a file its directory is readable, too, unless that is a broad one,
    /// such as `/etc` or a home: it may be replaced by renaming.
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
    let named = reach.read.iter().flat_map(|path| with_directories(path));
    Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .create()?
        .add_rules(path_beneath_rules(LIBRARIES.iter().map(Path::new), read))?
        .add_rules(path_beneath_rules(named, read))?
        .add_rules(path_beneath_rules(
            &reach.written,
            AccessFs::from_all(abi) & !AccessFs::Execute,
        ))?
        .restrict_self()?;
    Ok(())
}

/// A path, and where it names a file: the directory it is named in, and the one it lies in if the name is a link.
pub(super) fn with_directories(path: &Path) -> Vec<PathBuf> {
    let mut paths = vec![path.to_owned()];
    if path.is_dir() {
        return paths;
    }
    let named = std::path::absolute(path).ok();
    let real = std::fs::canonicalize(path).ok();
    for file in [named, real].into_iter().flatten() {
        let directory = file.parent().filter(|directory| !is_broad(directory));
        paths.extend(directory.map(Path::to_owned));
    }
    paths.dedup();
    paths
}

fn is_broad(directory: &Path) -> bool {
    // Itself and its ancestors but `/`.
    let depth = directory.ancestors().count() - 1;
    let is_home = std::env::var_os("HOME").is_some_and(|home| directory == Path::new(&home))
        || (depth == 2 && directory.starts_with("/home"));
    depth <= 1 || is_home || BROAD.iter().any(|broad| directory == Path::new(broad))
}

/// Tries it.
pub(super) fn is_confined() -> bool {
    let refused = std::fs::File::open(OUTSIDE).err();
    refused.is_some_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_file_its_directory_is_readable_too_unless_that_holds_too_much() {
        let paths = |path| with_directories(Path::new(path));
        let named = |path: &str| PathBuf::from(path);
        let key = "/nowhere/keys/upstream.key";
        assert_eq!(paths(key), [named(key), named("/nowhere/keys")]);
        for broad in ["/nowhere.key", "/nowhere/a.key", "/var/lib/a.key"] {
            assert_eq!(paths(broad), [named(broad)]);
        }
        let in_a_home = Path::new("/home").join("user").join("a.key");
        assert_eq!(
            with_directories(&in_a_home),
            std::slice::from_ref(&in_a_home)
        );
        assert_eq!(paths("/usr"), [named("/usr")], "a directory is itself");
    }
}
