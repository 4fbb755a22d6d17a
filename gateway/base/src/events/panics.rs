//! Panics, without their messages.
//!
//! The standard hook prints what a panic has to say, and that may quote what was being handled: an index out of a
//! string's bounds prints the string. Ours says where it was and nothing else.

use super::{Event, emit};

/// From now on a panic anywhere in the process is an event of ours, and its message is not printed.
pub fn speak_of_panics() {
    std::panic::set_hook(Box::new(|panic| {
        if let Some(place) = panic.location() {
            emit(Event::PanickedAt {
                file: place.file().to_owned(),
                line: place.line(),
            });
        }
    }));
}
