//! Reads one event of a stream.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;

use super::usage::read_usage;
use crate::relay::object_spans::{MemberSpan, visit_elements, visit_members};
use gateway_base::metering::Usage;

/// The content of an event, as far as clients and metering need it.
pub(super) enum EventContent<'a> {
    /// Comments, and events that are not read.
    Ignored,
    /// `data: [DONE]`
    Done,
    /// The upstream reports a failure, in this payload.
    Failure(Cow<'a, [u8]>),
    Chunk(Chunk),
}

/// A piece of an answer.
#[derive(Default)]
pub(super) struct Chunk {
    pub id: Option<String>,
    pub usage: Option<Usage>,
    /// `choices` is there and empty.
    pub no_choices: bool,
    /// How many of its choices contain text or a tool call.
    pub pieces: u64,
    pub finishes: bool,
    /// The position of `"usage":null` in the event, with its comma.
    pub null_usage: Option<Range<usize>>,
}

/// Reads one event, its empty line included. Its id is read if it is wanted.
pub(super) fn read(event: &[u8], wants_id: bool) -> EventContent<'_> {
    let mut payload: Option<(Cow<'_, [u8]>, usize)> = None;
    let mut single = true;
    for (start, line) in lines(event) {
        if let Some(rest) = line.strip_prefix(b"data:") {
            let value = rest.strip_prefix(b" ").unwrap_or(rest);
            let offset = start + line.len() - value.len();
            match &mut payload {
                None => payload = Some((Cow::Borrowed(value), offset)),
                Some((so_far, _)) => {
                    single = false;
                    let so_far = so_far.to_mut();
                    so_far.push(b'\n');
                    so_far.extend_from_slice(value);
                }
            }
        } else if line.starts_with(b"error:") || is_error_event(line) {
            // Old versions of llama.cpp have a field of this name; others use it as the event's name.
            return EventContent::Failure(Cow::Borrowed(after_name(event)));
        }
    }
    let Some((payload, offset)) = payload else {
        return EventContent::Ignored;
    };
    match payload.trim_ascii() {
        b"" => EventContent::Ignored,
        b"[DONE]" => EventContent::Done,
        _ => read_payload(payload, single.then_some(offset), wants_id),
    }
}

fn is_error_event(line: &[u8]) -> bool {
    line.strip_prefix(b"event:")
        .is_some_and(|name| name.trim_ascii() == b"error")
}

/// The rest of an event that is an error by its name: its first JSON object, or all of it.
fn after_name(event: &[u8]) -> &[u8] {
    let brace = memchr::memchr(b'{', event).unwrap_or_default();
    event.get(brace..).unwrap_or_default()
}

/// Each line with its position, without the line end.
fn lines(event: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = event.get(at..).filter(|rest| !rest.is_empty())?;
        let length = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let start = at;
        at += length + 1;
        Some((start, rest.get(..length).unwrap_or_default()))
    })
}

/// `offset` is the position of the payload in the event, if it is in one piece.
fn read_payload(payload: Cow<'_, [u8]>, offset: Option<usize>, wants_id: bool) -> EventContent<'_> {
    let mut reader = ChunkReader::new(&payload, offset, wants_id);
    let is_object = visit_members(&payload, 0, |member| reader.read(&member)).is_some();
    let (chunk, fails) = (reader.chunk, reader.fails);
    match (is_object, fails) {
        (true, false) => EventContent::Chunk(chunk),
        (true, true) => EventContent::Failure(payload),
        // Text instead of JSON, or malformed JSON that may be an error: no client can use either.
        (false, _) if !is_json(&payload) || memmem::find(&payload, b"\"error\"").is_some() => {
            EventContent::Failure(payload)
        }
        (false, _) => EventContent::Ignored,
    }
}

fn is_json(payload: &[u8]) -> bool {
    let trimmed = payload.trim_ascii();
    matches!(trimmed, b"null" | b"true" | b"false")
        || trimmed.first().is_some_and(|first| {
            matches!(first, b'{' | b'[' | b'"' | b'-') || first.is_ascii_digit()
        })
}

/// Reads the members of a chunk in one pass.
struct ChunkReader<'a> {
    text: &'a [u8],
    /// The position of the text in its event.
    offset: Option<usize>,
    wants_id: bool,
    chunk: Chunk,
    /// `{"error": …}` with something in it, or vLLM's older `{"object":"error", …}`.
    fails: bool,
    /// Where the last member ends.
    previous: Option<usize>,
    /// `"usage":null` is the first member: it is cut up to the next one.
    leads: bool,
}

impl<'a> ChunkReader<'a> {
    fn new(text: &'a [u8], offset: Option<usize>, wants_id: bool) -> Self {
        Self {
            text,
            offset,
            wants_id,
            chunk: Chunk::default(),
            fails: false,
            previous: None,
            leads: false,
        }
    }

    fn read(&mut self, member: &MemberSpan<'_>) {
        let found = value(self.text, member);
        if std::mem::take(&mut self.leads)
            && let (Some(cut), Some(offset)) = (&mut self.chunk.null_usage, self.offset)
        {
            cut.end = member.whole.start + offset;
        }
        match &*member.name {
            "error" => {
                self.fails |= !matches!(found, b"null" | b"false" | b"\"\"" | b"{}" | b"[]");
            }
            "object" => self.fails |= found == b"\"error\"",
            "id" if self.wants_id => {
                self.chunk.id = serde_json::from_slice::<String>(found)
                    .ok()
                    .filter(|id| super::members::is_identifier(id.as_bytes()));
            }
            "usage" if found == b"null" => {
                let start = self.previous.unwrap_or(member.whole.start);
                self.leads = self.previous.is_none();
                self.chunk.null_usage = self
                    .offset
                    .map(|offset| start + offset..member.whole.end + offset);
            }
            "usage" => self.chunk.usage = read_usage(found),
            "choices" => read_choices(found, &mut self.chunk),
            _ => {}
        }
        self.previous = Some(member.whole.end);
    }
}

fn value<'a>(text: &'a [u8], member: &MemberSpan<'_>) -> &'a [u8] {
    text.get(member.value.clone()).unwrap_or_default()
}

fn read_choices(text: &[u8], chunk: &mut Chunk) {
    let (mut count, mut pieces, mut finishes) = (0, 0, false);
    let read = visit_elements(text, |choice| {
        let mut has_content = false;
        visit_members(choice, 0, |member| {
            let found = value(choice, &member);
            match &*member.name {
                _ if found == b"null" => {}
                "finish_reason" => finishes = true,
                "text" => has_content |= found != b"\"\"",
                "delta" => has_content |= carries_something(found),
                _ => {}
            }
        })?;
        count += 1;
        pieces += u64::from(has_content);
        Some(())
    });
    if read.is_some() {
        chunk.no_choices = count == 0;
        chunk.pieces += pieces;
        chunk.finishes |= finishes;
    }
}

/// Whether a delta contains more than a role.
fn carries_something(delta: &[u8]) -> bool {
    let mut carries = false;
    let read = visit_members(delta, 0, |member| {
        let found = value(delta, &member);
        carries |= member.name != "role" && !matches!(found, b"null" | b"\"\"" | b"[]");
    });
    carries && read.is_some()
}
