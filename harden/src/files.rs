//! The files this process may open (Landlock): those of its configuration ([`AllowedFiles`]), and what libraries read
//! while it runs. No other file can be opened until the process ends, so a reload cannot name a file elsewhere.
//!
//! Rules are bound to the file that is at a path now. A file that is replaced by renaming needs a rule on its directory.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    path_beneath_rules,
};

/// What libraries read while a service runs: certificate authorities, loadable resolver modules, and the resolver's
/// files. The last are for the case that the resolver process has ended; single files among them cannot be
/// read after they were replaced.
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
    // The number of processors, which the memory allocator reads.
    "/sys/devices/system/cpu",
    "/dev/null",
    "/dev/urandom",
];

/// A file outside of the list that every user may read: if it cannot be opened, the rules are active.
const OUTSIDE: &str = "/proc/version";

/// Directories that contain too much to be readable because of one file in them, like those directly below `/`.
const BROAD: &[&str] = &["/usr/local", "/var/lib", "/var/tmp", "/var/run"];

/// The files and directories that a service may open, as its configuration names them at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedFiles {
    /// Directories include everything below them. A file's directory becomes readable too, since the file may be
    /// replaced by renaming, unless that directory is a broad one, such as `/etc` or a home.
    pub read: Vec<PathBuf>,
    pub written: Vec<PathBuf>,
}

/// Confines this thread and those it starts. An error is ignored here: [`is_confined`] reads back whether it is.
pub(super) fn confine(allowed: &AllowedFiles) {
    let _ = apply(allowed);
}

fn apply(allowed: &AllowedFiles) -> Result<(), RulesetError> {
    let abi = ABI::V5;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let named = allowed.read.iter().flat_map(|path| with_directories(path));
    Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .create()?
        .add_rules(path_beneath_rules(LIBRARIES.iter().map(Path::new), read))?
        .add_rules(path_beneath_rules(named, read))?
        .add_rules(path_beneath_rules(
            &allowed.written,
            AccessFs::from_all(abi) & !AccessFs::Execute,
        ))?
        .restrict_self()?;
    Ok(())
}

/// A path; for a file also the directory of the path, and the directory of the file itself if the path is a link.
pub(super) fn with_directories(path: &Path) -> Vec<PathBuf> {
    let mut paths = vec![path.to_owned()];
    if path.is_dir() {
        return paths;
    }
    let named = std::path::absolute(path).ok();
    let real = std::fs::canonicalize(path).ok();
    for file in [named, real].into_iter().flatten() {
        // A file that is replaced by renaming is another file to Landlock; its directory stays the same.
        let directory = file.parent().filter(|directory| !is_broad(directory));
        paths.extend(directory.map(Path::to_owned));
    }
    paths.dedup();
    paths
}

fn is_broad(directory: &Path) -> bool {
    // The number of components: `ancestors` includes the path itself and `/`.
    let depth = directory.ancestors().count() - 1;
    let is_home = std::env::var_os("HOME").is_some_and(|home| directory == Path::new(&home))
        || (depth == 2 && directory.starts_with("/home"));
    depth <= 1 || is_home || BROAD.iter().any(|broad| directory == Path::new(broad))
}

/// Whether the rules are active, found out by opening a file outside of them.
pub(super) fn is_confined() -> bool {
    let refused = std::fs::File::open(OUTSIDE).err();
    refused.is_some_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_directory_is_readable_too_unless_it_is_a_broad_one() {
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
