//! Passes the events of a streamed answer on.
//!
//! An event is passed on when it is complete, unchanged except that usage which only we requested is removed, and an
//! upstream's error is replaced by ours.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::boundary::Boundary;
use super::event::{self, Chunk, EventContent};
use super::piece::{Piece, Place};
use crate::relay::UpstreamRefusal;
use gateway_base::metering::{TokenDetails, TokenSource, Usage};

/// A longer event is not passed on. Images come as single events of some megabytes.
const MAX_EVENT: usize = 16 * 1024 * 1024;

/// An event is longer than [`MAX_EVENT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventTooLong;

/// A stream so far.
#[derive(Default)]
pub(super) struct EventStream {
    boundary: Boundary,
    /// The beginning of an event that is not complete yet.
    held: BytesMut,
    /// Only we requested usage: it is removed.
    strip_usage: bool,
    id: Option<String>,
    usage: Option<Usage>,
    pieces: u64,
    done: bool,
    finished: bool,
    failure: Option<UpstreamRefusal>,
    /// The last event was passed on. Then the second half of its split line end is, too.
    kept: bool,
}

/// What is done with an event.
enum EventAction {
    PassOn,
    Cut(std::ops::Range<usize>),
    Drop,
    Replace(Bytes),
}

impl EventStream {
    pub(super) fn new(strip_usage: bool) -> Self {
        Self {
            strip_usage,
            ..Self::default()
        }
    }

    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(super) fn usage(&self) -> Usage {
        let counted = || Usage {
            prompt_tokens: None,
            completion_tokens: (self.pieces > 0).then_some(self.pieces),
            details: TokenDetails::default(),
            source: TokenSource::Events,
        };
        self.usage.unwrap_or_else(counted)
    }

    /// `data: [DONE]` has arrived: a client may stop reading.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// A choice has a `finish_reason`.
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// The failure that the upstream reported in the stream.
    pub(super) fn failure(&self) -> Option<UpstreamRefusal> {
        self.failure
    }

    /// Whether a comment may be inserted here.
    pub(super) fn is_between_events(&self) -> bool {
        self.held.is_empty()
    }

    /// Reads the next bytes, and adds what is passed on to `out`.
    pub(super) fn feed(
        &mut self,
        mut bytes: Bytes,
        out: &mut VecDeque<Piece>,
    ) -> Result<(), EventTooLong> {
        if !self.held.is_empty() {
            let end = self.boundary.next(&bytes);
            let rest = bytes.split_off(end.unwrap_or(bytes.len()));
            self.hold(&bytes)?;
            if end.is_none() {
                return Ok(());
            }
            let event = std::mem::take(&mut self.held).freeze();
            self.pass(event, out);
            bytes = rest;
        }
        if self.held.is_empty() && self.boundary.ends_line_before(&bytes) {
            let rest = bytes.split_to(1);
            if self.kept {
                self.push(rest, out);
            }
        }
        // Consecutive unchanged events are passed on as one piece.
        let (mut unchanged, mut at) = (0, 0);
        while let Some(length) = self.boundary.next(bytes.get(at..).unwrap_or_default()) {
            let event = bytes.slice(at..at + length);
            let action = self.decide(&event);
            if !matches!(action, EventAction::PassOn) {
                self.push(bytes.slice(unchanged..at), out);
                self.apply(action, event, out);
                unchanged = at + length;
            }
            at += length;
        }
        self.push(bytes.slice(unchanged..at), out);
        self.hold(bytes.get(at..).unwrap_or_default())
    }

    /// The stream has ended. An incomplete last event is passed on, too.
    pub(super) fn finish(&mut self, out: &mut VecDeque<Piece>) {
        let rest = std::mem::take(&mut self.held).freeze();
        if !rest.is_empty() {
            self.pass(rest, out);
        }
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), EventTooLong> {
        if self.held.len() + bytes.len() > MAX_EVENT {
            return Err(EventTooLong);
        }
        self.held.extend_from_slice(bytes);
        Ok(())
    }

    fn pass(&mut self, event: Bytes, out: &mut VecDeque<Piece>) {
        let action = self.decide(&event);
        self.apply(action, event, out);
    }

    fn decide(&mut self, event: &[u8]) -> EventAction {
        let action = self.read(event);
        // If a CRLF is split between two pieces, its LF comes with the next one. It is passed on only if its event was.
        self.kept = matches!(action, EventAction::PassOn | EventAction::Cut(_));
        action
    }

