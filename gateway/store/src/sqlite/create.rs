//! How every database file of the service is made: in a directory and a file that only their owner may read.

use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The directory or file that could not be made, and why.
pub(super) struct CreateError {
    pub path: PathBuf,
    pub source: io::Error,
}

/// Makes the directory and the file if they are missing, sets the file's permissions, and returns its path.
pub(super) fn create(state_dir: &Path, file_name: &str) -> Result<PathBuf, CreateError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| CreateError { path, source }
    };
    if !state_dir.is_dir() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(state_dir)
            .map_err(failed(state_dir))?;
    }
    let path = state_dir.join(file_name);
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .read(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed(&path))?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))
        .map_err(failed(&path))?;
    Ok(path)
}
