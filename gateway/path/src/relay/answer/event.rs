//! Reads one event of a stream.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::usage::read_usage;
use crate::relay::object_spans::{MemberSpan, ObjectSpans, object_spans};
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

/// Reads one event, its empty line included.
pub(super) fn read(event: &[u8]) -> EventContent<'_> {
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
        _ => read_payload(payload, single.then_some(offset)),
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
fn read_payload(payload: Cow<'_, [u8]>, offset: Option<usize>) -> EventContent<'_> {
    let trimmed = payload.trim_ascii();
    let is_json = matches!(trimmed, b"null" | b"true" | b"false")
        || trimmed.first().is_some_and(|first| {
            matches!(first, b'{' | b'[' | b'"' | b'-') || first.is_ascii_digit()
        });
    let chunk = object_spans(&payload, 0).map(|object| {
        let fails = reports_failure(&payload, &object);
        (!fails).then(|| read_chunk(&payload, &object, offset))
    });
    match chunk {
        Some(Some(chunk)) => EventContent::Chunk(chunk),
        Some(None) => EventContent::Failure(payload),
        // Text instead of JSON, or malformed JSON that may be an error: no client can use either.
        None if !is_json || memmem::find(&payload, b"\"error\"").is_some() => {
            EventContent::Failure(payload)
        }
        None => EventContent::Ignored,
    }
}

/// `{"error": …}` with something in it, or vLLM's older `{"object":"error", …}`.
fn reports_failure(text: &[u8], object: &ObjectSpans<'_>) -> bool {
    object
        .members
        .iter()
        .any(|member| match (&*member.name, value(text, member)) {
            ("error", found) => !matches!(found, b"null" | b"false" | b"\"\"" | b"{}" | b"[]"),
            ("object", found) => found == b"\"error\"",
            _ => false,
        })
}

fn value<'a>(text: &'a [u8], member: &MemberSpan<'_>) -> &'a [u8] {
    text.get(member.value.clone()).unwrap_or_default()
}

fn read_chunk(text: &[u8], object: &ObjectSpans<'_>, offset: Option<usize>) -> Chunk {
    let mut chunk = Chunk::default();
    for (index, member) in object.members.iter().enumerate() {
        let found = value(text, member);
        match &*member.name {
            "id" => {
                chunk.id = serde_json::from_slice::<String>(found)
                    .ok()
                    .filter(|id| super::members::is_identifier(id.as_bytes()));
            }
            "usage" if found == b"null" => {
                chunk.null_usage = offset.map(|offset| shifted(cut(object, index), offset));
            }
            "usage" => chunk.usage = read_usage(found),
            "choices" => read_choices(found, &mut chunk),
            _ => {}
        }
    }
    chunk
}

/// A member with one of its commas.
fn cut(object: &ObjectSpans<'_>, index: usize) -> Range<usize> {
    let span = |index: usize| object.members.get(index).map(|member| member.whole.clone());
    let own = span(index).unwrap_or_default();
    let before = index.checked_sub(1).and_then(span);
    match (before, span(index + 1)) {
        (Some(before), _) => before.end..own.end,
        (None, Some(after)) => own.start..after.start,
        (None, None) => own,
    }
}

fn shifted(range: Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    finish_reason: Option<&'a RawValue>,
}

fn read_choices(text: &[u8], chunk: &mut Chunk) {
    let Ok(choices) = serde_json::from_slice::<Vec<Choice<'_>>>(text) else {
        return;
    };
    chunk.no_choices = choices.is_empty();
    for choice in &choices {
        chunk.finishes |= choice.finish_reason.is_some();
        let has_text = choice.text.is_some_and(|text| text.get() != "\"\"");
        if has_text || choice.delta.is_some_and(carries_something) {
            chunk.pieces += 1;
        }
    }
}

/// Whether a delta contains more than a role.
fn carries_something(delta: &RawValue) -> bool {
    let text = delta.get().as_bytes();
    object_spans(text, 0).is_some_and(|object| {
        object.members.iter().any(|member| {
            member.name != "role" && !matches!(value(text, member), b"null" | b"\"\"" | b"[]")
        })
    })
}
