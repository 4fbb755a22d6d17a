//! Reads server-sent events in passing: finds `data:` payloads whatever the chunking, and notices `[DONE]`.
//!
//! Lines end with LF, CR or CRLF (WHATWG HTML §9.2.6). No line is ever held: payload bytes go straight to the
//! member reader, and the few bytes that decide what a line is are kept in a fixed carry.

use super::members::Members;
use memchr::memchr2;

const FIELD: &[u8] = b"data:";
const DONE: &[u8] = b"[DONE]";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// This many bytes of `data:` have matched so far.
    Field(usize),
    /// In the payload, nothing but spaces yet.
    PayloadStart,
    /// In a payload that begins like `[DONE]`, with this many bytes matched.
    Sentinel(usize),
    /// In a JSON payload.
    Payload,
    /// A line of no interest.
    Skip,
}

/// Incremental reader of one event stream.
pub struct EventStream {
    line: Line,
    members: Members,
    done: bool,
}

impl Default for EventStream {
    fn default() -> Self {
        Self {
            line: Line::Field(0),
            members: Members::default(),
            done: false,
        }
    }
}

impl EventStream {
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// Whether the terminating `data: [DONE]` line has been seen.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Takes the next bytes of the stream.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let stop = memchr2(b'\n', b'\r', bytes);
            let (inside, rest) = bytes.split_at(stop.unwrap_or(bytes.len()));
            self.within_line(inside);
            if stop.is_some() {
                self.end_line();
            }
            bytes = rest.get(1..).unwrap_or_default();
        }
    }

    fn end_line(&mut self) {
        if self.line == Line::Sentinel(DONE.len()) {
            self.done = true;
        }
        self.line = Line::Field(0);
    }

    fn within_line(&mut self, mut bytes: &[u8]) {
        while let Some((first, rest)) = bytes.split_first() {
            match self.line {
                Line::Skip => return,
                Line::Payload => return self.members.feed(bytes),
                Line::Field(matched) => self.line = in_field(matched, *first),
                Line::PayloadStart if *first == b' ' => {}
                Line::PayloadStart if *first == b'[' => self.line = Line::Sentinel(1),
                Line::PayloadStart => {
                    self.line = Line::Payload;
                    self.members.restart();
                    continue;
                }
                Line::Sentinel(matched) => self.line = in_sentinel(matched, *first),
            }
            bytes = rest;
        }
    }
}

fn in_field(matched: usize, byte: u8) -> Line {
    if FIELD.get(matched) != Some(&byte) {
        Line::Skip
    } else if matched + 1 == FIELD.len() {
        Line::PayloadStart
    } else {
        Line::Field(matched + 1)
    }
}

fn in_sentinel(matched: usize, byte: u8) -> Line {
    match DONE.get(matched) {
        Some(expected) if *expected == byte => Line::Sentinel(matched + 1),
        None if byte == b' ' => Line::Sentinel(matched),
        _ => Line::Skip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stream: &str) -> (Option<String>, Option<String>, bool) {
        let mut events = EventStream::default();
        events.feed(stream.as_bytes());
        let usage = events
            .members()
            .usage()
            .map(|u| String::from_utf8_lossy(u).into_owned());
        (
            events.members().id().map(str::to_owned),
            usage,
            events.is_done(),
        )
    }

    #[test]
    fn id_of_the_first_event_and_usage_of_the_last_are_read_with_any_line_ending() {
        for eol in ["\n", "\r\n", "\r"] {
            let stream = [
                ": a comment",
                "",
                r#"data: {"id":"chatcmpl-1","choices":[],"usage":null}"#,
                "",
                r#"data:{"id":"chatcmpl-2","usage":{"prompt_tokens":1}}"#,
                "",
                r#"data: {"usage":{"prompt_tokens":2}}"#,
                "",
                "data: [DONE]",
                "",
                "",
            ]
            .join(eol);
            let expected = (
                Some("chatcmpl-1".to_owned()),
                Some(r#"{"prompt_tokens":2}"#.to_owned()),
                true,
            );
            assert_eq!(read(&stream), expected, "{eol:?}");
        }
    }

    #[test]
    fn only_a_whole_done_line_ends_a_stream() {
        for stream in [
            "data: [DONE]",
            "data: [DONE\n",
            "data: [DONE]x\n",
            "date: [DONE]\n",
            "event: data: [DONE]\n",
            r#"data: {"content":"\ndata: [DONE]\n"}"#,
            "data: [[DONE]]\n",
            "[DONE]\n",
        ] {
            assert!(!read(stream).2, "{stream}");
        }
        assert!(read("data:[DONE] \n").2);
    }

    #[test]
    fn an_event_cut_off_by_the_next_line_does_not_spill_into_it() {
        let (id, usage, _) = read("data: {\"a\":\"\n\ndata: {\"id\":\"b\"}\n\n");
        assert_eq!((id.as_deref(), usage), (Some("b"), None));
    }
}
