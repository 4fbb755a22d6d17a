//! Kernel modules: those that the measured initial file system lists, in that order, and after them none.
//!
//! `finit_module` hands the kernel the file as it is, so that the distribution's appended signature is what the
//! kernel checks (`module.sig_enforce=1`). There is no dependency resolution and no alias: the list is the truth.

use std::fs::File;

use rustix::io::Errno;

use crate::os::{Doing, OsError};

const FOLDER: &str = "/lib/modules/";
const COUNT_LIMIT: usize = 256;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModuleError {
    #[error("line {line} of the list of modules is not {FOLDER}NAME.ko")]
    Line { line: usize },

    #[error("line {line} of the list of modules names a module again")]
    Twice { line: usize },

    #[error("the list of modules is not UTF-8 or has more than {COUNT_LIMIT} lines")]
    Unreadable,

    #[error(transparent)]
    Os(#[from] OsError),
}

/// The paths of the list, in load order.
pub fn parse(list: &[u8]) -> Result<Vec<String>, ModuleError> {
    let text = std::str::from_utf8(list).map_err(|_| ModuleError::Unreadable)?;
    let mut paths: Vec<String> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line_number = index + 1;
        if !is_module(line) {
            return Err(ModuleError::Line { line: line_number });
        }
        if paths.iter().any(|path| path == line) {
            return Err(ModuleError::Twice { line: line_number });
        }
        if paths.len() == COUNT_LIMIT {
            return Err(ModuleError::Unreadable);
        }
        paths.push(line.to_owned());
    }
    Ok(paths)
}

fn is_module(line: &str) -> bool {
    let name = line
        .strip_prefix(FOLDER)
        .and_then(|rest| rest.strip_suffix(".ko"));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(allowed))
}

/// Loads them and gives those that have nothing to do here: drivers of another vendor's confidential machine
/// say that there is no such device. One that the kernel has already is no error.
pub fn load(paths: &[String]) -> Result<Vec<&str>, ModuleError> {
    let mut idle = Vec::new();
    for path in paths {
        let file = File::open(path).doing("open", path)?;
        match rustix::system::finit_module(&file, c"", 0) {
            Err(Errno::EXIST) => {}
            Err(Errno::NODEV) => idle.push(path.as_str()),
            done => done.doing("load", path)?,
        }
    }
    Ok(idle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_list_keeps_its_order() {
        let list = b"/lib/modules/virtio.ko\n/lib/modules/dm-mod.ko\n";
        let paths = parse(list).expect("it is as the contract has it");
        assert_eq!(paths, ["/lib/modules/virtio.ko", "/lib/modules/dm-mod.ko"]);
        assert_eq!(parse(b""), Ok(Vec::new()));
    }

    #[test]
    fn module_paths_outside_the_folder_and_repeated_ones_are_refused() {
        for line in [
            "/tmp/evil.ko",
            "/lib/modules/../evil.ko",
            "/lib/modules/.ko",
            "/lib/modules/a.ko.xz",
            "",
            "virtio.ko",
        ] {
            let list = format!("/lib/modules/a.ko\n{line}\n/lib/modules/b.ko\n");
            assert_eq!(
                parse(list.as_bytes()),
                Err(ModuleError::Line { line: 2 }),
                "{line:?}"
            );
        }
        let twice = b"/lib/modules/a.ko\n/lib/modules/a.ko\n";
        assert_eq!(parse(twice), Err(ModuleError::Twice { line: 2 }));
        assert_eq!(parse(b"\xff\n"), Err(ModuleError::Unreadable));
    }

    #[test]
    fn a_module_list_with_too_many_lines_is_refused() {
        let many: String = (0..300)
            .map(|n| format!("/lib/modules/m{n}.ko\n"))
            .collect();
        assert_eq!(parse(many.as_bytes()), Err(ModuleError::Unreadable));
    }
}
