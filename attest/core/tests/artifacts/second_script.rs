//! The vectors in `tests/vectors/profile/1`: reading them, and that the second implementation makes them.

use std::{path::Path, process::Command};

use serde::{Deserialize, de::DeserializeOwned};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors");

/// Reads a vector file; a member that its reader does not know fails the test.
pub fn vectors<T: DeserializeOwned>(name: &str) -> T {
    let path = Path::new(FOLDER).join("profile/1").join(name);
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A text that must be refused, and the name of the error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    pub name: String,
    pub text: String,
    pub error: String,
}

/// Runs `read` over every refused text and compares the names of the errors.
pub fn each_is_refused(cases: &[Refused], read: impl Fn(&str) -> Option<&'static str>) {
    assert!(!cases.is_empty());
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let found = read(&case.text).unwrap_or("accepted");
            let says = || format!("{}: wanted {}, found {found}", case.name, case.error);
            (found != case.error).then(says)
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_committed_vectors_are_what_the_second_implementation_makes() {
    let output = Command::new("python3")
        .args(["generate.py", "--check"])
        .current_dir(FOLDER)
        .output()
        .expect("python3 runs; these tests need it");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
