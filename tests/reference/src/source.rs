//! Words that the programs have in their source alone, as literals.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The text of a file of the repository.
pub fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names that records of events are made with.
pub fn events() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in rust_files(&root().join("gateway/base/src/events")) {
        let text = production(&file);
        let calls = text.split("Record::new(\"").skip(1);
        found.extend(
            calls
                .filter_map(|rest| rest.split('"').next())
                .map(str::to_owned),
        );
    }
    found
}

/// The `type`s of the proxy's own errors.
pub fn proxy_errors() -> BTreeSet<String> {
    let text = production(&root().join("verifier/src/proxy/refusal.rs"));
    let body = text
        .split("fn kind(")
        .nth(1)
        .expect("the function that names them");
    let body = body.split("\n    }").next().unwrap_or_default();
    literals(body).map(str::to_owned).collect()
}

/// The ids of findings that the verifier names itself, beside the core's checks.
pub fn findings() -> BTreeSet<String> {
    const FAMILIES: [&str; 5] = ["claim.", "log.", "policy.", "receipt.", "session."];
    let is_id = |word: &&str| {
        FAMILIES.iter().any(|family| word.starts_with(family))
            && word
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b == b'.' || b == b'_')
    };
    let mut found = BTreeSet::new();
    for file in rust_files(&root().join("verifier/src")) {
        found.extend(
            literals(&production(&file))
                .filter(is_id)
                .map(str::to_owned),
        );
    }
    found
}

/// A file without its tests.
fn production(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.split("#[cfg(test)]")
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn literals(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
