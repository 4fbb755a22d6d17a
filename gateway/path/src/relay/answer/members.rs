//! Reads a few top-level members (`id`, `usage`, and whether there is an error) from a JSON object while it is passed on.
//!
//! It sees each byte once, in pieces of any size, and stores at most the two captured values. It follows strings and
//! nesting exactly, so text that a model writes *inside* a string or a nested object is never taken for the response's own
//! `id` or `usage`. Members that it cannot read (an escaped key, a value that is too long) are left out; it never fails,
//! since a response is passed on whether or not it can be metered.

use memchr::memchr2;

/// The longest response id that is captured. Common ids have about forty bytes.
pub const MAX_ID: usize = 128;
/// The longest `usage` object captured.
pub const MAX_USAGE: usize = 4096;
/// Room for a common id, and for a common `usage` object, so that the memory does not grow in steps.
const COMMON_ID: usize = 64;
const COMMON_USAGE: usize = 128;
/// The keys of interest are shorter than this; a longer key cannot be one of them.
const MAX_KEY: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// At depth one: the next string is a member's name.
    Name,
    /// At depth one: the member's value comes next.
    Value,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum InString {
    Name,
    /// The value of a top-level `id`.
    Id,
    /// The value of a top-level `error`.
    Error,
    /// The value of a top-level `object`.
    Object,
    /// Any other string.
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Member {
    Id,
    Usage,
    Error,
    Object,
    Other,
}

/// Incremental reader of one JSON value.
pub struct Members {
    depth: u32,
    opened_with_brace: bool,
    string: Option<InString>,
    escaped: bool,
    expect: Expect,
    member: Member,
    name: [u8; MAX_KEY],
    name_len: usize,
    complete: bool,
    capturing_usage: bool,
    pending: Vec<u8>,
    id: Option<String>,
    usage: Option<Vec<u8>>,
    reports_failure: bool,
}

impl Default for Members {
    fn default() -> Self {
        Self {
            depth: 0,
            opened_with_brace: false,
            string: None,
            escaped: false,
            expect: Expect::Name,
            member: Member::Other,
            name: [0; MAX_KEY],
            name_len: 0,
            complete: false,
            capturing_usage: false,
            pending: Vec::new(),
            id: None,
            usage: None,
            reports_failure: false,
        }
    }
}

impl Members {
    /// The first top-level `id` seen, if it looks like an identifier.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The exact bytes of the latest top-level `usage` object.
    pub fn usage(&self) -> Option<&[u8]> {
        self.usage.as_deref()
    }

    /// Whether there is a non-empty top-level `error`, or the object is an error (vLLM's older form).
    pub fn reports_failure(&self) -> bool {
        self.reports_failure
    }

    /// Whether the current value's brackets have all been closed.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Reads the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            at += match self.string {
                Some(kind) => self.in_string(kind, rest),
                None => self.outside(rest),
            };
        }
    }

    /// Consumes bytes of a string up to its end, its next escape, or the end of this piece.
    fn in_string(&mut self, kind: InString, rest: &[u8]) -> usize {
        if self.escaped {
            self.escaped = false;
            self.collect(kind, rest.get(..1).unwrap_or_default());
            return 1;
        }
        let Some(stop) = memchr2(b'"', b'\\', rest) else {
            self.collect(kind, rest);
            return rest.len();
        };
        let (inside, closing) = rest.split_at(stop);
        self.collect(kind, inside);
        if closing.first() == Some(&b'\\') {
            self.escaped = true;
            self.collect(kind, b"\\");
        } else {
            self.string = None;
            if self.capturing_usage {
                self.capture(b"\"");
            }
            self.close_string(kind);
        }
        stop + 1
    }

    fn close_string(&mut self, kind: InString) {
        match kind {
            InString::Name => {
                self.member = match self.name.get(..self.name_len) {
                    Some(b"id") => Member::Id,
                    Some(b"usage") => Member::Usage,
                    Some(b"error") => Member::Error,
                    Some(b"object") => Member::Object,
                    _ => Member::Other,
                };
            }
            InString::Id => {
                let found = std::mem::take(&mut self.pending);
                if self.id.is_none() && is_identifier(&found) {
                    self.id = String::from_utf8(found).ok();
                }
            }
            InString::Object => {
                self.reports_failure |= self.pending == b"error";
                self.pending.clear();
            }
            InString::Error | InString::Other => {}
        }
    }

    /// Bytes inside a string: names and ids are collected, with escapes as they are, so that an escaped one does not match.
    fn collect(&mut self, kind: InString, bytes: &[u8]) {
        match kind {
            InString::Name => {
                for byte in bytes {
                    if let Some(slot) = self.name.get_mut(self.name_len) {
                        *slot = *byte;
                    }
                    self.name_len = self.name_len.saturating_add(1);
                }
            }
            InString::Error => self.reports_failure |= !bytes.is_empty(),
            InString::Id | InString::Object => {
                let room = (MAX_ID + 1).saturating_sub(self.pending.len());
                self.pending
                    .extend_from_slice(bytes.get(..bytes.len().min(room)).unwrap_or_default());
            }
            InString::Other if self.capturing_usage => self.capture(bytes),
            InString::Other => {}
        }
    }

    /// Consumes bytes outside strings up to and including the next structural one.
    fn outside(&mut self, rest: &[u8]) -> usize {
        let stop = rest
            .iter()
            .position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']' | b',' | b':'));
        let taken = stop.map_or(rest.len(), |stop| stop + 1);
        if self.capturing_usage {
            self.capture(rest.get(..taken).unwrap_or_default());
        }
        if let Some(byte) = stop.and_then(|stop| rest.get(stop)) {
            self.structural(*byte);
        }
        taken
    }

    fn structural(&mut self, byte: u8) {
        match byte {
            b'"' => self.open_string(),
            b'{' | b'[' => self.open_bracket(byte),
            b'}' | b']' => self.close_bracket(),
            b',' if self.depth == 1 => self.expect = Expect::Name,
            b':' if self.depth == 1 => self.expect = Expect::Value,
            _ => {}
        }
    }

    fn open_string(&mut self) {
        let top = self.depth == 1 && self.opened_with_brace;
        // A string is a name only on the top level of an object and after `{` or a comma: everything else is
        // content.
        self.string = Some(if top && self.expect == Expect::Name {
            self.name_len = 0;
            InString::Name
        } else if top {
            self.value_string()
        } else {
            InString::Other
        });
    }

    fn value_string(&mut self) -> InString {
        match self.member {
            Member::Id => {
                self.pending.clear();
                self.pending.reserve(COMMON_ID);
                InString::Id
            }
            Member::Object => {
                self.pending.clear();
                self.pending.reserve(COMMON_USAGE);
                InString::Object
            }
            Member::Error => InString::Error,
            Member::Usage | Member::Other => InString::Other,
        }
    }

    fn open_bracket(&mut self, byte: u8) {
        if self.depth == 0 {
            self.opened_with_brace = byte == b'{';
        }
        let member_object = self.depth == 1
            && self.opened_with_brace
            && self.expect == Expect::Value
            && byte == b'{';
        // An object as the value of `error`. `"error": null`, which some engines send with every answer, is none.
        self.reports_failure |= member_object && self.member == Member::Error;
        if member_object && self.member == Member::Usage {
            self.capturing_usage = true;
            self.pending.clear();
            self.pending.reserve(COMMON_USAGE);
            self.capture(b"{");
        }
        self.depth = self.depth.saturating_add(1);
    }

    fn close_bracket(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.depth == 0 {
            self.complete = true;
        }
        // The object that is captured was opened on depth one, so this bracket closes it. A later `usage` replaces an
        // earlier one.
        if self.depth == 1 && self.capturing_usage {
            self.capturing_usage = false;
            self.usage = Some(std::mem::take(&mut self.pending));
        }
    }

    fn capture(&mut self, bytes: &[u8]) {
        if self.pending.len() + bytes.len() > MAX_USAGE {
            // Too long to be usage: forgotten, not cut, since a part of an object cannot be read.
            self.capturing_usage = false;
            self.pending = Vec::new();
        } else {
            self.pending.extend_from_slice(bytes);
        }
    }
}

