//! Opens files from untrusted sources. Only regular files are opened: a FIFO in an archive would
//! block the program forever, and opening a device may have side effects.

use std::fs::{self, File, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Component, Path};

use crate::failure::Failure;

/// Opens a file that was named on the command line. Links are followed; descriptors that the shell passes
/// (`<(…)`, `/dev/stdin`) may be of any kind.
pub fn open(path: &Path) -> Result<File, Failure> {
    if is_descriptor(path) {
        return File::open(path).map_err(|e| unreadable(path, &e));
    }
    let kind = fs::metadata(path).map_err(|e| unreadable(path, &e))?;
    refuse_kind(path, kind.file_type())?;
    open_checked(path, libc::O_NONBLOCK)
}

/// Opens a file inside an untrusted directory, without following links below it. `None` if it does not exist.
pub fn open_inside(directory: &Path, name: &str) -> Result<Option<File>, Failure> {
    let mut path = directory.to_owned();
    let mut parts = Path::new(name).components().peekable();
    while let Some(part) = parts.next() {
        let Component::Normal(part) = part else {
            return Err(not_read(&path.join(name), "the name leads out of it"));
        };
        path.push(part);
        let found = match fs::symlink_metadata(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found.map_err(|e| unreadable(&path, &e))?.file_type(),
        };
        match (parts.peek(), found.is_dir()) {
            (Some(_), true) => {}
            (Some(_), false) => return Err(not_read(&path, "not a directory")),
            (None, _) => refuse_kind(&path, found)?,
        }
    }
    open_checked(&path, libc::O_NONBLOCK | libc::O_NOFOLLOW).map(Some)
}

/// Refuses a path that exists and is no regular file.
pub fn refuse_special(path: &Path) -> Result<(), Failure> {
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        found => refuse_kind(path, found.map_err(|e| unreadable(path, &e))?.file_type()),
    }
}

/// Checks the kind of the open file again: the path may have been replaced after the first check.
fn open_checked(path: &Path, flags: i32) -> Result<File, Failure> {
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|e| unreadable(path, &e))?;
    let kind = file.metadata().map_err(|e| unreadable(path, &e))?;
    refuse_kind(path, kind.file_type())?;
    Ok(file)
}

fn is_descriptor(path: &Path) -> bool {
    path == Path::new("/dev/stdin")
        || path.starts_with("/dev/fd")
        || path.starts_with("/proc/self/fd")
}

fn refuse_kind(path: &Path, kind: FileType) -> Result<(), Failure> {
    if kind.is_file() {
        return Ok(());
    }
    Err(not_read(
        path,
        match kind {
            _ if kind.is_dir() => "it is a directory",
            _ if kind.is_symlink() => "it is a symbolic link",
            _ if kind.is_fifo() => "it is a FIFO",
            _ if kind.is_socket() => "it is a socket",
            _ => "it is a device",
        },
    ))
}

fn not_read(path: &Path, cause: &str) -> Failure {
    Failure::Unreadable {
        path: path.to_owned(),
        cause: cause.to_owned(),
    }
}

/// The failure for a file that cannot be read.
pub fn unreadable(path: &Path, error: &io::Error) -> Failure {
    not_read(path, &describe_io_error(error.kind()))
}

/// A description of an error with a file.
pub fn describe_io_error(kind: io::ErrorKind) -> String {
    match kind {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        io::ErrorKind::NotADirectory => "a part of the path is not a directory".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use testkit::scratch::ScratchDir;

    fn refused(result: Result<Option<File>, Failure>) -> String {
        result.expect_err("refused").to_string()
    }

    #[test]
    fn opens_only_regular_files() {
        let dir = ScratchDir::new("kinds-of-files").unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("file"), "text").unwrap();
        fs::create_dir(path("folder")).unwrap();
        fs::write(path("folder/inner"), "text").unwrap();
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        std::os::unix::fs::symlink(path("folder"), path("linked")).unwrap();
        let fifo = std::process::Command::new("mkfifo")
            .arg(path("fifo"))
            .status();
        assert!(fifo.unwrap().success());
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();

        for (name, why) in [
            ("fifo", "it is a FIFO"),
            ("socket", "it is a socket"),
            ("folder", "it is a directory"),
        ] {
            let inside = refused(open_inside(dir.path(), name));
            assert!(inside.ends_with(why), "{inside}");
            let named = refused(open(&path(name)).map(Some));
            assert!(named.ends_with(why) && named.contains(name), "{named}");
        }
        let device = refused(open(Path::new("/dev/zero")).map(Some));
        assert!(device.ends_with("it is a device"), "{device}");
        for (name, why) in [
            ("link", "it is a symbolic link"),
            ("linked/inner", "not a directory"),
            ("file/inner", "not a directory"),
            ("../file", "the name leads out of it"),
        ] {
            let inside = refused(open_inside(dir.path(), name));
            assert!(inside.ends_with(why), "{inside}");
        }
        assert!(open(&path("link")).is_ok(), "the user named the link");
        assert!(open_inside(dir.path(), "absent/file").unwrap().is_none());
        let mut text = String::new();
        let inner = open_inside(dir.path(), "folder/inner").unwrap();
        inner.unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
        assert!(refuse_special(&path("absent")).is_ok());
        assert!(refuse_special(&path("fifo")).is_err());
    }
}
