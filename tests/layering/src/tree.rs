//! The repository's own files: everything git would carry, nothing that was built or installed.

use std::fs;
use std::path::{Path, PathBuf};

const NOT_OURS: &[&str] = &[
    ".git",
    "target",
    "node_modules",
    "__pycache__",
    ".venv",
    "run",
];

/// The workspace's root folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("tests/layering lies two folders below the root")
        .to_owned()
}

/// Every file below `folder`, sorted.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(folder) = todo.pop() {
        let entries = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{} cannot be read: {error}", folder.display()));
        for entry in entries {
            let entry = entry.expect("a folder entry can be read");
            let kind = entry.file_type().expect("a folder entry has a type");
            // `.git` is a file in a linked work tree.
            if NOT_OURS.contains(&entry.file_name().to_string_lossy().as_ref()) {
                continue;
            }
            if kind.is_dir() {
                todo.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// The Rust files below a folder named from the root.
pub fn rust_files(folder: &str) -> Vec<PathBuf> {
    let files: Vec<_> = files(&root().join(folder))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    assert!(!files.is_empty(), "{folder} holds Rust files");
    files
}

/// The text of a file, or nothing when it is not text.
pub fn text(path: &Path) -> Option<String> {
    String::from_utf8(fs::read(path).expect("a listed file can be read")).ok()
}
