//! A reload that is asked for and answered by files in the state directory.
//!
//! `sealgate reload` writes a request, the service answers it with what the reload came to. Whoever may write the
//! directory may ask, as for keys and policies. Files need neither a socket nor a signal: they work under the
//! process's own confinement, and from another container that has the directory.

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

/// What a reload came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadOutcome {
    /// The epoch in force after it.
    pub epoch: u64,
    /// Whether that is a new one, under the configuration as it was read.
    pub began: bool,
    /// Why not, in the word that the log has too.
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
    pub fn of(state_dir: &Path) -> Self {
        Self {
            state_dir: state_dir.to_owned(),
        }
    }

    /// Asks for a reload, under a name that its answer will have.
    pub fn ask(&self, id: &str) -> io::Result<()> {
        self.put(REQUEST, id.as_bytes())
    }

    /// Takes the request back, if it was not seen; whether it was there.
    pub fn withdraw(&self) -> bool {
        std::fs::remove_file(self.state_dir.join(REQUEST)).is_ok()
    }

    /// The answer to a request, once it is there.
    pub fn answer(&self, id: &str) -> Option<ReloadOutcome> {
        let answer: Answer = serde_json::from_slice(&self.read(ANSWER)?).ok()?;
        (answer.id == id).then_some(answer.outcome)
    }

    /// The request that waits, once: it is removed.
    pub fn take(&self) -> Option<String> {
        let id = String::from_utf8(self.read(REQUEST)?).ok()?;
        self.withdraw().then_some(id)
    }

    /// Answers a request.
    pub fn settle(&self, id: String, outcome: ReloadOutcome) -> io::Result<()> {
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

    /// Whole or not at all, for its owner only.
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.state_dir.join(format!("{name}.new"));
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(bytes)?;
        std::fs::rename(&new, self.state_dir.join(name))
    }
}
