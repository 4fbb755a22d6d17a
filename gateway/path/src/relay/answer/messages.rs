//! Finds where a message ends, and reads what is metered, while its bytes pass.
//!
//! This is the only detector of ends. A message ends with its announced length, with the end of its body, or, for a
//! client, with a stream's final event. Each piece says which of these it is ([`Place`]). The findings do not depend on
//! how the upstream's bytes are cut.

use std::collections::VecDeque;

use bytes::Bytes;

use super::members::Members;
use super::piece::{Piece, Place};
use super::source::SourceEnd;
use super::stream::{EventStream, EventTooLong};
use super::usage::read_usage;
use crate::receipt::Interruption;
use crate::relay::UpstreamRefusal;
use crate::relay::head::Framing;
use gateway_base::metering::Usage;

/// The kind of the body, with what was read of it.
pub(super) enum Content {
    Events(EventStream),
    Json(Members),
    /// Unknown bytes: passed on, not metered.
    Opaque,
}

/// How complete an answer is that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) enum Completeness {
    Complete,
    /// The content is complete; the message around it is not.
    CompleteBadlyFramed,
    /// The message is complete; its content is not.
    Unfinished,
    /// It ended with a failure that the upstream reported in the stream.
    Failed(UpstreamRefusal),
}

/// One message.
pub(in crate::relay) struct Messages {
    /// With the bytes that are still to come from the upstream, if their number was announced.
    framing: Framing,
    content: Content,
    /// The first bytes have arrived.
    begun: bool,
    /// To be passed on.
    out: VecDeque<Piece>,
    /// Complete, or interrupted. Set once; it comes after what is in `out`.
    ended: Option<Result<(), Interruption>>,
    /// The content is complete; the message around it is not.
    badly_framed: bool,
}

impl Messages {
    pub(super) fn new(framing: Framing, content: Content) -> Self {
        let mut messages = Self {
            framing,
            content,
            begun: false,
            out: VecDeque::new(),
            ended: None,
            badly_framed: false,
        };
        messages.count(0);
        messages
    }

    /// A JSON message whose beginning `members` has read already.
    pub(super) fn begun(framing: Framing, members: Members, beginning: Vec<Bytes>) -> Self {
        let mut messages = Self::new(framing, Content::Json(members));
        for bytes in beginning {
            messages.begun = true;
            messages.pass(bytes);
        }
        messages
    }

    /// The next bytes from the upstream.
    pub(super) fn feed(&mut self, bytes: Bytes) {
        self.begun = true;
        match &mut self.content {
            Content::Events(events) => {
                let length = bytes.len();
                match events.feed(bytes, &mut self.out) {
                    Ok(()) => self.count(length),
                    Err(EventTooLong) => self.ended = Some(Err(Interruption::UpstreamClosed)),
                }
            }
            Content::Json(members) => {
                members.feed(&bytes);
                match members.reports_failure() {
                    true => self.ended = Some(Err(Interruption::UpstreamError)),
                    false => self.pass(bytes),
                }
            }
            Content::Opaque => self.pass(bytes),
        }
    }

    fn pass(&mut self, bytes: Bytes) {
        let length = bytes.len();
        let place = Place::Middle;
        self.out.push_back(Piece { bytes, place });
        self.count(length);
    }

    /// Once the announced length has arrived, the upstream's own end is not waited for: with keep-alive its connection
    /// stays open.
    fn count(&mut self, length: usize) {
        if let Framing::Length(left) = &mut self.framing {
            *left = left.saturating_sub(length as u64);
            if *left == 0 && self.ended.is_none() {
                self.finish();
            }
        }
    }

