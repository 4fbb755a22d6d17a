//! The `date` header of responses.

use std::cell::RefCell;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

thread_local! {
    /// The second that was last rendered on this thread, and its text.
    static RENDERED: RefCell<(u64, Vec<u8>)> = const { RefCell::new((0, Vec::new())) };
}

/// Appends the current time.
pub(super) fn write(out: &mut Vec<u8>) {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    RENDERED.with_borrow_mut(|(second, text)| {
        if *second != now || text.is_empty() {
            let time = UNIX_EPOCH + Duration::from_secs(now);
            text.clear();
            // Writing to memory does not fail.
            let _ = write!(text, "{}", HttpDate::from(time));
            *second = now;
        }
        out.extend_from_slice(text);
    });
}
