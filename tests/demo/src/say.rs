//! The demo's output.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU32, Ordering};

fn painted(code: &str, text: &str) -> String {
    if std::io::stdout().is_terminal() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// A numbered heading.
pub fn step(title: &str) {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    println!("\n{}", painted("1", &format!("{number}. {title}")));
}

pub fn section(title: &str) {
    println!("\n{}", painted("1", title));
}

/// Something that was expected and holds.
pub fn holds(what: &str) {
    println!("   {} {what}", painted("32", "ok"));
}

/// Something worth knowing that nothing depends on.
pub fn note(what: &str) {
    println!("   {what}");
}

/// A command that is run, as one would type it.
pub fn command(line: &str) {
    println!("   {}", painted("36", &format!("$ {line}")));
}

/// What a command printed.
pub fn output(text: &str) {
    for line in text.trim_end().lines() {
        println!("     {line}");
    }
}

pub fn all_held() {
    println!("\n{}", painted("1;32", "Every step did what it should."));
}

pub fn failed(error: &anyhow::Error) {
    println!("\n{} {error:#}", painted("1;31", "FAILED:"));
}
