//! Progress, for the person who waits. Everything goes to standard error but the last line of a command.

/// A step that takes a moment.
pub fn step(text: &str) {
    eprintln!("• {text}");
}

/// Something to know about the step before.
pub fn note(text: &str) {
    eprintln!("  {text}");
}

/// `16.8 MB`
pub fn size(len: u64) -> String {
    let megabytes = len as f64 / 1e6;
    if megabytes < 10.0 {
        format!("{megabytes:.2} MB")
    } else {
        format!("{megabytes:.1} MB")
    }
}