    fn read(&mut self, event: &[u8]) -> EventAction {
        match event::read(event, self.id.is_none()) {
            EventContent::Done => {
                // Also after a failure: clients wait for this event.
                self.done = true;
                EventAction::PassOn
            }
            // After a failure only the end is passed on.
            _ if self.failure.is_some() => EventAction::Drop,
            EventContent::Ignored => EventAction::PassOn,
            EventContent::Failure(payload) => {
                let failure = UpstreamRefusal::inside_success(&payload);
                self.failure = Some(failure);
                EventAction::Replace(failure.event())
            }
            EventContent::Chunk(chunk) => self.chunk(chunk),
        }
    }

    fn chunk(&mut self, chunk: Chunk) -> EventAction {
        self.pieces += chunk.pieces;
        self.finished |= chunk.finishes;
        if self.id.is_none() {
            self.id = chunk.id;
        }
        let has_usage = chunk.usage.is_some();
        self.usage = chunk.usage.or(self.usage);
        match (self.strip_usage, chunk.null_usage) {
            (true, _) if has_usage && chunk.no_choices => EventAction::Drop,
            (true, Some(range)) => EventAction::Cut(range),
            _ => EventAction::PassOn,
        }
    }

    fn apply(&self, action: EventAction, event: Bytes, out: &mut VecDeque<Piece>) {
        match action {
            EventAction::PassOn => self.push(event, out),
            EventAction::Cut(range) => {
                let mut kept = BytesMut::with_capacity(event.len());
                kept.extend_from_slice(event.get(..range.start).unwrap_or_default());
                kept.extend_from_slice(event.get(range.end..).unwrap_or_default());
                self.push(kept.freeze(), out);
            }
            EventAction::Replace(ours) => self.push(ours, out),
            EventAction::Drop => {}
        }
    }

