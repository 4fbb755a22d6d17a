//! The canonical form: RFC 8785, restricted to integers.

use serde_json::{Map, Number, Value};

use super::{JsonError, MAX_INTEGER};
use crate::encoding::write_hex;

/// The RFC 8785 form of `value`: no white space, members sorted by the UTF-16 code units of their
/// names, the shortest string escapes. Numbers must be integers within ±(2⁵³−1).
///
/// ```
/// use attest_core::json;
/// let value = serde_json::json!({"b": 1, "a": "\u{1f}"});
/// assert_eq!(json::canonicalize(&value), Ok(br#"{"a":"\u001f","b":1}"#.to_vec()));
/// ```
pub fn canonicalize(value: &Value) -> Result<Vec<u8>, JsonError> {
    if !numbers_are_canonical(value) {
        return Err(JsonError::NumberNotCanonical);
    }
    Ok(canonical_bytes(value))
}

/// The canonical form of a value whose numbers the caller knows to be integers.
pub(crate) fn canonical_bytes(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_canonical(&mut out, value);
    out
}

/// Appends the canonical form of `value` to `out`, under the same condition.
pub(crate) fn write_canonical(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => write_list(out, items, write_canonical),
        Value::Object(members) => write_object(out, members),
    }
}

fn write_object(out: &mut Vec<u8>, members: &Map<String, Value>) {
    let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
    sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    out.push(b'{');
    for (index, (name, value)) in sorted.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(out, name);
        out.push(b':');
        write_canonical(out, value);
    }
    out.push(b'}');
}

fn numbers_are_canonical(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Number(number) => is_canonical(number),
        Value::Array(items) => items.iter().all(numbers_are_canonical),
        Value::Object(members) => members.values().all(numbers_are_canonical),
    }
}

fn is_canonical(number: &Number) -> bool {
    let magnitude = number
        .as_u64()
        .or_else(|| number.as_i64().map(i64::unsigned_abs));
    magnitude.is_some_and(|magnitude| magnitude <= MAX_INTEGER)
}

/// Appends `text` as a canonical JSON string, quotes included.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    // Every byte is compared, so that several are at once; almost all strings have none to escape.
    match bytes
        .iter()
        .fold(false, |any, byte| any | is_escaped(*byte))
    {
        false => out.extend_from_slice(bytes),
        true => write_escaped(out, bytes),
    }
    out.push(b'"');
}

fn write_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut run = 0;
    for (index, byte) in bytes.iter().enumerate() {
        if !is_escaped(*byte) {
            continue;
        }
        out.extend_from_slice(&bytes[run..index]);
        run = index + 1;
        write_escape(out, *byte);
    }
    out.extend_from_slice(&bytes[run..]);
}

const fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    out.push(b'\\');
    match byte {
        b'"' | b'\\' => out.push(byte),
        0x08 => out.push(b'b'),
        0x09 => out.push(b't'),
        0x0a => out.push(b'n'),
        0x0c => out.push(b'f'),
        0x0d => out.push(b'r'),
        _ => {
            out.extend_from_slice(b"u00");
            write_hex(out, &[byte]);
        }
    }
}

/// Appends an integer.
pub(crate) fn write_integer(out: &mut Vec<u8>, integer: u64) {
    // The digits from the last to the first; the largest integer has twenty.
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    let mut rest = integer;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends `text` as a canonical JSON string, or `null`.
pub(crate) fn write_string_or_null(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => write_string(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

/// Appends a JSON array, each item as `write_item` writes it.
pub(crate) fn write_list<T>(
    out: &mut Vec<u8>,
    items: &[T],
    mut write_item: impl FnMut(&mut Vec<u8>, &T),
) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_item(out, item);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_written_in_decimal_digits() {
        for integer in [0, 9, 10, 1_800_000_000, MAX_INTEGER, u64::MAX] {
            let mut out = b"[".to_vec();
            write_integer(&mut out, integer);
            assert_eq!(out, format!("[{integer}").into_bytes());
        }
    }
}