    /// The upstream's body has ended.
    pub(super) fn end(&mut self, how: SourceEnd) {
        // What is here of the last event is passed on, whatever the end; it may complete the content.
        self.finish();
        // An answer whose content is complete counts as complete, unless its length was announced.
        self.badly_framed =
            how == SourceEnd::Failed && self.is_content_complete() && !self.has_length();
        self.ended = Some(match how {
            SourceEnd::Closed if self.ends_properly() => Ok(()),
            SourceEnd::Failed if self.badly_framed => Ok(()),
            SourceEnd::Closed | SourceEnd::Failed => Err(Interruption::UpstreamClosed),
            SourceEnd::TimedOut => Err(Interruption::UpstreamStalled),
        });
    }

    fn finish(&mut self) {
        if let Content::Events(events) = &mut self.content {
            events.finish(&mut self.out);
        }
        self.ended = Some(Ok(()));
    }

    /// Whether the end of the body is that of the message. If its framing does not distinguish it from a failed
    /// connection, the content decides.
    fn ends_properly(&self) -> bool {
        match (self.framing, &self.content) {
            (Framing::Length(left), _) => left == 0,
            (Framing::Chunked, _) | (Framing::UntilClose, Content::Opaque) => true,
            (Framing::UntilClose, Content::Events(events)) if events.is_finished() => true,
            (Framing::UntilClose, _) => self.is_content_complete(),
        }
    }

    fn is_content_complete(&self) -> bool {
        match &self.content {
            Content::Events(events) => events.is_done() || events.failure().is_some(),
            Content::Json(members) => members.is_complete(),
            Content::Opaque => false,
        }
    }

    /// The next piece. `None` before more is fed, and after the end.
    pub(super) fn next(&mut self) -> Option<Piece> {
        let mut piece = self.out.pop_front()?;
        if self.out.is_empty() && self.ended == Some(Ok(())) {
            piece.place = Place::Last;
        }
        Some(piece)
    }

    /// How the message ended, after its last piece.
    pub(super) fn ended(&self) -> Option<Result<(), Interruption>> {
        self.ended
    }

    /// Whether a client can read a comment here.
    pub(super) fn takes_comment(&self) -> bool {
        matches!(&self.content, Content::Events(events) if events.is_between_events() && !events.is_done())
    }

    /// The bytes that are still to be passed on, if their number is announced to the client.
    pub(in crate::relay) fn remaining(&self) -> Option<u64> {
        let queued: usize = self.out.iter().map(|piece| piece.bytes.len()).sum();
        match self.framing {
            Framing::Length(left) if self.has_length() => Some(left + queued as u64),
            _ => None,
        }
    }

    /// Whether the length is announced to the client. Events may be removed from a stream.
    fn has_length(&self) -> bool {
        matches!(self.framing, Framing::Length(_)) && !matches!(self.content, Content::Events(_))
    }

    /// The answer's own id, for receipt lookup.
    pub(in crate::relay) fn id(&self) -> Option<&str> {
        match &self.content {
            Content::Events(events) => events.id(),
            Content::Json(members) => members.id(),
            Content::Opaque => None,
        }
    }

    pub(in crate::relay) fn usage(&self) -> Usage {
        match &self.content {
            Content::Events(events) => events.usage(),
            Content::Json(members) => members.usage().and_then(read_usage).unwrap_or_default(),
            Content::Opaque => Usage::default(),
        }
    }

    /// The usage, if the content is complete before anything is passed on, and reports it.
    pub(in crate::relay) fn usage_before_begin(&self) -> Option<Usage> {
        match &self.content {
            Content::Json(members) if members.is_complete() => members.usage().and_then(read_usage),
            _ => None,
        }
    }

