//! The proxy's log lines for its operator. They are built from ids, digests and check names, and
//! never contain text of a caller or a model.

use std::sync::Mutex;

/// Where log lines are written.
pub trait Journal: Send + Sync + 'static {
    fn line(&self, text: &str);
}

/// Writes to standard error, prefixed with the program's name.
pub struct StderrJournal;

impl Journal for StderrJournal {
    fn line(&self, text: &str) {
        eprintln!("sealgate-verify: {text}");
    }
}

/// Makes panics log their location only. Their message may quote the request that was being handled.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        if let Some(place) = panic.location() {
            StderrJournal.line(&format!(
                "a task failed at {}:{}",
                place.file(),
                place.line()
            ));
        }
    }));
}

/// Keeps lines in memory, for tests.
#[derive(Default)]
pub struct MemoryJournal(Mutex<Vec<String>>);

impl MemoryJournal {
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().map(|lines| lines.clone()).unwrap_or_default()
    }
}

impl Journal for MemoryJournal {
    fn line(&self, text: &str) {
        if let Ok(mut lines) = self.0.lock() {
            lines.push(text.to_owned());
        }
    }
}
