//! Colours, used only on a terminal and unless the user declines them.

use std::io::IsTerminal;

/// Whether text is coloured. Files, pipes and tests get `Plain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    Plain,
    Colour,
}

impl Paint {
    /// For standard output: a terminal, `NO_COLOR` unset or empty, and `TERM` not `dumb`.
    pub fn for_stdout() -> Self {
        let declined = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|v| v == "dumb");
        Self::choose(std::io::stdout().is_terminal(), declined || dumb)
    }

    fn choose(terminal: bool, declined: bool) -> Self {
        if terminal && !declined {
            Self::Colour
        } else {
            Self::Plain
        }
    }

    pub fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    pub fn warn(self, text: &str) -> String {
        self.wrap("33", text)
    }

    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub fn strong(self, text: &str) -> String {
        self.wrap("1", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

/// Text from evidence, made safe to print: control characters would let a service draw on the
/// reader's terminal, so they are shown escaped.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' {
            out.push_str("\\n");
        } else if c.is_control() || is_bidi_control(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The first and last characters of a long hex value.
pub fn shorten(hex: &str) -> String {
    if hex.is_ascii() && hex.len() > 24 {
        format!("{}…{}", &hex[..12], &hex[hex.len() - 8..])
    } else {
        hex.to_owned()
    }
}

/// `sha256:` and the shortened rest.
pub fn short_digest(digest: &str) -> String {
    match digest.split_once(':') {
        Some((algorithm, hex)) => format!("{algorithm}:{}", shorten(hex)),
        None => shorten(digest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_only_on_a_terminal_and_unless_declined() {
        assert_eq!(Paint::choose(true, false), Paint::Colour);
        assert_eq!(Paint::choose(true, true), Paint::Plain);
        assert_eq!(Paint::choose(false, false), Paint::Plain);
    }

    #[test]
    fn escapes_control_characters_in_evidence() {
        assert_eq!(printable("a\x1b[2Jb\u{202e}c"), "a\\u{1b}[2Jb\\u{202e}c");
        assert_eq!(printable("mödel ✓"), "mödel ✓");
    }

    #[test]
    fn only_long_hex_is_shortened() {
        assert_eq!(shorten("abcd"), "abcd");
        assert_eq!(shorten(&"0123456789".repeat(5)), "012345678901…23456789");
    }
}
