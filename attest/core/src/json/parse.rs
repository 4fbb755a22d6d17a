//! The strict JSON parser: it refuses repeated names, fractions and deep nesting.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::Value;

use super::{JsonError, MAX_DEPTH, MAX_INTEGER, Tree};

/// Parses one JSON value that takes up all of `bytes`, of which there may be at most `max_len`.
///
/// ```
/// use attest_core::json::{self, JsonError};
/// assert!(json::parse(br#"{"a":[1,2]}"#, 100).is_ok());
/// assert_eq!(json::parse(br#"{"a":1,"a":2}"#, 100), Err(JsonError::DuplicateName { offset: 10 }));
/// assert_eq!(json::parse(b"1.5", 100), Err(JsonError::NotAnInteger { offset: 0 }));
/// ```
pub fn parse(bytes: &[u8], max_len: usize) -> Result<Value, JsonError> {
    parse_borrowed(bytes, max_len).map(Tree::into_value)
}

/// The same, as a tree that borrows its texts from `bytes`.
pub(crate) fn parse_borrowed(bytes: &[u8], max_len: usize) -> Result<Tree<'_>, JsonError> {
    if bytes.len() > max_len {
        return Err(JsonError::TooLong {
            len: bytes.len(),
            max: max_len,
        });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| JsonError::NotUtf8 {
        offset: error.valid_up_to(),
    })?;
    let mut parser = Parser { text, offset: 0 };
    parser.skip_white_space();
    let value = parser.value(0)?;
    parser.skip_white_space();
    match parser.peek() {
        None => Ok(value),
        Some(_) => Err(JsonError::TrailingBytes {
            offset: parser.offset,
        }),
    }
}