    /// How complete it is, for an answer that has ended.
    pub(in crate::relay) fn completeness(&self) -> Completeness {
        if let Content::Events(events) = &self.content
            && let Some(failure) = events.failure()
        {
            return Completeness::Failed(failure);
        }
        let unfinished = match &self.content {
            Content::Events(events) => !events.is_done() && !events.is_finished(),
            Content::Json(members) => self.begun && !members.is_complete(),
            Content::Opaque => false,
        };
        match unfinished {
            _ if self.badly_framed => Completeness::CompleteBadlyFramed,
            true => Completeness::Unfinished,
            false => Completeness::Complete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CHUNK: &str =
        "data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
    const USAGE: &str =
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":4}}\n\n";

    #[derive(Clone, Copy, Debug)]
    enum Kind {
        Events { strip_usage: bool },
        Json,
        Opaque,
    }

    /// Everything that is found in a message.
    #[derive(Debug, PartialEq)]
    struct Findings {
        bytes: Vec<u8>,
        id: Option<String>,
        usage: Usage,
        completeness: Completeness,
    }

    struct Run {
        messages: Messages,
        pieces: Vec<Piece>,
    }

    impl Run {
        fn new(kind: Kind, framing: Framing) -> Self {
            let content = match kind {
                Kind::Events { strip_usage } => Content::Events(EventStream::new(strip_usage)),
                Kind::Json => Content::Json(Members::default()),
                Kind::Opaque => Content::Opaque,
            };
            Self {
                messages: Messages::new(framing, content),
                pieces: Vec::new(),
            }
        }

        fn feed(&mut self, bytes: &[u8]) {
            // As the reader does: nothing is read after the end.
            if !bytes.is_empty() && self.messages.ended().is_none() {
                self.messages.feed(Bytes::copy_from_slice(bytes));
            }
            self.pieces
                .extend(std::iter::from_fn(|| self.messages.next()));
        }

        fn finish(&mut self, how: SourceEnd) {
            if self.messages.ended().is_none() {
                self.messages.end(how);
            }
            self.feed(b"");
        }

        fn passed(&self, which: impl Fn(Place) -> bool) -> Vec<u8> {
            let pieces = self.pieces.iter().filter(|piece| which(piece.place));
            pieces.flat_map(|piece| piece.bytes.to_vec()).collect()
        }

        /// After a reported error only the error counts: the bytes around it are read or not, with the piece that it is in.
        fn findings(&self) -> Result<Findings, Interruption> {
            match self.messages.ended() {
                Some(Err(Interruption::UpstreamError)) => Err(Interruption::UpstreamError),
                _ => Ok(Findings {
                    bytes: self.passed(|_| true),
                    id: self.messages.id().map(str::to_owned),
                    usage: self.messages.usage(),
                    completeness: self.messages.completeness(),
                }),
            }
        }

        fn is_done(&self) -> bool {
            matches!(&self.messages.content, Content::Events(events) if events.is_done())
        }
    }

    fn kind() -> impl Strategy<Value = Kind> {
        prop_oneof![
            4 => any::<bool>().prop_map(|strip_usage| Kind::Events { strip_usage }),
            1 => Just(Kind::Json),
            1 => Just(Kind::Opaque),
        ]
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            3 => Just(CHUNK),
            1 => Just(USAGE),
            3 => prop_oneof![
                Just("data: [DONE]\n\n"),
                Just("data:[DONE]\r\n\r\n"),
                Just("id: 1\rdata:  [DONE] \r\r"),
                Just("data: [DONE]\n"),
            ],
            1 => Just("data: [DONE]x\n\n"),
            1 => Just(": a comment\r\n\r\n"),
            1 => Just("\n"),
            1 => Just("data: {\"error\":\"x\"}\n\n"),
            1 => Just("data: {\"usage\":null,\"choices\":[]}\n\n"),
            1 => Just("{\"id\":\"j\",\"usage\":{\"prompt_tokens\":1}"),
            1 => Just(",\"text\":\"data: [DONE]\\n\\n\"}"),
        ];
        prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn the_findings_do_not_depend_on_how_the_bytes_are_cut(
            kind in kind(),
            text in text(),
            framing in prop_oneof![Just(None), Just(Some(Framing::Chunked)), Just(Some(Framing::UntilClose))],
            how in prop_oneof![Just(SourceEnd::Closed), Just(SourceEnd::Failed), Just(SourceEnd::TimedOut)],
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let framing = framing.unwrap_or(Framing::Length(text.len() as u64));
            let mut whole = Run::new(kind, framing);
            whole.feed(&text);
            whole.finish(how);

            let mut cut = Run::new(kind, framing);
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            at.extend([0, text.len()]);
            at.sort_unstable();
            for pair in at.windows(2) {
                cut.feed(&text[pair[0]..pair[1]]);
                if let Some(remaining) = cut.messages.remaining() {
                    let passed = cut.passed(|_| true).len() as u64;
                    prop_assert_eq!(remaining + passed, text.len() as u64);
                }
            }
            cut.finish(how);
            prop_assert_eq!(whole.findings(), cut.findings());
            prop_assert_eq!(whole.messages.ended(), cut.messages.ended());

            // A reader of the pieces in the middle never finds the final event.
            let mut middle = Run::new(Kind::Events { strip_usage: false }, Framing::UntilClose);
            middle.feed(&cut.passed(|place| place == Place::Middle));
            let ends = cut.pieces.iter().any(|piece| piece.place != Place::Middle);
            prop_assert!(ends || !cut.is_done());
            let is_stream = matches!(kind, Kind::Events { .. });
            prop_assert!(!is_stream || !middle.is_done());
        }
    }

    #[test]
    fn each_end_is_found_with_the_last_piece_or_after_it() {
        let places = |kind, framing, texts: &[&str], how| {
            let mut run = Run::new(kind, framing);
            texts.iter().for_each(|text| run.feed(text.as_bytes()));
            run.finish(how);
            let places: Vec<Place> = run.pieces.iter().map(|piece| piece.place).collect();
            (places, run.messages.ended())
        };
        let events = Kind::Events { strip_usage: true };
        use Place::{Final, Last, Middle};
        use SourceEnd::{Closed, Failed, TimedOut};
        let length = |texts: &[&str]| Framing::Length(texts.concat().len() as u64);
        let json = ["{\"a\":", "1}"];
        let stream = [CHUNK, "data:[DO", "NE]\n\n"];
        let (whole, fault) = (Some(Ok(())), |fault| Some(Err(fault)));
        for (kind, framing, texts, how, expected, ended) in [
            (
                Kind::Json,
                length(&json),
                &json[..],
                Failed,
                vec![Middle, Last],
                whole,
            ),
            (
                Kind::Json,
                Framing::Chunked,
                &json,
                Closed,
                vec![Middle, Middle],
                whole,
            ),
            (
                Kind::Json,
                Framing::Chunked,
                &json[..1],
                Failed,
                vec![Middle],
                fault(Interruption::UpstreamClosed),
            ),
            (
                Kind::Json,
                Framing::UntilClose,
                &json[..1],
                Closed,
                vec![Middle],
                fault(Interruption::UpstreamClosed),
            ),
            (
                Kind::Opaque,
                Framing::UntilClose,
                &json,
                TimedOut,
                vec![Middle, Middle],
                fault(Interruption::UpstreamStalled),
            ),
            (
                events,
                length(&stream),
                &stream,
                Closed,
                vec![Middle, Last],
                whole,
            ),
            (
                events,
                Framing::Chunked,
                &stream,
                Closed,
                vec![Middle, Final],
                whole,
            ),
            (
                events,
                Framing::Chunked,
                &stream,
                TimedOut,
                vec![Middle, Final],
                fault(Interruption::UpstreamStalled),
            ),
            // The event that is removed after the final one does not hide it.
            (
                events,
                Framing::Chunked,
                &[
                    "data: [DONE]\n\n: x\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n: y\n\n",
                ],
                Closed,
                vec![Final, Final],
                whole,
            ),
            (
                events,
                Framing::Chunked,
                &["data: [DONE]"],
                Closed,
                vec![Last],
                whole,
            ),
            (
                events,
                Framing::Chunked,
                &[CHUNK, "data: {\"error\":\"x\"}\n\n"],
                Closed,
                vec![Middle, Middle],
                whole,
            ),
        ] {
            assert_eq!(
                places(kind, framing, texts, how),
                (expected, ended),
                "{texts:?} {framing:?} {how:?}"
            );
        }
    }
}
