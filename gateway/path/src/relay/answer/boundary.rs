//! Finds where the events of a stream end: at an empty line, with LF, CR or CRLF as line ends (WHATWG HTML §9.2.6).

use memchr::memchr2;

/// Finds the ends of events in bytes that come in pieces.
pub(super) struct Boundary {
    /// The current line has no byte yet.
    line_is_empty: bool,
    /// The last byte was a CR: an LF right after it belongs to the same line end.
    after_cr: bool,
}

impl Default for Boundary {
    fn default() -> Self {
        Self {
            line_is_empty: true,
            after_cr: false,
        }
    }
}

impl Boundary {
    /// Whether these bytes begin with the second half of a split line end. That byte is consumed.
    pub(super) fn ends_line_before(&mut self, bytes: &[u8]) -> bool {
        let cut = self.after_cr && bytes.first() == Some(&b'\n');
        self.after_cr &= !cut;
        cut
    }

    /// The length of the rest of the current event, if it ends within `bytes`. Those bytes count as read; without an
    /// end all of them do.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        if self.after_cr && bytes.first() == Some(&b'\n') {
            at = 1;
        }
        if !bytes.is_empty() {
            self.after_cr = false;
        }
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(stop) = memchr2(b'\n', b'\r', rest) else {
                self.line_is_empty &= rest.is_empty();
                return None;
            };
            let ends_event = self.line_is_empty && stop == 0;
            let is_cr = rest.get(stop) == Some(&b'\r');
            at += stop + 1;
            match bytes.get(at) {
                Some(b'\n') if is_cr => at += 1,
                None if is_cr => self.after_cr = true,
                _ => {}
            }
            self.line_is_empty = true;
            if ends_event {
                return Some(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(pieces: &[&str]) -> Vec<String> {
        let (mut boundary, mut event, mut events) = (Boundary::default(), String::new(), vec![]);
        for piece in pieces {
            let mut rest = *piece;
            while let Some(length) = boundary.next(rest.as_bytes()) {
                event.push_str(&rest[..length]);
                events.push(std::mem::take(&mut event));
                rest = &rest[length..];
            }
            event.push_str(rest);
        }
        events.push(event);
        events
    }

    #[test]
    fn an_event_ends_at_an_empty_line_with_any_line_end() {
        for eol in ["\n", "\r\n", "\r"] {
            let first = format!("data: a{eol}data: b{eol}{eol}");
            let second = format!(": c{eol}{eol}");
            let both = format!("{first}{second}rest");
            assert_eq!(
                events(&[&both]),
                [first.clone(), second.clone(), "rest".into()]
            );
            let bytes: Vec<String> = both.chars().map(String::from).collect();
            let bytes: Vec<&str> = bytes.iter().map(String::as_str).collect();
            assert_eq!(events(&bytes).concat(), both);
            assert_eq!(events(&bytes).len(), 3, "{eol:?}");
        }
    }

    #[test]
    fn a_split_line_end_is_one_line_end() {
        assert_eq!(
            events(&["data: a\r", "\ndata: b\r", "\n\r", "\ndata: c"]),
            ["data: a\r\ndata: b\r\n\r", "\ndata: c"]
        );
    }
}
