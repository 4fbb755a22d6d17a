//! Who may read and who may change the files that a configuration names.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// Why a file is not safe as what it is named for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exposed {
    #[error(
        "is a secret that every user of this machine may read (mode {mode:04o}): chmod 600 it, or 640 with a group of the service's own"
    )]
    Readable { mode: u32 },
    #[error("may be changed by other users (mode {mode:04o}): chmod go-w it")]
    Writable { mode: u32 },
    #[error(
        "belongs to user {owner}, and this process runs as user {own}: chown it to that user or to root"
    )]
    Foreign { owner: u32, own: u32 },
}

const OTHERS: u32 = 0o007;
const GROUP_OR_OTHERS_WRITE: u32 = 0o022;
const OTHERS_WRITE: u32 = 0o002;

/// A file with a secret: closed to other users, changed by its owner only, and the owner is this user or root. A group
/// may read it, since a service's user is often given its secrets by a group.
pub fn secret(file: &Metadata) -> Result<(), Exposed> {
    let mode = permissions(file);
    if mode & OTHERS != 0 {
        return Err(Exposed::Readable { mode });
    }
    if mode & GROUP_OR_OTHERS_WRITE != 0 {
        return Err(Exposed::Writable { mode });
    }
    owned(file)
}

/// A file that decides what the service does: not to be changed by every user.
pub fn decisive(file: &Metadata) -> Result<(), Exposed> {
    let mode = permissions(file);
    if mode & OTHERS_WRITE != 0 {
        return Err(Exposed::Writable { mode });
    }
    Ok(())
}

/// The state directory: what lies in it is closed to others file by file; no other user may put files there.
pub fn state_directory(directory: &Metadata) -> Result<(), Exposed> {
    let mode = permissions(directory);
    if mode & GROUP_OR_OTHERS_WRITE != 0 {
        return Err(Exposed::Writable { mode });
    }
    owned(directory)
}

fn permissions(file: &Metadata) -> u32 {
    file.mode() & 0o7777
}

fn owned(file: &Metadata) -> Result<(), Exposed> {
    let (owner, own) = (file.uid(), rustix::process::geteuid().as_raw());
    if owner == own || owner == 0 {
        Ok(())
    } else {
        Err(Exposed::Foreign { owner, own })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn with_mode(mode: u32, check: fn(&Metadata) -> Result<(), Exposed>) -> Result<(), Exposed> {
        let path =
            std::env::temp_dir().join(format!("sealgate-mode-{mode:o}-{}", std::process::id()));
        std::fs::write(&path, "x").expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
        let checked = check(&std::fs::metadata(&path).expect("there"));
        let _ = std::fs::remove_file(&path);
        checked
    }

    #[test]
    fn a_secret_is_closed_to_other_users_and_changed_by_its_owner_only() {
        for mode in [0o600, 0o400, 0o640, 0o440] {
            assert_eq!(with_mode(mode, secret), Ok(()), "{mode:o}");
        }
        for mode in [0o644, 0o604, 0o601, 0o666, 0o444] {
            assert_eq!(
                with_mode(mode, secret),
                Err(Exposed::Readable { mode }),
                "{mode:o}"
            );
        }
        assert_eq!(
            with_mode(0o660, secret),
            Err(Exposed::Writable { mode: 0o660 })
        );
    }

    #[test]
    fn what_decides_may_be_read_by_all_and_not_written() {
        assert_eq!(with_mode(0o644, decisive), Ok(()));
        assert_eq!(
            with_mode(0o666, decisive),
            Err(Exposed::Writable { mode: 0o666 })
        );
    }
}
