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
    let (mut chunk, mut fails) = (Chunk::default(), false);
    let mut previous = None;
    let is_object = visit_members(&payload, 0, |member| {
        let found = value(&payload, &member);
        match &*member.name {
            // Something in it; or vLLM's older `{"object":"error", …}`.
            "error" => {
                fails |= !matches!(found, b"null" | b"false" | b"\"\"" | b"{}" | b"[]");
            }
            "object" => fails |= found == b"\"error\"",
            "id" if wants_id => chunk.id = read_id(found),
            "usage" if found == b"null" => {
                let cut = with_comma(&payload, &member.whole, previous);
                chunk.null_usage = offset.map(|by| cut.start + by..cut.end + by);
            }
            "usage" => chunk.usage = read_usage(found),
            "choices" => read_choices(found, &mut chunk),
            _ => {}
        }
        previous = Some(member.whole.end);
    })
    .is_some();
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

fn read_id(text: &[u8]) -> Option<String> {
    let id = serde_json::from_slice::<String>(text).ok()?;
    super::members::is_identifier(id.as_bytes()).then_some(id)
}

/// A member with one of its commas; `previous` is the end of the member before it.
fn with_comma(text: &[u8], member: &Range<usize>, previous: Option<usize>) -> Range<usize> {
    let after = text.get(member.end..).unwrap_or_default();
    let next = after.trim_ascii_start().strip_prefix(b",");
    match (previous, next) {
        (Some(previous), _) => previous..member.end,
        (None, Some(next)) => member.start..text.len() - next.trim_ascii_start().len(),
        (None, None) => member.clone(),
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
