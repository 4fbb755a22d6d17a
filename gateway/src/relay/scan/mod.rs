//! Metering in passing: the response id and the token counts are read from bytes on their way to the client.
//!
//! Nothing is held back or altered for it, and its memory is bounded whatever the upstream sends. What it reports
//! are two numbers and an identifier; no other part of a response leaves this module.

mod members;
mod sse;

use members::Members;
use serde::Deserialize;
use sse::EventStream;

/// Token counts as the upstream reported them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Usage {
    #[serde(default)]
    pub prompt_tokens: Option<u64>,
    #[serde(default)]
    pub completion_tokens: Option<u64>,
}

/// What a response's media type lets us read from it.
pub enum Scanner {
    EventStream(EventStream),
    Json(Members),
    /// Bytes we do not understand: relayed, not metered.
    Opaque,
}

impl Scanner {
    /// Chooses by media type; parameters and letter case do not matter.
    pub fn for_content_type(content_type: Option<&str>) -> Self {
        let essence = content_type
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default()
            .trim();
        if essence.eq_ignore_ascii_case("text/event-stream") {
            Scanner::EventStream(EventStream::default())
        } else if essence.eq_ignore_ascii_case("application/json") {
            Scanner::Json(Members::default())
        } else {
            Scanner::Opaque
        }
    }

    /// Takes the next bytes of the response.
    pub fn feed(&mut self, bytes: &[u8]) {
        match self {
            Scanner::EventStream(events) => events.feed(bytes),
            Scanner::Json(members) => members.feed(bytes),
            Scanner::Opaque => {}
        }
    }

    /// Whether the stream has said `[DONE]`: a client may stop reading here.
    pub fn said_done(&self) -> bool {
        matches!(self, Scanner::EventStream(events) if events.is_done())
    }

    /// Whether the content itself shows that it is whole. `None` where content cannot tell.
    pub fn looks_whole(&self) -> Option<bool> {
        match self {
            Scanner::EventStream(events) => Some(events.is_done()),
            Scanner::Json(members) => Some(members.is_complete()),
            Scanner::Opaque => None,
        }
    }

    /// The response's own id, for receipt lookup.
    pub fn id(&self) -> Option<&str> {
        self.members()?.id()
    }

    /// The token counts, if the response carried them.
    pub fn usage(&self) -> Usage {
        let found = self.members().and_then(Members::usage);
        found
            .and_then(|bytes| serde_json::from_slice(bytes).ok())
            .unwrap_or_default()
    }

    fn members(&self) -> Option<&Members> {
        match self {
            Scanner::EventStream(events) => Some(events.members()),
            Scanner::Json(members) => Some(members),
            Scanner::Opaque => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(content_type: &str, pieces: &[&[u8]]) -> (Option<String>, Usage, Option<bool>) {
        let mut scanner = Scanner::for_content_type(Some(content_type));
        pieces.iter().for_each(|piece| scanner.feed(piece));
        (
            scanner.id().map(str::to_owned),
            scanner.usage(),
            scanner.looks_whole(),
        )
    }

    fn cut<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
    }

    fn json_value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i32>().prop_map(Into::into),
            ".{0,12}".prop_map(serde_json::Value::String),
            Just(serde_json::json!(
                "\"id\":\"spoof\",\"usage\":{\"prompt_tokens\":7}"
            )),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::Array),
                prop::collection::btree_map("id|usage|[a-z\"\\\\{}]{0,6}", inner, 0..4)
                    .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    fn response() -> impl Strategy<Value = (serde_json::Value, Usage)> {
        let extras = prop::collection::btree_map("[a-z\"\\\\]{1,8}", json_value(), 0..5);
        (extras, any::<u32>(), any::<u32>()).prop_map(|(extras, prompt, completion)| {
            let mut object: serde_json::Map<_, _> = extras
                .into_iter()
                .filter(|(key, _)| key != "id" && key != "usage")
                .collect();
            object.insert("id".to_owned(), "chatcmpl-42".into());
            object.insert(
                "usage".to_owned(),
                serde_json::json!({"prompt_tokens": prompt, "completion_tokens": completion}),
            );
            let usage = Usage {
                prompt_tokens: Some(prompt.into()),
                completion_tokens: Some(completion.into()),
            };
            (object.into(), usage)
        })
    }

    proptest! {
        #[test]
        fn a_json_response_reads_the_same_however_it_is_cut(
            (value, usage) in response(),
            cuts in prop::collection::vec(any::<usize>(), 0..12),
        ) {
            let bytes = serde_json::to_vec(&value).unwrap();
            let found = read("Application/JSON; charset=utf-8", &cut(&bytes, &cuts));
            prop_assert_eq!(found, (Some("chatcmpl-42".to_owned()), usage, Some(true)));
        }

        #[test]
        fn an_event_stream_reads_the_same_however_it_is_cut(
            (value, usage) in response(),
            cuts in prop::collection::vec(any::<usize>(), 0..12),
        ) {
            let stream = format!(": hi\r\n\r\ndata: {{\"id\":\"chatcmpl-1\",\"usage\":null}}\n\ndata: {value}\n\ndata: [DONE]\n\n");
            let found = read("text/event-stream", &cut(stream.as_bytes(), &cuts));
            prop_assert_eq!(found, (Some("chatcmpl-1".to_owned()), usage, Some(true)));
        }

        #[test]
        fn arbitrary_bytes_read_the_same_however_they_are_cut_and_never_panic(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'"'), Just(b'{'), Just(b'}'), Just(b'\n'), Just(b'\\')], 0..400),
            cuts in prop::collection::vec(any::<usize>(), 0..12),
        ) {
            for kind in ["application/json", "text/event-stream"] {
                prop_assert_eq!(read(kind, &[&bytes]), read(kind, &cut(&bytes, &cuts)));
            }
        }
    }

    #[test]
    fn a_media_type_we_do_not_know_is_not_read() {
        assert_eq!(
            read("text/plain", &[br#"{"id":"a"}"#]),
            (None, Usage::default(), None)
        );
    }
}
