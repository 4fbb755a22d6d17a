//! The panic hook: logs the location of a panic, never its message.
//!
//! The standard hook prints the message, which may quote data of a request: slicing a string out of its bounds prints
//! the string.

use super::{Event, emit};

/// Replaces the process's panic hook. From now on a panic is an [`Event::PanickedAt`], and its message is not printed.
pub fn install_panic_hook() {
    // Replaces the standard hook instead of calling it, since that one prints the message.
    std::panic::set_hook(Box::new(|panic| {
        if let Some(place) = panic.location() {
            emit(Event::PanickedAt {
                file: place.file().to_owned(),
                line: place.line(),
            });
        }
    }));
}
