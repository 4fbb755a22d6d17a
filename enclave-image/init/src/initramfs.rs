//! The initial file system holds what the build put there, and nothing else.
//!
//! systemd's stub appends archives to the measured one: credentials, system and configuration extensions, add-ons
//! and a boot secret, all below `/.extra`, from the partition it was started from; and it puts an initrd that firmware
//! offers (QEMU's `-initrd`) in front. The kernel measures the whole into RTMR2. Nothing of it is ours: PID 1 lists the files
//! before it mounts anything, and refuses one that it did not expect. `/initrd.image` is where the kernel
//! puts what it could not unpack; it is unexpected like the rest.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::os::{Doing, OsError};

/// What is there in every image, beside the modules.
const ALWAYS: &[&str] = &[
    "/dev",
    "/dev/console",
    "/etc",
    "/etc/cmdline",
    "/etc/modules",
    "/init",
    "/lib",
    "/lib/modules",
    "/proc",
    "/root",
    "/run",
    "/sys",
];

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitramfsError {
    #[error("the initial file system holds {0}, which the image did not put there")]
    Unexpected(String),

    #[error("the initial file system lacks {0}")]
    Missing(String),

    #[error(transparent)]
    Os(#[from] OsError),
}

/// Every path below `root`, as seen from it, folders and files alike.
pub fn list(root: &Path) -> Result<BTreeSet<String>, OsError> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::from("/")];
    while let Some(folder) = folders.pop() {
        let real = root.join(folder.strip_prefix("/").unwrap_or(&folder));
        for entry in fs::read_dir(&real).doing("list", &folder)? {
            let entry = entry.doing("list", &folder)?;
            let path = folder.join(entry.file_name());
            if entry.file_type().doing("look at", &path)?.is_dir() {
                folders.push(path.clone());
            }
            found.insert(path.to_string_lossy().into_owned());
        }
    }
    Ok(found)
}

/// Exactly the expected paths, or an error with the first that is too many or too few.
pub fn check(found: &BTreeSet<String>, modules: &[String]) -> Result<(), InitramfsError> {
    let fixed = ALWAYS.iter().map(|path| (*path).to_owned());
    let expected: BTreeSet<String> = fixed.chain(modules.iter().cloned()).collect();
    if let Some(path) = found.difference(&expected).next() {
        return Err(InitramfsError::Unexpected(crate::console::printable(
            path.as_bytes(),
        )));
    }
    match expected.difference(found).next() {
        Some(path) => Err(InitramfsError::Missing(path.clone())),
        None => Ok(()),
    }
}

/// Gives the memory of the modules and of our own file back. The program keeps running from what it has mapped.
pub fn empty(modules: &[String]) {
    let own = ["/init", "/etc/cmdline", "/etc/modules"].map(str::to_owned);
    for path in modules.iter().chain(&own) {
        // What stays costs memory and nothing else: no process can reach it once the root is another.
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules() -> Vec<String> {
        vec!["/lib/modules/erofs.ko".to_owned()]
    }

    fn good() -> BTreeSet<String> {
        let fixed = ALWAYS.iter().map(|path| (*path).to_owned());
        fixed.chain(modules()).collect()
    }

    #[test]
    fn an_initramfs_with_exactly_the_expected_files_is_accepted() {
        assert_eq!(check(&good(), &modules()), Ok(()));
    }

    #[test]
    fn an_unexpected_initramfs_file_is_refused_by_name() {
        for added in [
            "/.extra",
            "/initrd.image",
            "/etc/passwd",
            "/lib/modules/evil.ko",
            "/kernel",
            "/bin",
        ] {
            let mut found = good();
            found.insert(added.to_owned());
            assert_eq!(
                check(&found, &modules()),
                Err(InitramfsError::Unexpected(added.to_owned()))
            );
        }
    }

    #[test]
    fn a_missing_initramfs_file_is_named() {
        for gone in good() {
            let mut found = good();
            found.remove(&gone);
            assert_eq!(
                check(&found, &modules()),
                Err(InitramfsError::Missing(gone))
            );
        }
    }

    #[test]
    fn every_file_and_folder_is_listed_at_any_depth() {
        let root = std::env::temp_dir().join(format!("enclave-init-list-{}", std::process::id()));
        fs::create_dir_all(root.join(".extra/credentials")).expect("a folder can be made");
        fs::write(root.join(".extra/credentials/a.cred"), b"x").expect("a file can be written");
        std::os::unix::fs::symlink("/etc", root.join("link")).expect("a link can be made");
        let found = list(&root).expect("it can be listed");
        fs::remove_dir_all(&root).expect("it can be removed");
        let expected = [
            "/.extra",
            "/.extra/credentials",
            "/.extra/credentials/a.cred",
            "/link",
        ];
        assert_eq!(found, expected.map(str::to_owned).into_iter().collect());
    }
}