struct Parser<'a> {
    text: &'a str,
    offset: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.offset).copied()
    }

    fn peek_some(&self) -> Result<u8, JsonError> {
        self.peek().ok_or(JsonError::Truncated)
    }

    fn unexpected<T>(&self) -> Result<T, JsonError> {
        Err(JsonError::Unexpected {
            offset: self.offset,
        })
    }

    fn skip_white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.offset += 1;
        }
    }

    fn expect(&mut self, wanted: u8) -> Result<(), JsonError> {
        if self.peek_some()? != wanted {
            return self.unexpected();
        }
        self.offset += 1;
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Tree<'a>, JsonError> {
        match self.peek_some()? {
            b'{' | b'[' if depth == MAX_DEPTH => Err(JsonError::TooDeep {
                offset: self.offset,
            }),
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => self.string().map(Tree::String),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal("true", Tree::Bool(true)),
            b'f' => self.literal("false", Tree::Bool(false)),
            b'n' => self.literal("null", Tree::Null),
            _ => self.unexpected(),
        }
    }

    fn literal(&mut self, word: &str, value: Tree<'a>) -> Result<Tree<'a>, JsonError> {
        for wanted in word.bytes() {
            self.expect(wanted)?;
        }
        Ok(value)
    }

    fn object(&mut self, depth: usize) -> Result<Tree<'a>, JsonError> {
        self.offset += 1;
        let mut members = Vec::new();
        let mut names = Names::default();
        self.skip_white_space();
        if self.peek_some()? == b'}' {
            self.offset += 1;
            return Ok(Tree::Object(members));
        }
        loop {
            self.skip_white_space();
            if self.peek_some()? != b'"' {
                return self.unexpected();
            }
            let name = self.string()?;
            if !names.insert(&name, &members) {
                return Err(JsonError::DuplicateName {
                    offset: self.offset,
                });
            }
            self.skip_white_space();
            self.expect(b':')?;
            self.skip_white_space();
            let value = self.value(depth + 1)?;
            members.push((name, value));
            if self.comma_or(b'}')? {
                return Ok(Tree::Object(members));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Tree<'a>, JsonError> {
        self.offset += 1;
        let mut items = Vec::new();
        self.skip_white_space();
        if self.peek_some()? == b']' {
            self.offset += 1;
            return Ok(Tree::Array(items));
        }
        loop {
            self.skip_white_space();
            items.push(self.value(depth + 1)?);
            if self.comma_or(b']')? {
                return Ok(Tree::Array(items));
            }
        }
    }

    /// Steps over a comma (`false`) or over `end` (`true`).
    fn comma_or(&mut self, end: u8) -> Result<bool, JsonError> {
        self.skip_white_space();
        let found = self.peek_some()?;
        if found != b',' && found != end {
            return self.unexpected();
        }
        self.offset += 1;
        Ok(found == end)
    }

    fn number(&mut self) -> Result<Tree<'a>, JsonError> {
        let start = self.offset;
        let negative = self.peek() == Some(b'-');
        if negative {
            self.offset += 1;
        }
        let first_digit = self.offset;
        let mut magnitude: u64 = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            if self.offset == first_digit + 1 && magnitude == 0 {
                return self.unexpected(); // a leading zero
            }
            magnitude = magnitude
                .saturating_mul(10)
                .saturating_add(u64::from(digit - b'0'));
            self.offset += 1;
        }
        if self.offset == first_digit {
            self.peek_some()?;
            return self.unexpected();
        }
        if matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            return Err(JsonError::NotAnInteger { offset: start });
        }
        if magnitude > MAX_INTEGER {
            return Err(JsonError::NumberTooLarge { offset: start });
        }
        if negative {
            return Ok(Tree::Integer(-(magnitude as i64)));
        }
        Ok(Tree::Integer(magnitude as i64))
    }

    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.offset += 1;
        let run = self.run();
        if self.peek_some()? == b'"' {
            self.offset += 1;
            return Ok(Cow::Borrowed(run));
        }
        let mut out = String::with_capacity(run.len() + self.len_to_end());
        out.push_str(run);
        loop {
            match self.peek_some()? {
                b'"' => {
                    self.offset += 1;
                    return Ok(Cow::Owned(out));
                }
                b'\\' => match self.text.as_bytes().get(self.offset + 1) {
                    // What is escaped stands for itself, and the run that it begins is copied with it.
                    Some(b'"' | b'\\' | b'/') => {
                        self.offset += 1;
                        out.push_str(self.run_from(1));
                    }
                    _ => {
                        out.push(self.escape()?);
                        out.push_str(self.run());
                    }
                },
                _ => {
                    return Err(JsonError::ControlCharacter {
                        offset: self.offset,
                    });
                }
            }
        }
    }

    /// How many bytes the rest of a string has, at most, before it is known to end.
    fn len_to_end(&self) -> usize {
        let mut rest = self.text.as_bytes().get(self.offset..).unwrap_or_default();
        let whole = rest.len();
        loop {
            rest = rest.get(plain_len(rest)..).unwrap_or_default();
            match rest {
                [b'\\', _, after @ ..] => rest = after,
                _ => return whole - rest.len(),
            }
        }
    }

    /// Steps over characters that stand for themselves.
    fn run(&mut self) -> &'a str {
        self.run_from(0)
    }

    /// The same, where so many ASCII characters stand for themselves whatever they are.
    fn run_from(&mut self, plain: usize) -> &'a str {
        let start = self.offset;
        self.offset += plain;
        let rest = self.text.as_bytes().get(self.offset..);
        self.offset += plain_len(rest.unwrap_or_default());
        // Both ends stand beside ASCII bytes, so the slice falls on boundaries.
        &self.text[start..self.offset]
    }

    /// Any other escape.
    fn escape(&mut self) -> Result<char, JsonError> {
        let start = self.offset;
        self.offset += 1;
        let character = match self.peek_some()? {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.offset += 1;
                return self.unicode_escape(start);
            }
            _ => return Err(JsonError::BadEscape { offset: start }),
        };
        self.offset += 1;
        Ok(character)
    }

    fn unicode_escape(&mut self, start: usize) -> Result<char, JsonError> {
        let lone = JsonError::LoneSurrogate { offset: start };
        let first = self.four_hex_digits()?;
        if !(0xd800..0xe000).contains(&first) {
            return char::from_u32(first).ok_or(lone);
        }
        if first >= 0xdc00 || !self.text[self.offset..].starts_with("\\u") {
            return Err(lone);
        }
        self.offset += 2;
        let second = self.four_hex_digits()?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(lone);
        }
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or(lone)
    }

    fn four_hex_digits(&mut self) -> Result<u32, JsonError> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = char::from(self.peek_some()?)
                .to_digit(16)
                .ok_or(JsonError::BadEscape {
                    offset: self.offset,
                })?;
            value = value << 4 | digit;
            self.offset += 1;
        }
        Ok(value)
    }
}

/// The names of an object, for finding one that is there twice: few are compared one by one, many are
/// looked up.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl Names {
    const FEW: usize = 16;

    /// Whether `name` is new to an object with these members.
    fn insert(&mut self, name: &str, members: &[(Cow<'_, str>, Tree<'_>)]) -> bool {
        if members.len() < Self::FEW {
            return members.iter().all(|(known, _)| known != name);
        }
        if self.0.is_empty() {
            self.0
                .extend(members.iter().map(|(known, _)| known.to_string()));
        }
        self.0.insert(name.to_owned())
    }
}

/// How many bytes stand before the first that ends a string, begins an escape or is a control
/// character.
fn plain_len(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks::<8>();
    let plain = words.iter().take_while(|word| is_plain(**word)).count() * 8;
    let rest = bytes.get(plain..).unwrap_or_default();
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    plain + rest.iter().position(special).unwrap_or(rest.len())
}

/// Whether none of eight bytes is one of those, all eight at once: a byte below `n` is one from which
/// subtracting `n` borrows, and it has no top bit itself.
const fn is_plain(bytes: [u8; 8]) -> bool {
    const fn in_each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    const fn below(bytes: u64, n: u8) -> u64 {
        bytes.wrapping_sub(in_each(n)) & !bytes & in_each(0x80)
    }
    let bytes = u64::from_ne_bytes(bytes);
    let quote = below(bytes ^ in_each(b'"'), 1);
    let backslash = below(bytes ^ in_each(b'\\'), 1);
    quote | backslash | below(bytes, 0x20) == 0
}
