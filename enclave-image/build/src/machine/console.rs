//! A guest's serial console, as lines.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The text that the guest has printed so far. A thread appends; any number of callers wait on the condition variable.
#[derive(Clone, Debug, Default)]
pub struct Console {
    // The lock is held for one piece of output, or while the new lines are searched; waiting on the condition releases
    // it.
    output: Arc<(Mutex<Output>, Condvar)>,
}

#[derive(Debug, Default)]
struct Output {
    text: String,
    ended: bool,
}

/// Why an awaited line did not come.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoLine {
    #[error("the machine ended first")]
    Ended,
    #[error("nothing of the kind within {0:?}")]
    TimedOut(Duration),
}

impl Console {
    /// Reads until the end, on a separate thread, which ends with the guest's output.
    pub fn listen(&self, mut from: impl Read + Send + 'static) {
        let output = Arc::clone(&self.output);
        std::thread::spawn(move || {
            let (text, changed) = &*output;
            let mut bytes = [0; 4096];
            loop {
                let read = from.read(&mut bytes).unwrap_or(0);
                let mut output = text.lock().unwrap_or_else(PoisonError::into_inner);
                // A read of zero bytes or an error ends the output; both wake all callers for the last time.
                output.text.push_str(&printable(&bytes[..read]));
                output.ended = read == 0;
                changed.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
    }

    /// Waits for a line for which the closure returns a value.
    pub fn wait_for<T>(
        &self,
        within: Duration,
        mut takes: impl FnMut(&str) -> Option<T>,
    ) -> Result<T, NoLine> {
        let deadline = Instant::now() + within;
        let (text, changed) = &*self.output;
        let mut output = text.lock().unwrap_or_else(PoisonError::into_inner);
        // The start of the first line that was not checked yet; text is only ever appended.
        let mut seen = 0;
        loop {
            while let Some(end) = output.text[seen..].find('\n') {
                let line = output.text[seen..seen + end].trim_end();
                if let Some(found) = takes(line) {
                    return Ok(found);
                }
                seen += end + 1;
            }
            if output.ended {
                return Err(NoLine::Ended);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(NoLine::TimedOut(within));
            }
            output = changed
                .wait_timeout(output, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    pub fn text(&self) -> String {
        let output = self.output.0.lock().unwrap_or_else(PoisonError::into_inner);
        output.text.clone()
    }

    /// The last lines.
    pub fn tail(&self, lines: usize) -> String {
        let text = self.text();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

/// Without characters that would move a terminal's cursor.
fn printable(bytes: &[u8]) -> String {
    bytes
        .iter()
        .filter(|byte| matches!(byte, b'\n' | b'\t' | b' '..=b'~'))
        .map(|byte| char::from(*byte))
        .collect()
}
