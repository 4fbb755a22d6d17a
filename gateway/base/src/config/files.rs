//! Permission checks of the files that a configuration names.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// Why a file's permissions are not safe for its purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileExposure {
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

/// Checks a file with a secret: no access for other users, writable by its owner only, and the owner is this user or
/// root. A group may read it, since deployments often grant a service its secrets through a group.
pub fn check_secret(file: &Metadata) -> Result<(), FileExposure> {
    let mode = permissions(file);
    if mode & OTHERS != 0 {
        return Err(FileExposure::Readable { mode });
    }
    if mode & GROUP_OR_OTHERS_WRITE != 0 {
        return Err(FileExposure::Writable { mode });
    }
    owned(file)
}

/// Checks a file that decides what the service does: it must not be world-writable.
pub fn check_trusted(file: &Metadata) -> Result<(), FileExposure> {
    let mode = permissions(file);
    if mode & OTHERS_WRITE != 0 {
        return Err(FileExposure::Writable { mode });
    }
    Ok(())
}

/// Checks the state directory: no other user may create files in it. The files in it have permissions themselves.
pub fn check_state_directory(directory: &Metadata) -> Result<(), FileExposure> {
    let mode = permissions(directory);
    if mode & GROUP_OR_OTHERS_WRITE != 0 {
        return Err(FileExposure::Writable { mode });
    }
    owned(directory)
}

fn permissions(file: &Metadata) -> u32 {
    file.mode() & 0o7777
}

fn owned(file: &Metadata) -> Result<(), FileExposure> {
    let (owner, own) = (file.uid(), rustix::process::geteuid().as_raw());
    if owner == own || owner == 0 {
        Ok(())
    } else {
        Err(FileExposure::Foreign { owner, own })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn with_mode(
        mode: u32,
        check: fn(&Metadata) -> Result<(), FileExposure>,
    ) -> Result<(), FileExposure> {
        let path =
            std::env::temp_dir().join(format!("sealgate-mode-{mode:o}-{}", std::process::id()));
        std::fs::write(&path, "x").expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
        let checked = check(&std::fs::metadata(&path).expect("there"));
        let _ = std::fs::remove_file(&path);
        checked
    }

    #[test]
    fn rejects_a_secret_that_others_can_read_or_the_group_can_write() {
        for mode in [0o600, 0o400, 0o640, 0o440] {
            assert_eq!(with_mode(mode, check_secret), Ok(()), "{mode:o}");
        }
        for mode in [0o644, 0o604, 0o601, 0o666, 0o444] {
            assert_eq!(
                with_mode(mode, check_secret),
                Err(FileExposure::Readable { mode }),
                "{mode:o}"
            );
        }
        assert_eq!(
            with_mode(0o660, check_secret),
            Err(FileExposure::Writable { mode: 0o660 })
        );
    }

    #[test]
    fn a_trusted_file_may_be_world_readable_but_not_world_writable() {
        assert_eq!(with_mode(0o644, check_trusted), Ok(()));
        assert_eq!(
            with_mode(0o666, check_trusted),
            Err(FileExposure::Writable { mode: 0o666 })
        );
    }
}
