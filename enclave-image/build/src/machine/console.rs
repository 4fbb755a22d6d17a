//! A guest's serial console, as lines.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What has been said so far.
#[derive(Clone, Debug, Default)]
pub struct Console {
    said: Arc<(Mutex<Said>, Condvar)>,
}

#[derive(Debug, Default)]
struct Said {
    text: String,
    ended: bool,
}

/// Why nobody said what was waited for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    #[error("the machine ended first")]
    Ended,
    #[error("nothing of the kind within {0:?}")]
    TimedOut(Duration),
}

impl Console {
    /// Reads until the end, on a thread of its own.
    pub fn listen(&self, mut from: impl Read + Send + 'static) {
        let said = Arc::clone(&self.said);
        std::thread::spawn(move || {
            let (text, changed) = &*said;
            let mut bytes = [0; 4096];
            loop {
                let read = from.read(&mut bytes).unwrap_or(0);
                let mut said = text.lock().unwrap_or_else(PoisonError::into_inner);
                said.text.push_str(&printable(&bytes[..read]));
                said.ended = read == 0;
                changed.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
    }

    /// Waits for a line that the closure takes.
    pub fn wait_for<T>(
        &self,
        within: Duration,
        mut takes: impl FnMut(&str) -> Option<T>,
    ) -> Result<T, Silence> {
        let deadline = Instant::now() + within;
        let (text, changed) = &*self.said;
        let mut said = text.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = 0;
        loop {
            while let Some(end) = said.text[seen..].find('\n') {
                let line = said.text[seen..seen + end].trim_end();
                if let Some(found) = takes(line) {
                    return Ok(found);
                }
                seen += end + 1;
            }
            if said.ended {
                return Err(Silence::Ended);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Silence::TimedOut(within));
            }
            said = changed
                .wait_timeout(said, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    pub fn text(&self) -> String {
        let said = self.said.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.text.clone()
    }

    /// The last lines.
    pub fn tail(&self, lines: usize) -> String {
        let text = self.text();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

/// Without what would move a terminal's cursor.
fn printable(bytes: &[u8]) -> String {
    bytes
        .iter()
        .filter(|byte| matches!(byte, b'\n' | b'\t' | b' '..=b'~'))
        .map(|byte| char::from(*byte))
        .collect()
}