/// An id is written to receipts and rows, so only plain identifiers are accepted.
pub(super) fn is_identifier(bytes: &[u8]) -> bool {
    let plain =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    !bytes.is_empty() && bytes.len() <= MAX_ID && bytes.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> (Option<String>, Option<String>, bool) {
        let mut members = Members::default();
        members.feed(json.as_bytes());
        let usage = members
            .usage()
            .map(|u| String::from_utf8_lossy(u).into_owned());
        (
            members.id().map(str::to_owned),
            usage,
            members.is_complete(),
        )
    }

    #[test]
    fn reads_top_level_id_and_usage() {
        let (id, usage, complete) = read(
            r#" { "id" : "chatcmpl-1", "choices":[{"id":"x","usage":{"a":1}}], "usage" : {"prompt_tokens": 3, "d":{"x":[1,{"s":"}"}]}} } "#,
        );
        assert_eq!(id.as_deref(), Some("chatcmpl-1"));
        assert_eq!(
            usage.as_deref(),
            Some(r#"{"prompt_tokens": 3, "d":{"x":[1,{"s":"}"}]}}"#)
        );
        assert!(complete);
    }

    #[test]
    fn ignores_strings_and_nested_objects() {
        for json in [
            r#"{"content":"\"id\":\"spoof\",\"usage\":{\"prompt_tokens\":9}"}"#,
            r#"{"content":"x \"usage","d":{"prompt_tokens":1},"y":"\\\"id"}"#,
            r#"{"choices":[{"id":"inner","usage":{"prompt_tokens":9}}]}"#,
            r#"[{"id":"inner","usage":{"prompt_tokens":9}}]"#,
            r#"["id","x","usage",{"prompt_tokens":9}]"#,
            r#"{"x":"id","y":"usage"}"#,
        ] {
            assert_eq!(read(json), (None, None, true), "{json}");
        }
    }

    #[test]
    fn ignores_values_of_other_types() {
        let long = "x".repeat(MAX_ID + 1);
        for json in [
            r#"{"id":17,"usage":null}"#.to_owned(),
            r#"{"id":null,"usage":[1]}"#.to_owned(),
            r#"{"id":{"id":"a"},"usage":"many"}"#.to_owned(),
            r#"{"\u0069d":"escaped-name"}"#.to_owned(),
            r#"{"id":"has space"}"#.to_owned(),
            r#"{"id":"esc\u0061pe"}"#.to_owned(),
            r#"{"id":""}"#.to_owned(),
            format!(r#"{{"id":"{long}"}}"#),
            format!(r#"{{"usage":{{"x":"{}"}}}}"#, "y".repeat(MAX_USAGE)),
        ] {
            assert_eq!(read(&json), (None, None, true), "{json}");
        }
    }

    #[test]
    fn recognises_a_top_level_error_only() {
        let fails = |json: &str| {
            let mut members = Members::default();
            json.bytes().for_each(|byte| members.feed(&[byte]));
            members.reports_failure()
        };
        for json in [
            r#"{"error":{"message":"x"}}"#,
            r#"{"id":"a", "error" : "no memory" }"#,
            r#"{"object":"error","message":"x","code":400}"#,
            r#"{"choices":[],"error":{"code":500"#,
        ] {
            assert!(fails(json), "{json}");
        }
        for json in [
            r#"{"error":null,"choices":[]}"#,
            r#"{"error":"","object":"chat.completion"}"#,
            r#"{"choices":[{"error":{"x":1},"object":"error"}]}"#,
            r#"{"text":"\"error\":{\"x\":1}","x":"error"}"#,
            r#"{"errors":{"x":1},"object":"errors"}"#,
            r#"["error",{"x":1}]"#,
        ] {
            assert!(!fails(json), "{json}");
        }
    }

    #[test]
    fn an_unfinished_value_is_not_complete() {
        for json in [
            "",
            "{",
            r#"{"id":"a""#,
            r#"{"id":"a"},"#.trim_end_matches("},"),
            r#"{"s":"}"#,
        ] {
            assert!(!read(json).2, "{json}");
        }
    }

    #[test]
    fn usage_keeps_strings_with_escapes_whole() {
        let (_, usage, _) = read(r#"{"usage":{"note":"a\"b\\","n":1},"id":"q"}"#);
        assert_eq!(usage.as_deref(), Some(r#"{"note":"a\"b\\","n":1}"#));
    }
}
