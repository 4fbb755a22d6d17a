//! The five file operations the collector needs, behind a trait so that tests can emulate the
//! kernel. The only implementation outside tests is [`OsFiles`].

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

pub(super) trait Files: Send + Sync {
    fn is_directory(&self, path: &Path) -> bool;
    fn create_directory(&self, path: &Path) -> io::Result<()>;
    fn remove_directory(&self, path: &Path) -> io::Result<()>;
    /// Reads at most `limit` bytes; one byte more is [`ReadError::TooLarge`].
    fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>, ReadError>;
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
}

#[derive(Debug)]
pub(super) enum ReadError {
    Io(io::Error),
    TooLarge,
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        ReadError::Io(error)
    }
}

pub(super) struct OsFiles;

impl Files for OsFiles {
    fn is_directory(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        // Not remove_dir_all: configfs removes the attribute files with their directory, and
        // refuses to unlink them.
        fs::remove_dir(path)
    }

    fn read(&self, path: &Path, limit: usize) -> Result<Vec<u8>, ReadError> {
        let file = fs::File::open(path)?;
        let mut bytes = Vec::new();
        file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() > limit {
            return Err(ReadError::TooLarge);
        }
        Ok(bytes)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        // Neither created nor truncated: the kernel creates the attributes.
        // configfs processes a binary attribute when the file is closed, so the file must be closed before this
        // function returns. An error of that step is not reported by close; `generation` shows it.
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.write_all(bytes)
    }
}
