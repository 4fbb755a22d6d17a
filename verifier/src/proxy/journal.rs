//! What the proxy tells the person who runs it. Lines are built from ids, digests and check names;
//! nothing a caller or a model wrote can reach them.

use std::sync::Mutex;

/// Receives one line at a time.
pub trait Journal: Send + Sync + 'static {
    fn line(&self, text: &str);
}

/// Standard error, with the program's name in front.
pub struct Stderr;

impl Journal for Stderr {
    fn line(&self, text: &str) {
        eprintln!("sealgate-verify: {text}");
    }
}

/// From now on a panic tells where it was and not what it had to say, which may quote what was being handled.
pub fn tell_panics_by_place() {
    std::panic::set_hook(Box::new(|panic| {
        if let Some(place) = panic.location() {
            Stderr.line(&format!(
                "a task failed at {}:{}",
                place.file(),
                place.line()
            ));
        }
    }));
}

/// Keeps lines in memory, for tests.
#[derive(Default)]
pub struct Kept(Mutex<Vec<String>>);

impl Kept {
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().map(|lines| lines.clone()).unwrap_or_default()
    }
}

impl Journal for Kept {
    fn line(&self, text: &str) {
        if let Ok(mut lines) = self.0.lock() {
            lines.push(text.to_owned());
        }
    }
}
