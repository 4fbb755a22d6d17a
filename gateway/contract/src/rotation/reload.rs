//! Reload requests and their answers, as files in the state directory.
//!
//! `sealgate reload` writes a request, and the service writes the outcome of the reload. Any user who may write to the
//! directory may request one, as with keys and policies. Files need neither a socket nor a signal: they work under the
//! process's confinement, and from another container that mounts the directory.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use gateway_base::config::Problem;

const REQUEST: &str = "reload.request";
const ANSWER: &str = "reload.answer";
/// More than any request or answer.
const MAX: u64 = 1 << 20;

/// The outcome of a reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadOutcome {
    /// The active epoch after it.
    pub epoch: u64,
    /// Whether that is a new one, under the configuration as it was read.
    pub began: bool,
    /// Why not, as in the log event.
    pub failure: Option<String>,
    /// What is wrong with the configuration.
    pub problems: Vec<Problem>,
    pub warnings: Vec<Problem>,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    id: String,
    outcome: ReloadOutcome,
}

/// The two files of one state directory.
#[derive(Clone, Debug)]
pub struct ReloadRequests {
    state_dir: PathBuf,
}

impl ReloadRequests {
    pub fn in_directory(state_dir: &Path) -> Self {
        Self {
            state_dir: state_dir.to_owned(),
        }
    }

    /// Requests a reload; the answer will have the same id.
    pub fn request(&self, id: &str) -> io::Result<()> {
        self.put(REQUEST, id.as_bytes())
    }

    /// Removes a request that was not taken yet. Returns whether there was one.
    pub fn withdraw(&self) -> bool {
        std::fs::remove_file(self.state_dir.join(REQUEST)).is_ok()
    }

    /// The outcome of the request with this id, once it is written.
    pub fn outcome(&self, id: &str) -> Option<ReloadOutcome> {
        let answer: Answer = serde_json::from_slice(&self.read(ANSWER)?).ok()?;
        (answer.id == id).then_some(answer.outcome)
    }

    /// Takes the waiting request: its file is removed, so it is answered once.
    pub fn take(&self) -> Option<String> {
        let id = String::from_utf8(self.read(REQUEST)?).ok()?;
        // Removing decides: if the command withdrew the request in the meantime, its file is missing, and the reload
        // does not happen.
        self.withdraw().then_some(id)
    }

    /// Writes the answer to a request.
    pub fn answer(&self, id: String, outcome: ReloadOutcome) -> io::Result<()> {
        let answer = serde_json::to_vec(&Answer { id, outcome })?;
        self.put(ANSWER, &answer)
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        use std::io::Read;
        let file = std::fs::File::open(self.state_dir.join(name)).ok()?;
        let mut bytes = Vec::new();
        file.take(MAX).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Replaces the file atomically, readable for its owner only.
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.state_dir.join(format!("{name}.new"));
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(bytes)?;
        // The other process polls for the name, so it must never find a part of the content.
        std::fs::rename(&new, self.state_dir.join(name))
    }
}
