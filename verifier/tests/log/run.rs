//! Running the real binary.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What `sealgate-verify log …` said.
pub struct Said {
    pub code: i32,
    json: Value,
}

impl Said {
    /// The checks with this outcome.
    fn with(&self, outcome: &str) -> Vec<&str> {
        let findings = self.json["findings"].as_array().expect("findings");
        findings
            .iter()
            .filter(|finding| finding["outcome"] == outcome)
            .map(|finding| finding["id"].as_str().expect("an id"))
            .collect()
    }

    pub fn failed(&self) -> Vec<&str> {
        self.with("fail")
    }

    pub fn missing(&self) -> Vec<&str> {
        self.with("missing")
    }

    pub fn passed(&self) -> Vec<&str> {
        self.with("pass")
    }
}

/// Runs it in `directory`, for the JSON form.
pub fn log(directory: &Path, arguments: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_sealgate-verify"))
        .arg("log")
        .args(arguments)
        .arg("--json")
        .current_dir(directory)
        .output()
        .expect("the verifier runs");
    let words = String::from_utf8_lossy(&output.stderr);
    let json = serde_json::from_slice(&output.stdout);
    Said {
        code: output.status.code().expect("an exit code"),
        json: json.unwrap_or_else(|error| panic!("{error}: {words}")),
    }
}

/// The exit code and the one line of a run that came to no verdict.
pub fn refused(directory: &Path, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sealgate-verify"))
        .arg("log")
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("the verifier runs");
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().expect("an exit code"), words)
}
