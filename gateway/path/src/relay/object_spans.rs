//! Positions of the members of a JSON object in its text.
//!
//! Admission has already checked the syntax of bodies, so this only finds positions: for text that is not an object it
//! returns `None`.

use std::borrow::Cow;
use std::ops::Range;

/// One member: its decoded name, the position of `"name": value`, and that of the value.
pub struct MemberSpan<'a> {
    pub name: Cow<'a, str>,
    pub whole: Range<usize>,
    pub value: Range<usize>,
}

/// An object's members in order, with the positions just inside its braces.
pub struct ObjectSpans<'a> {
    pub members: Vec<MemberSpan<'a>>,
    pub inside: Range<usize>,
}

/// Finds the members of the object that begins at `at` (after optional white space).
pub fn object_spans(text: &[u8], at: usize) -> Option<ObjectSpans<'_>> {
    let mut members = Vec::new();
    let inside = visit_members(text, at, |member| members.push(member))?;
    Some(ObjectSpans { members, inside })
}

/// Visits the members of the object that begins at `at`, and returns the positions just inside its braces. If the text
/// turns out not to be an object, members before that place have been visited.
pub fn visit_members<'a>(
    text: &'a [u8],
    at: usize,
    mut visit: impl FnMut(MemberSpan<'a>),
) -> Option<Range<usize>> {
    let mut cursor = Cursor { text, at };
    cursor.list(b'{', b'}', |cursor| {
        visit(cursor.member()?);
        Some(())
    })
}

/// Visits the elements of an array; stops with `None` where `visit` does.
pub fn visit_elements<'a>(
    text: &'a [u8],
    mut visit: impl FnMut(&'a [u8]) -> Option<()>,
) -> Option<()> {
    let mut cursor = Cursor { text, at: 0 };
    let inside = cursor.list(b'[', b']', |cursor| {
        let start = cursor.at;
        cursor.skip_value()?;
        visit(text.get(start..cursor.at)?)
    });
    inside.map(|_| ())
}

struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Items between brackets, separated by commas; returns the positions just inside the brackets.
    fn list(
        &mut self,
        opening: u8,
        closing: u8,
        mut item: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<Range<usize>> {
        self.skip_space();
        self.take(opening)?;
        let open = self.at;
        self.skip_space();
        if self.peek() != Some(closing) {
            loop {
                item(self)?;
                self.skip_space();
                if self.take(b',').is_none() {
                    break;
                }
                self.skip_space();
            }
        }
        let close = self.at;
        self.take(closing)?;
        Some(open..close)
    }

    fn member(&mut self) -> Option<MemberSpan<'a>> {
        let start = self.at;
        let name = self.name()?;
        self.skip_space();
        self.take(b':')?;
        self.skip_space();
        let value = self.at;
        self.skip_value()?;
        Some(MemberSpan {
            name,
            whole: start..self.at,
            value: value..self.at,
        })
    }

    fn name(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at;
        self.skip_string()?;
        let quoted = self.text.get(start..self.at)?;
        if quoted.contains(&b'\\') {
            return serde_json::from_slice::<String>(quoted)
                .ok()
                .map(Cow::Owned);
        }
        let inside = quoted.get(1..quoted.len().checked_sub(1)?)?;
        std::str::from_utf8(inside).ok().map(Cow::Borrowed)
    }

    fn skip_string(&mut self) -> Option<()> {
        self.take(b'"')?;
        loop {
            let stop = memchr::memchr2(b'"', b'\\', self.text.get(self.at..)?)?;
            self.at += stop + 1;
            if self.text.get(self.at - 1) == Some(&b'"') {
                return Some(());
            }
            // After a backslash: the escaped character cannot end the string.
            self.at += 1;
        }
    }

    /// Skips a value without recursion: depth is a counter, so deep nesting cannot exhaust the stack.
    fn skip_value(&mut self) -> Option<()> {
        let mut depth = 0usize;
        loop {
            match self.peek()? {
                b'"' => self.skip_string()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' if depth > 0 => self.at += 1,
                b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' => return None,
                _ => self.skip_scalar(),
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn skip_scalar(&mut self) {
        let is_scalar =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        self.at += 1;
        while self.peek().is_some_and(is_scalar) {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_members_with_their_decoded_names() {
        let text = br#" { "a" : 1 , "\u0062" :[{"x":"}]\""},2] ,"c":"\\"} "#;
        let found = object_spans(text, 0).expect("an object");
        let shown: Vec<(&str, &str)> = found
            .members
            .iter()
            .map(|member| {
                (
                    &*member.name,
                    std::str::from_utf8(&text[member.whole.clone()]).expect("utf-8"),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("a", r#""a" : 1"#),
                ("b", r#""\u0062" :[{"x":"}]\""},2]"#),
                ("c", r#""c":"\\""#),
            ]
        );
        assert_eq!(text[found.inside.start - 1], b'{');
        assert_eq!(text[found.inside.end], b'}');
    }

    #[test]
    fn rejects_text_that_is_not_an_object() {
        for text in [
            "",
            " ",
            "[]",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":}",
            "{a:1}",
            "\"{}\"",
            "{\"a\":\"",
            "{\"a\":1 2}",
        ] {
            assert!(object_spans(text.as_bytes(), 0).is_none(), "{text}");
        }
    }

    fn elements(text: &str) -> Option<Vec<&str>> {
        let mut found = Vec::new();
        visit_elements(text.as_bytes(), |element| {
            found.push(std::str::from_utf8(element).ok()?);
            Some(())
        })?;
        Some(found)
    }

    #[test]
    fn visits_the_elements_of_an_array_and_of_nothing_else() {
        assert_eq!(elements(" [ ] "), Some(vec![]));
        assert_eq!(
            elements(r#"[{"a":[1,2]} ,"]", null,[[]]]"#),
            Some(vec![r#"{"a":[1,2]}"#, r#""]""#, "null", "[[]]"])
        );
        for text in ["", "{}", "1", "[", "[1", "[1,", "[1,]", "[1 2]", "[\"]"] {
            assert_eq!(elements(text), None, "{text}");
        }
        let stops = visit_elements(b"[1,2]", |element| (element != b"2").then_some(()));
        assert_eq!(stops, None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..220) {
            let _ = object_spans(&bytes, at);
        }
    }
}
