//! Log lines on the console, which the host reads.
//!
//! Lines begin with `init: `. No secrets may be written here. Services promise to print metadata only, and
//! control characters in their output are replaced so that no service can forge a line of ours or control a terminal.

use std::fmt;
use std::io::Write;

/// Bytes of one line of a service that are passed on; what is longer is cut.
pub const LINE_LIMIT: usize = 4096;

/// Writes `init: <text>`. Errors are ignored: a broken console does not stop the boot.
pub fn say(text: impl fmt::Display) {
    let line = format!("init: {text}\n");
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(line.as_bytes());
    let _ = out.flush();
}

/// A line of a service that is safe to print: valid UTF-8 without control characters.
pub fn printable(line: &[u8]) -> String {
    let cut = &line[..line.len().min(LINE_LIMIT)];
    String::from_utf8_lossy(cut).chars().map(shown).collect()
}

fn shown(c: char) -> char {
    match c {
        '\t' => ' ',
        c if is_harmless(c) => c,
        _ => '\u{fffd}',
    }
}

/// Neither control characters nor those that turn the direction of text around.
fn is_harmless(c: char) -> bool {
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !c.is_control() && !turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_can_neither_begin_a_new_line_nor_steer_the_terminal() {
        assert_eq!(
            printable(b"a\ninit: ready\r\x1b[2J"),
            "a\u{fffd}init: ready\u{fffd}\u{fffd}[2J"
        );
        assert_eq!(printable("ab\u{202e}c".as_bytes()), "ab\u{fffd}c");
        assert_eq!(printable(b"a\tb"), "a b");
    }

    #[test]
    fn a_long_line_is_cut_and_bad_utf8_is_replaced() {
        assert_eq!(printable(&vec![b'x'; 10_000]).len(), LINE_LIMIT);
        assert_eq!(printable(b"a\xffb"), "a\u{fffd}b");
    }
}