    /// `bytes` contain the final event, or follow it, exactly if it has been read.
    fn push(&self, bytes: Bytes, out: &mut VecDeque<Piece>) {
        if !bytes.is_empty() {
            let place = match self.done {
                true => Place::Final,
                false => Place::Middle,
            };
            out.push_back(Piece { bytes, place });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CHUNK: &str =
        "data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    const LAST: &str =
        "data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    const USAGE: &str =
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":4.0}}\n\n";
    const DONE: &str = "data: [DONE]\n\n";

    fn through(mut stream: EventStream, pieces: &[&[u8]]) -> (EventStream, String) {
        let mut out = VecDeque::new();
        for piece in pieces {
            stream
                .feed(Bytes::copy_from_slice(piece), &mut out)
                .expect("no event is too long");
        }
        stream.finish(&mut out);
        let out: Vec<u8> = out.into_iter().flat_map(|piece| piece.bytes).collect();
        (stream, String::from_utf8(out).expect("UTF-8"))
    }

    fn whole(stream: EventStream, text: &str) -> (EventStream, String) {
        through(stream, &[text.as_bytes()])
    }

    #[test]
    fn passes_a_stream_on_unchanged_and_reads_it() {
        let text = format!(": hi\n\n{CHUNK}{LAST}{USAGE}{DONE}");
        let (read, out) = whole(EventStream::new(false), &text);
        assert_eq!(out, text);
        assert_eq!(read.id(), Some("chatcmpl-1"));
        let usage = Usage {
            prompt_tokens: Some(7),
            completion_tokens: Some(4),
            details: TokenDetails::default(),
            source: TokenSource::Reported,
        };
        assert_eq!(read.usage(), usage);
        assert!(read.is_done() && read.is_finished() && read.failure().is_none());
    }

    #[test]
    fn removes_usage_that_only_we_requested() {
        let with_null = CHUNK.replace("]}\n", "],\"usage\":null}\n");
        let first = CHUNK.replace("{\"id\"", "{\"usage\": null, \"id\"");
        let asked = format!("{with_null}{first}{LAST}{USAGE}{DONE}");
        let (read, out) = whole(EventStream::new(true), &asked);
        assert_eq!(out, format!("{CHUNK}{CHUNK}{LAST}{DONE}"));
        assert_eq!(read.usage().prompt_tokens, Some(7));
        // Some engines always add usage to an event with choices. It is kept.
        let habit = LAST.replace("]}\n", "],\"usage\":{\"prompt_tokens\":1}}\n");
        assert_eq!(whole(EventStream::new(true), &habit).1, habit);
    }

    #[test]
    fn counts_events_of_a_stream_without_usage() {
        let role =
            "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
        let text = "data: {\"choices\":[{\"text\":\"a\"}]}\n\n";
        let (read, _) = whole(
            EventStream::new(false),
            &format!("{role}{CHUNK}{CHUNK}{text}{LAST}{DONE}"),
        );
        assert_eq!(read.usage().completion_tokens, Some(3));
        assert_eq!(read.usage().source, TokenSource::Events);
    }

    #[test]
    fn reads_events_of_several_lines() {
        let usage = "data: {\"choices\":[],\ndata: \"usage\":{\"prompt_tokens\":7,\r\ndata: \"completion_tokens\":4}}\n\n";
        let (read, out) = whole(EventStream::new(false), usage);
        assert_eq!((out.as_str(), read.usage().prompt_tokens), (usage, Some(7)));
    }

    #[test]
    fn replaces_a_failure_reported_in_the_stream() {
        for failure in [
            "data: {\"error\":{\"message\":\"canary\",\"code\":500}}\n\n",
            "data: {\"error\":\"canary\"}\n\n",
            "data: {\"choices\":[],\"error\":{\"message\":\"canary\"}}\n\n",
            "data: {\"object\":\"error\",\"message\":\"canary\",\"code\":500}\n\n",
            "data: {\"err\\u006fr\":{\"message\":\"canary\"}}\n\n",
            "data: {\ndata: \"error\": {\"message\":\"canary\"}}\n\n",
            "event: error\ndata: {\"message\":\"canary\"}\n\n",
            "error: {\"message\":\"canary\"}\n\n",
            "data: canary said the engine\n\n",
            "data: {\"error\":{\"message\":\"canary",
        ] {
            let text = format!("{CHUNK}{failure}{CHUNK}{DONE}");
            let (read, out) = whole(EventStream::new(false), &text);
            assert!(!out.contains("canary"), "{failure}: {out}");
            assert!(out.starts_with(CHUNK), "{out}");
            let ours = out.strip_prefix(CHUNK).expect("the chunk");
            let ours = ours.strip_suffix(DONE).unwrap_or(ours);
            let ours = ours.strip_prefix("data: ").expect("an event");
            let error: serde_json::Value = serde_json::from_str(ours).expect("JSON");
            assert_eq!(error["error"]["code"], "upstream_failed", "{failure}");
            assert!(read.failure().is_some());
        }
        for accepted in [
            "data: {\"error\":null,\"choices\":[]}\n\n",
            "data: {\"choices\":[{\"delta\":{\"content\":\"\\\"error\\\":{}\"}}]}\n\n",
            "event: message\ndata: {}\n\n",
            "data:\n\n",
        ] {
            assert_eq!(whole(EventStream::new(false), accepted).1, accepted);
        }
    }

    #[test]
    fn recognises_the_end_without_its_line_end() {
        assert!(whole(EventStream::new(false), "data: [DONE]").0.is_done());
        for text in ["data: [DONE", "data: [DONE]x\n\n", "[DONE]\n\n"] {
            assert!(!whole(EventStream::new(false), text).0.is_done(), "{text}");
        }
    }

    #[test]
    fn rejects_an_event_that_is_too_long() {
        let mut stream = EventStream::new(false);
        let piece = Bytes::from(vec![b'x'; 1 << 20]);
        let mut out = VecDeque::new();
        let refused = (0..17).find_map(|_| stream.feed(piece.clone(), &mut out).err());
        assert_eq!((refused, out.len()), (Some(EventTooLong), 0));
    }

    proptest! {
        #[test]
        fn the_result_does_not_depend_on_the_pieces(
            parts in prop::collection::vec(
                prop_oneof![
                    Just(CHUNK), Just(LAST), Just(USAGE), Just(DONE), Just(": c\r\n\r\n"), Just("\n"),
                    Just("data: {\"error\":\"x\"}\n\n"), Just("data: {\"usage\":null}\r\r"),
                ],
                0..8,
            ),
            cuts in prop::collection::vec(any::<usize>(), 0..12),
        ) {
            let text = parts.concat().into_bytes();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
            at.extend([0, text.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            for strip in [false, true] {
                let (one, out) = through(EventStream::new(strip), &[&text]);
                let (many, same) = through(EventStream::new(strip), &pieces);
                prop_assert_eq!(out, same);
                prop_assert_eq!(one.usage(), many.usage());
                prop_assert_eq!(one.is_done(), many.is_done());
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b':'), Just(b'{'), Just(b'"')], 0..300),
        ) {
            let mut out = VecDeque::new();
            let mut stream = EventStream::new(true);
            prop_assert_eq!(stream.feed(Bytes::from(bytes), &mut out), Ok(()));
            stream.finish(&mut out);
        }
    }
}
